"""What readers liked, in order: what every personal model is trained on and can be asked with.

Belongs here: histories by reader, and how much less an older book counts. Does not: what models make of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import Csr, FloatArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.recency import newer_of_the_user
from recsys_platform.recommender.errors import ModelError


@dataclass(frozen=True)
class Histories:
    """Reader i liked `books[starts[i]:starts[i + 1]]`, oldest first; indices of a catalogue of `n_books`.

    `age`: how many newer books the reader of each of `books` liked: age by reading, whatever the calendar says.
    """

    starts: IntArray
    books: IntArray
    age: IntArray
    n_books: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> IntArray:
        """How many books each reader liked, shape (n_readers,)."""
        return np.diff(self.starts)

    @cached_property
    def reader(self) -> IntArray:
        """Whose each of `books` is."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)

    def take(self, readers: IntArray) -> "Histories":
        """The histories of some readers, in the order given."""
        lengths = self.lengths[readers]
        starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        where = np.repeat(self.starts[readers], lengths) + inside
        return Histories(starts, self.books[where], self.age[where], self.n_books)

    def check_about(self, n_books: int) -> None:
        """Raise ModelError unless they are about a catalogue of so many books: kernels read where they are told to."""
        if self.n_books != n_books:
            raise ModelError(
                f"The histories are about {self.n_books:,} books and the model about {n_books:,}: leave out the books that came "
                "since it was trained."
            )

    def weighted(self, half_life: float) -> Csr:
        """Each history as a row of shape (n_books,): 1 for the newest book, 0.5 for one that is `half_life` books older."""
        return self.matrix(fading(self.age, half_life))

    def matrix(self, weights: FloatArray | None = None) -> Csr:
        """Histories as rows, with a weight for each of `books`, 1 if none are given."""
        data = np.ones(len(self.books), np.float32) if weights is None else weights
        return sparse.csr_array((data, self.books, self.starts), shape=(len(self), self.n_books))


def fading(age: IntArray, half_life: float) -> FloatArray:
    """1 at age 0, halved every `half_life` books."""
    return np.exp2(-age / np.float32(half_life)).astype(np.float32)


def histories_of(data: Dataset) -> Histories:
    """What each user of a data set liked; books liked at the same moment are of the same age, the one with the lower index first."""
    liked = data.interactions.where(data.interactions.positive)
    order = np.lexsort((liked.book, liked.liked_at, liked.user))
    age = newer_of_the_user(liked)[order]
    return Histories(_starts(data.positives_per_user), liked.book[order], age, len(data.book_ids))


def histories_from(lists: Sequence[Sequence[int]], n_books: int) -> Histories:
    """Histories of readers that no data set knows: books by index, oldest first. ModelError if there is no such book."""
    lengths = np.array([len(each) for each in lists], dtype=np.int32)
    books = np.array([book for each in lists for book in each], dtype=np.int32)
    if len(books) and not 0 <= books.min() <= books.max() < n_books:
        raise ModelError(f"A history holds a book that is none of the {n_books:,} of the catalogue: leave it out.")
    return Histories(_starts(lengths), books, ages_in_order(lengths), n_books)


def ages_in_order(lengths: IntArray) -> IntArray:
    """The ages of the books of histories of such lengths, each book newer than the one before."""
    return np.repeat(np.cumsum(lengths), lengths).astype(np.int32) - 1 - np.arange(lengths.sum(), dtype=np.int32)


def _starts(lengths: IntArray) -> IntArray:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
