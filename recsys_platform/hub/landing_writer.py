"""Write landing objects as Firehose does: records one after another, gzip, named by stream and time of arrival.

Belongs here: joining records to objects, compressing, naming, putting. Does not: what a record says (simulation/, events/replay.py).
"""

import datetime as dt
import hashlib
import uuid
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.hub.layout import Source, landing_key
from recsys_platform.hub.object_store import Hub

THREADS = 2  # zlib and hashlib release the GIL
GZIP = 31  # zlib's window bits for a gzip header, whose time stays 0: equal input gives equal bytes


@dataclass(frozen=True)
class Cut:
    """One object: the records `start` to `stop` (exclusive), which arrived from `arrival` (UTC) on."""

    arrival: dt.datetime
    start: int
    stop: int
    newline: bool = True


@dataclass(frozen=True)
class Landed:
    """What was written: a key and the number of records under it; not new if the object was there already."""

    key: str
    records: int
    size_bytes: int
    is_new: bool = True


def write_landing(
    hub: Hub,
    records: pa.Array,
    *,
    source: Source,
    cuts: Sequence[Cut],
    stream: str = "engagement",
    landed: Callable[[Landed], None] | None = None,
) -> list[Landed]:
    """Write records (Arrow strings without nulls) as gzip objects, one for each cut.

    Cuts do not overlap; `landed` is called after each object.

    A name ends in a hash of source, time and content, so that the same records give the same key: an object that is
    there already is left alone. Raises `HubError` if the hub cannot be written.
    """
    data, offsets = _joined(records, cuts)

    def write(cut: Cut) -> Landed:
        return _write(hub, data[offsets[cut.start] : offsets[cut.stop]], source=source, cut=cut, stream=stream)

    with ThreadPoolExecutor(THREADS) as pool:
        return [_told(done, landed) for done in pool.map(write, cuts)]


def object_name(content: bytes | memoryview, *, source: Source, arrival: dt.datetime, stream: str) -> str:
    """Firehose's name of an object, with a UUID made from what is in it."""
    digest = hashlib.sha256(f"{source} {arrival.isoformat()} ".encode())
    digest.update(content)
    return f"{stream}-1-{arrival:%Y-%m-%d-%H-%M-%S}-{uuid.UUID(bytes=digest.digest()[:16], version=4)}.gz"


def _write(hub: Hub, content: memoryview, *, source: Source, cut: Cut, stream: str) -> Landed:
    name = object_name(content, source=source, arrival=cut.arrival, stream=stream)
    key = landing_key(source, cut.arrival, name)
    packed = zlib.compress(content, 1, GZIP)
    is_new = hub.put_new(key, packed)  # the name tells the content; a rewrite would only make it look new to the loader
    return Landed(key=key, records=cut.stop - cut.start, size_bytes=len(packed), is_new=is_new)


def _told(done: Landed, landed: Callable[[Landed], None] | None) -> Landed:
    if landed is not None:
        landed(done)
    return done


def _joined(records: pa.Array, cuts: Sequence[Cut]) -> tuple[memoryview, np.ndarray[Any, np.dtype[np.int64]]]:
    """All records with their delimiters as one buffer, and where each begins (shape (records + 1,))."""
    wide = pc.cast(records, pa.large_string())
    delimited = np.zeros(len(records), dtype=bool)
    for cut in cuts:
        delimited[cut.start : cut.stop] = cut.newline
    if delimited.any():
        ends = pc.if_else(pa.array(delimited), pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string()))
        wide = pc.binary_join_element_wise(wide, ends, pa.scalar("", pa.large_string()))
    _, offsets, data = wide.buffers()
    begins = np.frombuffer(offsets, dtype=np.int64)[wide.offset : wide.offset + len(wide) + 1]
    return memoryview(data if data is not None else b""), begins
