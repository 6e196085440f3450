"""Landing objects of one source as one run of records, in order, on their way into the warehouse.

Objects are unpacked and cut at a guess, and what is not JSON then is framed anew in Python; all of it one chunk ahead of who loads.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.errors import InputError
from recsys_platform.hub.layout import source_of
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.framing import Piece, split_records
from recsys_platform.ingestion.splitting import cut_at_a_guess, mended
from recsys_platform.ingestion.validation import needed_fields

THREADS = 2  # zlib, numpy and DuckDB release the GIL
# One guess in so many may be broken: to mend one costs as much as to frame so many anew.
BROKEN_SHARE = 16
Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Records:
    """The records of objects of one source: their texts (large strings), and how many each object has.

    `doubtful`: the places of those that may have to be rejected, in order; `framing`: what Python says against each, or None.
    """

    objects: Sequence[HubObject]
    texts: pa.ChunkedArray
    counts: Numbers
    doubtful: Numbers
    framing: Sequence[str | None]


def unpacked(hub: Hub, chunks: Iterable[Sequence[HubObject]]) -> Iterator[Records]:
    """The records of each chunk of objects, always one ahead of who takes them."""
    # In this order: whoever stops early must not close the connection that a worker is using.
    with duckdb.connect() as con, ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as ahead:
        coming: Future[Records] | None = None
        for objects in chunks:
            done, coming = coming, ahead.submit(_unpack, hub, objects, pool, con)
            if done:
                yield done.result()
        if coming:
            yield coming.result()


def _unpack(
    hub: Hub, objects: Sequence[HubObject], pool: ThreadPoolExecutor, con: duckdb.DuckDBPyConnection
) -> Records:
    guesses = list(pool.map(lambda item: cut_at_a_guess(hub.get(item.key)), objects))
    ends = np.cumsum([0, *(0 if pieces is None else len(pieces) for pieces in guesses)])
    suspects, broken = (_by_object(numbers, ends) for numbers in _look_at(con, source_of(objects[0].key), guesses))
    return _joined(objects, list(pool.map(partial(_read, hub), objects, guesses, suspects, broken)))


def snapshot_texts(hub: Hub, objects: Sequence[HubObject]) -> pa.Table:
    """The records of the parts of a snapshot as `object_key` and `payload`; `InputError` where one cannot be read."""
    parts = [(item.key, split_records(hub.get(item.key))) for item in objects]
    for key, pieces in parts:
        broken = next((piece.reason for piece in pieces if piece.reason), None)
        if broken:
            raise InputError(f"The snapshot part {hub.where(key)} cannot be read whole: {broken}. Fetch it again.")
    keys = pa.array([key for key, pieces in parts for _ in pieces], pa.string())
    return pa.table({"object_key": keys, "payload": pa.array([piece.text for _, pieces in parts for piece in pieces])})


# Few pieces lack something at the first place where it may stand: only those are looked at in full.
_SUSPECTS = "select n, not json_valid(payload) as broken from guesses where {needed} order by n"


def _look_at(
    con: duckdb.DuckDBPyConnection, source: str, guesses: Sequence[pa.Array | None]
) -> tuple[Numbers, Numbers]:
    """The numbers of the pieces that may have to be rejected, and of those among them that are not JSON."""
    payload = pa.chunked_array([() if pieces is None else pieces for pieces in guesses], pa.large_string())
    con.register("guesses", pa.table({"n": np.arange(len(payload)), "payload": payload}))
    found = con.sql(_SUSPECTS.format(needed=needed_fields(source, "payload"))).to_arrow_table()
    con.unregister("guesses")
    return found["n"].to_numpy(), found.filter(pc.field("broken"))["n"].to_numpy()


def _by_object(numbers: Numbers, ends: Numbers) -> Iterator[Numbers]:
    """Numbers of pieces as numbers within each object; `ends`: where objects begin and end."""
    for first, until in pairwise(ends):
        yield _between(numbers, first, until)


@dataclass
class _Object:
    """The records of one object as they are gathered; `doubtful`: place → what Python says against it."""

    texts: list[pa.Array] = field(default_factory=list)
    count: int = 0
    doubtful: dict[int, str | None] = field(default_factory=dict)

    def keep(self, pieces: pa.Array, suspects: Numbers) -> None:
        """Guesses as they are."""
        self.doubtful |= dict.fromkeys((suspects + self.count).tolist())
        self._add(pieces)

    def frame(self, pieces: Sequence[Piece]) -> None:
        """What Python framed: DuckDB has not seen it yet."""
        self.doubtful |= {self.count + at: piece.reason for at, piece in enumerate(pieces)}
        self._add(pa.array([piece.text for piece in pieces], pa.large_string()))

    def _add(self, texts: pa.Array) -> None:
        self.texts.append(texts)
        self.count += len(texts)


def _read(hub: Hub, item: HubObject, guesses: pa.Array | None, suspects: Numbers, broken: Numbers) -> _Object:
    """The records of an object: all framed in Python if it is damaged, else the guesses, but for those that are broken."""
    whole = _Object()
    if guesses is None or len(broken) * BROKEN_SHARE > len(guesses):
        whole.frame(split_records(hub.get(item.key)))
        return whole
    reached = 0
    for mend in mended(hub.get(item.key), broken.tolist(), of=len(guesses)) if len(broken) else ():
        whole.keep(guesses[reached : mend.first], _between(suspects, reached, mend.first))
        whole.frame(mend.pieces)
        reached = mend.until
    whole.keep(guesses[reached:], _between(suspects, reached, len(guesses)))
    return whole


def _between(numbers: Numbers, first: int, until: int) -> Numbers:
    start, end = np.searchsorted(numbers, (first, until))
    return numbers[start:end] - first


def _joined(objects: Sequence[HubObject], parts: Sequence[_Object]) -> Records:
    counts = np.array([part.count for part in parts])
    begins = (np.cumsum(counts) - counts).tolist()
    return Records(
        objects=objects,
        texts=pa.chunked_array(
            [part.texts[0] if len(part.texts) == 1 else pa.concat_arrays(part.texts) for part in parts]
        ),
        counts=counts,
        doubtful=np.array(
            [begin + at for begin, part in zip(begins, parts, strict=True) for at in part.doubtful], np.int64
        ),
        framing=[reason for part in parts for reason in part.doubtful.values()],
    )
