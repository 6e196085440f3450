"""Models of vectors: a user's score for a book is the product of theirs, and the book's bias.

Belongs here: scoring and explanation by vectors, whoever trained them. Does not: training (lightfm.py, als.py, content.py), vectors of
readers whom training has not met (fold_in.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.fold_in import Folding, restore_folding
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.models.scoring import multiply

FEW = 4
"""So many users are scored without BLAS, which would read the books in double precision: half as fast."""
_ARRAYS = ("user_vectors", "book_vectors", "book_bias", "known")


@dataclass(frozen=True)
class FactorModel:
    """score = user vector · book vector + book bias.

    Shapes (n_users, c), (n_books, c), (n_books,), (n_users,). `known`: users with something liked in training. `folding`: how other
    readers get their vectors.
    """

    name: str
    user_vectors: FloatArray
    book_vectors: FloatArray
    book_bias: FloatArray
    known: BoolArray
    folding: Folding

    def scores(self, users: IntArray) -> FloatArray:
        """One matrix product."""
        return self._against_books(self.user_vectors[users])

    def fold_in(self, histories: Histories) -> FloatArray:
        """The product with vectors made of histories; ModelError if they are about another catalogue."""
        return self._against_books(self.folded_vectors(histories))

    def folded_vectors(self, histories: Histories) -> FloatArray:
        """Vectors made of histories, shape (n_histories, c); ModelError if they are about another catalogue."""
        histories.check_about(len(self.book_vectors))
        return self.folding.vectors(histories, self.book_vectors)

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """What each liked book adds to the reader's vector, times the vectors of the books."""
        return np.asarray(self.folding.shares(history, self.book_vectors) @ self.book_vectors[books].T)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user liked something in training."""
        return self.known[users]

    def arrays(self) -> dict[str, AnyArray]:
        """The fields but the name."""
        kind = {"kind": np.array(["factors"], dtype=object)}
        return {name: getattr(self, name) for name in _ARRAYS} | self.folding.arrays() | kind

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "FactorModel":
        """The model of `arrays()`."""
        return cls(name=name, folding=restore_folding(arrays), **{each: arrays[each] for each in _ARRAYS})

    def _against_books(self, vectors: FloatArray) -> FloatArray:
        """In double precision, so that a user's scores do not depend on how many users are asked for with it."""
        if len(vectors) <= FEW:
            scores = np.empty((len(vectors), len(self.book_bias)), np.float32)
            multiply(vectors, self._books, self.book_bias, scores)
            return scores
        double = vectors.astype(np.float64) @ self._books.astype(np.float64)
        double += self.book_bias
        return double.astype(np.float32)

    @cached_property
    def _books(self) -> FloatArray:
        return np.ascontiguousarray(self.book_vectors.T, dtype=np.float32)


def book_similarity(book_vectors: FloatArray) -> Callable[[IntArray], FloatArray]:
    """Cosine similarity of books to all books, to rank by; -inf where it is not above 0: such books are not alike."""
    length = np.linalg.norm(book_vectors, axis=1, keepdims=True)
    unit = np.divide(book_vectors, length, out=np.zeros_like(book_vectors), where=length > 0)
    return lambda books: _above_zero(unit[books] @ unit.T)


def _above_zero(similarity: FloatArray) -> FloatArray:
    similarity[similarity <= 0] = -np.inf
    return similarity
