"""The interactions as arrays, with the id maps and features that belong to them.

Belongs here: the data class every model trains on, its fingerprint, its files. Does not: how it is made from the marts
(interactions.py), what is held out of it (splits.py).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IdArray, IntArray, TimeArray
from recsys_platform.recommender.errors import DataError


@dataclass(frozen=True)
class Interactions:
    """One row a user and book, sorted by user, then book; every array has the same length."""

    user: IntArray
    book: IntArray
    weight: FloatArray
    positive: BoolArray
    finished: BoolArray
    last_at: TimeArray

    def __len__(self) -> int:
        return len(self.user)

    def where(self, keep: BoolArray) -> "Interactions":
        """The rows for which `keep` (one flag a row) is true."""
        return Interactions(**{field.name: getattr(self, field.name)[keep] for field in fields(self)})


@dataclass(frozen=True)
class Features:
    """`matrix[row, column]` is above 0 where a user or book has the feature `names[column]`, such as `language=en`."""

    matrix: Csr
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """All users and books, with or without interactions; their position in `user_ids` and `book_ids` is their index.

    Languages are primary subtags (`en`), empty where unknown. `dropped` counts interactions with an unknown user or
    book.
    """

    user_ids: IdArray
    book_ids: IdArray
    user_language: IdArray
    book_language: IdArray
    available: BoolArray
    user_features: Features
    book_features: Features
    interactions: Interactions
    dropped: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """The number of users and of books."""
        return len(self.user_ids), len(self.book_ids)

    @property
    def window(self) -> tuple[np.datetime64, np.datetime64] | None:
        """The first and last time of an interaction, None if there is none."""
        times = self.interactions.last_at
        return (times.min(), times.max()) if len(times) else None

    @cached_property
    def positives_per_user(self) -> IntArray:
        """How many books each user liked, shape (n_users,)."""
        liked = self.interactions.user[self.interactions.positive]
        return np.bincount(liked, minlength=len(self.user_ids)).astype(np.int32)

    def pairs(self, keep: BoolArray | None = None) -> Csr:
        """The user-book pairs (of the interactions to keep) as a boolean matrix of `shape`."""
        rows = self.interactions if keep is None else self.interactions.where(keep)
        return pair_matrix(rows.user, rows.book, self.shape)

    def with_interactions(self, keep: BoolArray) -> "Dataset":
        """The same users and books with some of the interactions."""
        return replace(self, interactions=self.interactions.where(keep))

    def fingerprint(self) -> str:
        """A SHA-256 of everything in it: equal data sets have equal fingerprints, on any machine."""
        digest = hashlib.sha256()
        for name, part in _parts(self):
            digest.update(f"{name}:{len(part)}:".encode())
            digest.update(part)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write Parquet, npz and JSON files into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(_interactions_table(self.interactions), folder / "interactions.parquet")
        users = {"user_id": _strings(self.user_ids), "language": _strings(self.user_language)}
        books = {
            "book_id": _strings(self.book_ids),
            "language": _strings(self.book_language),
            "available": self.available,
        }
        pq.write_table(pa.table(users), folder / "users.parquet")
        pq.write_table(pa.table(books | {"available": self.available}), folder / "books.parquet")
        sparse.save_npz(folder / "user_features.npz", self.user_features.matrix)
        sparse.save_npz(folder / "book_features.npz", self.book_features.matrix)
        facts = {"users": self.user_features.names, "books": self.book_features.names, "dropped": self.dropped}
        (folder / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what `save` wrote; DataError if a file is missing or not readable."""
        try:
            return _load(folder)
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise DataError(f"Cannot read the data set in {folder}: {error}. Build it again from the marts.") from error


def pair_matrix(user: IntArray, book: IntArray, shape: tuple[int, int]) -> Csr:
    """A boolean matrix that is true at each (user, book)."""
    return sparse.csr_array((np.ones(len(user), dtype=bool), (user, book)), shape=shape)


def _load(folder: Path) -> Dataset:
    users, books = pq.read_table(folder / "users.parquet"), pq.read_table(folder / "books.parquet")
    rows = pq.read_table(folder / "interactions.parquet")
    facts = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    return Dataset(
        user_ids=_objects(users["user_id"]),
        book_ids=_objects(books["book_id"]),
        user_language=_objects(users["language"]),
        book_language=_objects(books["language"]),
        available=books["available"].to_numpy(),
        user_features=Features(_load_csr(folder / "user_features.npz"), tuple(facts["users"])),
        book_features=Features(_load_csr(folder / "book_features.npz"), tuple(facts["books"])),
        interactions=Interactions(**{field.name: rows[field.name].to_numpy() for field in fields(Interactions)}),
        dropped=facts["dropped"],
    )


def _load_csr(path: Path) -> Csr:
    return cast(Csr, sparse.csr_array(sparse.load_npz(path)))


def _interactions_table(rows: Interactions) -> pa.Table:
    return pa.table({field.name: getattr(rows, field.name) for field in fields(rows)})


def _strings(ids: IdArray) -> pa.Array:
    return pa.array(ids, type=pa.string())


def _objects(column: pa.ChunkedArray) -> IdArray:
    return np.asarray(column.to_numpy(), dtype=object)


def _parts(data: Dataset) -> Iterator[tuple[str, bytes]]:
    """Every piece of a data set as bytes that do not depend on the machine's byte order or on chunking."""
    for name in ("user_ids", "book_ids", "user_language", "book_language"):
        yield name, json.dumps(getattr(data, name).tolist()).encode()
    yield "available", data.available.tobytes()
    for name, features in (("user_features", data.user_features), ("book_features", data.book_features)):
        yield name, json.dumps(features.names).encode()
        yield name, _little(features.matrix.indptr.astype(np.int64)) + _little(features.matrix.indices.astype(np.int64))
    for field in fields(data.interactions):
        yield field.name, _little(getattr(data.interactions, field.name))


def _little(array: AnyArray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
