"""Write landing objects as Firehose does: concatenated records, gzipped, named by stream and arrival time.

Belongs here: joining records to objects, compressing, naming, putting. Does not: the content of records (simulation/, sources/).
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
class ObjectRange:
    """The records of one object: `start` to `stop` (exclusive); the first arrived at `arrival` (UTC)."""

    arrival: dt.datetime
    start: int
    stop: int
    newline: bool = True


@dataclass(frozen=True)
class WrittenObject:
    """A landing object: its key and number of records; `is_new` is false if it existed already."""

    key: str
    records: int
    size_bytes: int
    is_new: bool = True


def write_landing(
    hub: Hub,
    records: pa.Array,
    *,
    source: Source,
    ranges: Sequence[ObjectRange],
    stream: str = "engagement",
    on_written: Callable[[WrittenObject], None] | None = None,
) -> list[WrittenObject]:
    """Write records (Arrow strings without nulls) as gzip objects, one for each range.

    Ranges do not overlap. `on_written` is called after each object.

    An object's name ends in a hash of source, time and content, so the same records give the same key, and an object that
    exists already is left alone. Raises `HubError` if the hub cannot be written.
    """
    data, offsets = _delimited_buffer(records, ranges)

    def write(part: ObjectRange) -> WrittenObject:
        return _write_object(
            hub, data[offsets[part.start] : offsets[part.stop]], source=source, part=part, stream=stream
        )

    with ThreadPoolExecutor(THREADS) as pool:
        return [_report_written(done, on_written) for done in pool.map(write, ranges)]


def object_name(content: bytes | memoryview, *, source: Source, arrival: dt.datetime, stream: str) -> str:
    """Firehose's name of an object, with a UUID made from what is in it."""
    digest = hashlib.sha256(f"{source} {arrival.isoformat()} ".encode())
    digest.update(content)
    return f"{stream}-1-{arrival:%Y-%m-%d-%H-%M-%S}-{uuid.UUID(bytes=digest.digest()[:16], version=4)}.gz"


def _write_object(hub: Hub, content: memoryview, *, source: Source, part: ObjectRange, stream: str) -> WrittenObject:
    name = object_name(content, source=source, arrival=part.arrival, stream=stream)
    key = landing_key(source, part.arrival, name)
    packed = zlib.compress(content, 1, GZIP)
    is_new = hub.put_new(key, packed)  # the name is a hash of the content: a rewrite would only look new to the loader
    return WrittenObject(key=key, records=part.stop - part.start, size_bytes=len(packed), is_new=is_new)


def _report_written(done: WrittenObject, on_written: Callable[[WrittenObject], None] | None) -> WrittenObject:
    if on_written is not None:
        on_written(done)
    return done


def _delimited_buffer(
    records: pa.Array, ranges: Sequence[ObjectRange]
) -> tuple[memoryview, np.ndarray[Any, np.dtype[np.int64]]]:
    """All records with their delimiters as one buffer, and the offset of each (shape (records + 1,))."""
    wide = pc.cast(records, pa.large_string())
    delimited = np.zeros(len(records), dtype=bool)
    for part in ranges:
        delimited[part.start : part.stop] = part.newline
    if delimited.any():
        ends = pc.if_else(pa.array(delimited), pa.scalar("\n", pa.large_string()), pa.scalar("", pa.large_string()))
        wide = pc.binary_join_element_wise(wide, ends, pa.scalar("", pa.large_string()))
    _, offsets, data = wide.buffers()
    begins = np.frombuffer(offsets, dtype=np.int64)[wide.offset : wide.offset + len(wide) + 1]
    return memoryview(data if data is not None else b""), begins
