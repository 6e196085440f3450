"""Histories: the books that readers liked, in order; the input of every personal model.

Belongs here: histories by reader, and their decay by rank. Does not: the models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import Csr, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.recency import recency_rank
from recsys_platform.recommender.errors import ModelError

_TABULATED_AGES = 4096


@dataclass(frozen=True)
class Histories:
    """Reader i liked `books[starts[i]:starts[i + 1]]`, oldest first; indexes into an item catalog of `n_books`.

    `age`: for each of `books`, the number of newer books of the same reader (recency rank), not a time.
    """

    starts: IntArray
    books: IntArray
    age: IntArray
    n_books: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> IntArray:
        """Number of liked books per reader, shape (n_readers,)."""
        return self.starts[1:] - self.starts[:-1]

    @cached_property
    def reader(self) -> IntArray:
        """Reader of each of `books`."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    @cached_property
    def shares(self) -> dict[int, DoubleArray]:
        """What fold-in methods have computed of a single history, by the method's `id`."""
        return {}

    def take(self, readers: IntArray) -> "Histories":
        """Return the histories of some readers, in the given order."""
        lengths = self.lengths[readers]
        starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        where = np.repeat(self.starts[readers], lengths) + inside
        return Histories(starts, self.books[where], self.age[where], self.n_books)

    def check_catalog_size(self, n_books: int) -> None:
        """Raise ModelError unless the item catalog has `n_books` books: the kernels do not check indexes."""
        if self.n_books != n_books:
            raise ModelError(
                f"The histories are about {self.n_books:,} books and the model about {n_books:,}: leave out the books added "
                "after it was trained."
            )

    def weighted(self, half_life: float) -> Csr:
        """Return histories as rows: 1 for the newest book, 0.5 for one that is `half_life` books older."""
        return self.matrix(rank_decay(self.age, half_life))

    def matrix(self, weights: FloatArray | None = None) -> Csr:
        """Return histories as rows (n_readers, n_books), with a weight for each of `books`; 1 by default."""
        data = np.ones(len(self.books), np.float32) if weights is None else weights
        return sparse.csr_array((data, self.books, self.starts), shape=(len(self), self.n_books))


def rank_decay(age: IntArray, half_life: float) -> FloatArray:
    """Exponential decay by recency rank: 1 at age 0, halved every `half_life` books."""
    try:
        return _decay_by_age(half_life)[age]
    except IndexError:  # a history beyond the table
        return _decay(age, half_life)


@lru_cache(64)
def _decay_by_age(half_life: float) -> FloatArray:
    return _decay(np.arange(_TABULATED_AGES, dtype=np.int32), half_life)


def _decay(age: IntArray, half_life: float) -> FloatArray:
    return np.exp2(-age / np.float32(half_life)).astype(np.float32)


def histories_of(data: Dataset) -> Histories:
    """Return the likes of each user of a data set; books liked at the same time have the same age, ordered by index."""
    liked = data.interactions.where(data.interactions.positive)
    order = np.lexsort((liked.book, liked.liked_at, liked.user))
    age = recency_rank(liked)[order]
    return Histories(_start_offsets(data.positives_per_user), liked.book[order], age, len(data.book_ids))


def histories_from(lists: Sequence[Sequence[int]], n_books: int) -> Histories:
    """Build histories of readers outside the data set, from book indexes, oldest first. ModelError for an invalid index."""
    lengths = np.array([len(each) for each in lists], dtype=np.int32)
    books = np.array([book for each in lists for book in each], dtype=np.int32)
    if len(books) and not 0 <= books.min() <= books.max() < n_books:
        raise ModelError(f"A history has a book outside the item catalog of {n_books:,} books: leave it out.")
    return Histories(_start_offsets(lengths), books, ages_in_order(lengths), n_books)


def history_of(books: Sequence[int], n_books: int) -> Histories:
    """Build the history of one reader: as `histories_from([books], n_books)`, in a fraction of its time."""
    if books and not 0 <= min(books) <= max(books) < n_books:
        return histories_from([books], n_books)  # raises
    ages = np.arange(len(books) - 1, -1, -1, dtype=np.int32)
    return Histories(np.array([0, len(books)], np.int32), np.array(books, np.int32), ages, n_books)


def ages_in_order(lengths: IntArray) -> IntArray:
    """Return the ages of the books in histories of these lengths, oldest first."""
    return np.repeat(np.cumsum(lengths), lengths).astype(np.int32) - 1 - np.arange(lengths.sum(), dtype=np.int32)


def _start_offsets(lengths: IntArray) -> IntArray:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
