"""The interactions as arrays, with the id maps and features that belong to them.

Belongs here: the data class every model trains on, and its fingerprint. Does not: how it is made from the marts
(interactions.py), what is held out of it (splits.py).
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
    """One row a user and book, sorted by user, then book; every array has the same length.

    `positive`: what counts as liked, see `Dataset.signal`; `liked_at`: since when, `last_at` of all other rows. `rejected`: the user
    dislikes the book (`weight` below 0), or removed or dismissed it last.
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
        """The rows for which `keep` (one flag a row) is true."""
        return Interactions(**{each.name: getattr(self, each.name)[keep] for each in fields(self)})


@dataclass(frozen=True)
class Features:
    """`matrix[row, column]` is above 0 where a user or book has the feature `names[column]`, such as `language=en`."""

    matrix: Csr
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """All users and books, with or without interactions; their position in `user_ids` and `book_ids` is their index.

    Languages are primary subtags (`en`), empty where unknown. `premium`: books that users with `is_free` may not open. `book_words`:
    the words of titles. `dropped` counts interactions with an unknown user or book. `signal`: what counts as liked here.
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
        """The first and last time of an interaction, None if there is none."""
        times = self.interactions.last_at
        return (times.min(), times.max()) if len(times) else None

    @property
    def newest_time(self) -> str:
        """The last time of an interaction as ISO text, empty if there is none."""
        return str(self.window[1].astype("datetime64[us]")) if self.window else ""

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

    @property
    def catalogue_hash(self) -> str:
        """A SHA-256 of the ids of all books: models speak of books by their place among them."""
        return hashlib.sha256(json.dumps(self.book_ids.tolist()).encode()).hexdigest()

    def fingerprint(self) -> str:
        """A SHA-256 of everything in it: equal data sets have equal fingerprints, on any machine."""
        digest = hashlib.sha256()
        for name, part in _parts(self):
            digest.update(f"{name}:{len(part)}:".encode())
            digest.update(part)
        return digest.hexdigest()


def pair_matrix(user: IntArray, book: IntArray, shape: tuple[int, int]) -> Csr:
    """A boolean matrix that is true at each (user, book)."""
    return sparse.csr_array((np.ones(len(user), dtype=bool), (user, book)), shape=shape)


def _parts(data: Dataset) -> Iterator[tuple[str, bytes]]:
    """Every piece of a data set as bytes that do not depend on the machine's byte order or on chunking."""
    for name in ("user_ids", "book_ids", "user_language", "book_language"):
        yield name, json.dumps(getattr(data, name).tolist()).encode()
    for name in ("available", "premium", "is_free"):
        yield name, getattr(data, name).tobytes()
    for name in ("user_features", "book_features", "book_words"):
        features = getattr(data, name)
        yield name, json.dumps(features.names).encode()
        yield name, _little(features.matrix.indptr.astype(np.int64)) + _little(features.matrix.indices.astype(np.int64))
    yield "signal", data.signal.verb.encode()
    for each in fields(data.interactions):
        yield each.name, _little(getattr(data.interactions, each.name))


def _little(array: AnyArray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
