"""The data set: interactions as arrays, with ids and features of users and books.

Belongs here: the data class that every model trains on, and its fingerprint. Does not: building it from the marts
(interactions.py), train/test splits (splits.py).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IdArray, IntArray, TimeArray
from recsys_platform.recommender.data.signals import Signal


@dataclass(frozen=True)
class Interactions:
    """One row per user and book, sorted by user, then book; all arrays have the same length.

    `user`, `book`: indexes into `Dataset.user_ids` and `book_ids`. `positive`: whether the pair counts as liked, see `Dataset.signal`;
    `liked_at`: the time of the first like, `last_at` for other rows. `rejected`: the user dislikes the book (`weight` below 0), or
    removed or dismissed it last.
    """

    user: IntArray
    book: IntArray
    weight: FloatArray
    positive: BoolArray
    finished: BoolArray
    rejected: BoolArray
    last_at: TimeArray
    liked_at: TimeArray

    def __len__(self) -> int:
        return len(self.user)

    def where(self, keep: BoolArray) -> "Interactions":
        """Return the rows whose flag in `keep` is true."""
        return Interactions(**{each.name: getattr(self, each.name)[keep] for each in fields(self)})


@dataclass(frozen=True)
class Features:
    """Sparse features: `matrix[row, column]` is above 0 if the user or book has the feature `names[column]`, e.g. `language=en`."""

    matrix: Csr
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """All users and books, with or without interactions; the position in `user_ids` and `book_ids` is the index of a user or book.

    Languages are primary subtags (`en`), empty if unknown. `premium`: books that users with `is_free` may not open. `book_words`:
    words of the titles. `dropped`: number of interactions with an unknown user or book. `signal`: which interactions count as liked.
    """

    user_ids: IdArray
    book_ids: IdArray
    user_language: IdArray
    book_language: IdArray
    available: BoolArray
    premium: BoolArray
    is_free: BoolArray
    user_features: Features
    book_features: Features
    book_words: Features
    interactions: Interactions
    dropped: int = 0
    signal: Signal = field(default_factory=Signal)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of users and of books."""
        return len(self.user_ids), len(self.book_ids)

    @property
    def window(self) -> tuple[np.datetime64, np.datetime64] | None:
        """Time of the first and the last interaction; None without interactions."""
        times = self.interactions.last_at
        return (times.min(), times.max()) if len(times) else None

    @property
    def newest_time(self) -> str:
        """Time of the last interaction as ISO text; empty without interactions."""
        return str(self.window[1].astype("datetime64[us]")) if self.window else ""

    @cached_property
    def positives_per_user(self) -> IntArray:
        """Number of liked books per user, shape (n_users,)."""
        liked = self.interactions.user[self.interactions.positive]
        return np.bincount(liked, minlength=len(self.user_ids)).astype(np.int32)

    def pairs(self, keep: BoolArray | None = None) -> Csr:
        """Return the user-book pairs as a boolean matrix of `shape`, of all interactions or of those in `keep`."""
        rows = self.interactions if keep is None else self.interactions.where(keep)
        return pair_matrix(rows.user, rows.book, self.shape)

    def with_interactions(self, keep: BoolArray) -> "Dataset":
        """Return a copy with the interactions in `keep`."""
        return replace(self, interactions=self.interactions.where(keep))

    def without_readers(self) -> "Dataset":
        """Return a copy with the books alone: no users and no interactions."""
        nobody, features = np.zeros(len(self.user_ids), dtype=bool), self.user_features
        return replace(
            self.with_interactions(np.zeros(len(self.interactions), dtype=bool)),
            user_ids=self.user_ids[nobody],
            user_language=self.user_language[nobody],
            is_free=self.is_free[nobody],
            user_features=Features(features.matrix[:0], features.names),
        )

    @property
    def catalogue_hash(self) -> str:
        """SHA-256 of all book ids. Models identify books by their index, so both must match."""
        return hashlib.sha256(json.dumps(self.book_ids.tolist()).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Return the SHA-256 of all content. Equal data sets have equal fingerprints, on any machine."""
        digest = hashlib.sha256()
        for name, part in _fingerprint_parts(self):
            digest.update(f"{name}:{len(part)}:".encode())
            digest.update(part)
        return digest.hexdigest()


def pair_matrix(user: IntArray, book: IntArray, shape: tuple[int, int]) -> Csr:
    """Return a boolean matrix that is true at each (user, book)."""
    return sparse.csr_array((np.ones(len(user), dtype=bool), (user, book)), shape=shape)


def _fingerprint_parts(data: Dataset) -> Iterator[tuple[str, bytes]]:
    """All parts of a data set as bytes that do not depend on byte order or chunking."""
    for name in ("user_ids", "book_ids", "user_language", "book_language"):
        yield name, json.dumps(getattr(data, name).tolist()).encode()
    for name in ("available", "premium", "is_free"):
        yield name, getattr(data, name).tobytes()
    for name in ("user_features", "book_features", "book_words"):
        features = getattr(data, name)
        yield name, json.dumps(features.names).encode()
        yield (
            name,
            _little_endian_bytes(features.matrix.indptr.astype(np.int64))
            + _little_endian_bytes(features.matrix.indices.astype(np.int64)),
        )
    yield "signal", data.signal.verb.encode()
    for each in fields(data.interactions):
        yield each.name, _little_endian_bytes(getattr(data.interactions, each.name))


def _little_endian_bytes(array: AnyArray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
