"""Decode landing objects of one source into one batch of records, in order, each accepted or rejected.

Objects are decompressed and split by a guess. What is not JSON then is framed in Python. The next batch is decoded while the caller
stores the one before.
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

from recsys_platform.hub.layout import arrival_of, source_of
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.framing import Piece, split_records
from recsys_platform.ingestion.splitting import reframe_broken, split_by_guess
from recsys_platform.ingestion.validation import Numbers, find_suspects, rejection_reasons
from recsys_platform.warehouse.port import ValidatedBatch

Flags = np.ndarray[Any, np.dtype[np.bool_]]

THREADS = 2  # zlib, numpy and DuckDB release the GIL
# Above one broken guess in so many the whole object is framed: reframing one guess costs as much as framing so many.
BROKEN_SHARE = 16


def validated_batches(hub: Hub, chunks: Iterable[Sequence[HubObject]]) -> Iterator[ValidatedBatch]:
    """Decode and validate each chunk of objects of one source, one chunk ahead of the caller."""
    # In this order, so that a caller who stops early does not close the connection while a worker uses it.
    with duckdb.connect() as con, ThreadPoolExecutor(THREADS) as pool, ThreadPoolExecutor(1) as ahead:
        coming: Future[ValidatedBatch] | None = None
        for objects in chunks:
            done, coming = coming, ahead.submit(_validated_batch, hub, objects, pool, con)
            if done:
                yield done.result()
        if coming:
            yield coming.result()


def _validated_batch(
    hub: Hub, objects: Sequence[HubObject], pool: ThreadPoolExecutor, con: duckdb.DuckDBPyConnection
) -> ValidatedBatch:
    source = source_of(objects[0].key)
    guesses = list(pool.map(lambda item: split_by_guess(hub.get(item.key)), objects))
    texts = pa.chunked_array([() if pieces is None else pieces for pieces in guesses], pa.large_string())
    ends = np.cumsum([0, *(0 if pieces is None else len(pieces) for pieces in guesses)])
    suspects, broken = (_by_object(numbers, ends) for numbers in find_suspects(con, source, texts))
    records = _ChunkRecords(objects, list(pool.map(partial(_decode_object, hub), objects, guesses, suspects, broken)))
    return records.validated(con, source)


def _by_object(numbers: Numbers, ends: Numbers) -> Iterator[Numbers]:
    """Numbers of pieces as numbers within each object; `ends`: where objects begin and end."""
    for first, until in pairwise(ends):
        yield _numbers_between(numbers, first, until)


@dataclass
class _ObjectRecords:
    """The records of one object as they are gathered.

    `unverified`: places of records that may have to be rejected, in order; `framing`: the reason that framing gives each, or null.
    """

    texts: list[pa.Array] = field(default_factory=list)
    count: int = 0
    unverified: list[Numbers] = field(default_factory=list)
    framing: list[pa.Array] = field(default_factory=list)

    def keep(self, pieces: pa.Array, suspects: Numbers) -> None:
        """Add guessed pieces as they are; `suspects`: places of those that may have to be rejected."""
        self._add_records(pieces, suspects, pa.nulls(len(suspects), pa.string()))

    def frame(self, pieces: Sequence[Piece]) -> None:
        """Add pieces that Python framed: DuckDB has not validated any of them yet."""
        texts = pa.array([piece.text for piece in pieces], pa.large_string())
        reasons = pa.array([piece.reason for piece in pieces], pa.string())
        self._add_records(texts, np.arange(len(pieces)), reasons)

    def _add_records(self, texts: pa.Array, places: Numbers, framing: pa.Array) -> None:
        self.texts.append(texts)
        self.unverified.append(places + self.count)
        self.framing.append(framing)
        self.count += len(texts)


def _decode_object(
    hub: Hub, item: HubObject, guesses: pa.Array | None, suspects: Numbers, broken: Numbers
) -> _ObjectRecords:
    """The records of an object: the guesses with broken ones reframed; all framed in Python if it is damaged."""
    whole = _ObjectRecords()
    if guesses is None or len(broken) * BROKEN_SHARE > len(guesses):
        whole.frame(split_records(hub.get(item.key)))
        return whole
    reached = 0
    for reframed in reframe_broken(hub.get(item.key), broken.tolist(), of=len(guesses)) if len(broken) else ():
        whole.keep(guesses[reached : reframed.first], _numbers_between(suspects, reached, reframed.first))
        whole.frame(reframed.pieces)
        reached = reframed.until
    whole.keep(guesses[reached:], _numbers_between(suspects, reached, len(guesses)))
    return whole


def _numbers_between(numbers: Numbers, first: int, until: int) -> Numbers:
    start, end = np.searchsorted(numbers, (first, until))
    return numbers[start:end] - first


class _ChunkRecords:
    """The records of some objects, numbered from 0 over all of them."""

    def __init__(self, objects: Sequence[HubObject], parts: Sequence[_ObjectRecords]) -> None:
        self.objects, self.parts = objects, parts
        self.texts = [part.texts[0] if len(part.texts) == 1 else pa.concat_arrays(part.texts) for part in parts]
        self.counts = np.array([part.count for part in parts])
        self.begins = np.cumsum(self.counts) - self.counts
        self.object_of = np.repeat(np.arange(len(parts), dtype=np.int32), self.counts)

    def validated(self, con: duckdb.DuckDBPyConnection, source: str) -> ValidatedBatch:
        """Validate the records: each is accepted or rejected."""
        numbers, payloads, framing = self._unverified_records()
        reasons = rejection_reasons(con, source, payloads, framing)
        is_rejected = np.asarray(reasons.is_valid())
        rejected = numbers[is_rejected]
        is_accepted = np.ones(len(self.object_of), bool)
        is_accepted[rejected] = False
        places = self._record_places()
        return ValidatedBatch(
            source,
            accepted=places.filter(is_accepted).append_column("record", self._accepted_texts(is_accepted, rejected)),
            rejected=places.take(rejected)
            .append_column("payload", payloads.filter(is_rejected))
            .append_column("reason", reasons.drop_null()),
            objects=objects_table(
                self.objects,
                records=self.counts,
                rejected=np.bincount(self.object_of[rejected], minlength=len(self.objects)),
            ),
        )

    def _unverified_records(self) -> tuple[Numbers, pa.ChunkedArray, pa.Array]:
        """The numbers, the texts and the framing reasons of the records that may have to be rejected."""
        places = [some for part in self.parts for some in part.unverified]
        begins = np.repeat(self.begins, [len(part.unverified) for part in self.parts])
        numbers = np.concatenate(places) + np.repeat(begins, [len(some) for some in places])
        is_unverified = np.zeros(len(self.object_of), bool)
        is_unverified[numbers] = True
        texts = pa.chunked_array(self.texts, pa.large_string()).filter(is_unverified)
        return numbers, texts, pa.concat_arrays([reasons for part in self.parts for reasons in part.framing])

    def _accepted_texts(self, is_accepted: Flags, rejected: Numbers) -> pa.ChunkedArray:
        """The texts of the accepted records; they are copied only where an object has others too."""
        texts = list(self.texts)
        for number in np.unique(self.object_of[rejected]).tolist():
            begin = self.begins[number]
            texts[number] = texts[number].filter(is_accepted[begin : begin + self.counts[number]])
        return pa.chunked_array(texts, pa.large_string())

    def _record_places(self) -> pa.Table:
        """Where every record stands, and when it landed."""
        keys = pa.array([item.key for item in self.objects], pa.string())
        landed_at = np.array([arrival_of(item.key) for item in self.objects], "datetime64[us]")
        return pa.table(
            {
                "object_key": pa.DictionaryArray.from_arrays(self.object_of, keys),
                "record_index": np.arange(len(self.object_of)) - self.begins[self.object_of],
                "landed_at": landed_at[self.object_of],
            }
        )


def objects_table(objects: Sequence[HubObject], *, records: Numbers, rejected: Numbers) -> pa.Table:
    """Lines of the ledger for some objects, by how many records each has and how many of them are rejected."""
    return pa.table(
        {
            "object_key": pa.array([item.key for item in objects], pa.string()),
            "etag": pa.array([item.etag for item in objects], pa.string()),
            "size_bytes": pa.array([item.size_bytes for item in objects], pa.int64()),
            "records": records,
            "accepted": records - rejected,
            "rejected": rejected,
        }
    )
