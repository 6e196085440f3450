"""Factor models: a score is the dot product of a user's and a book's vector, plus the book's bias.

Belongs here: scoring and explaining by vectors. Does not: training (lightfm.py, als.py, content.py), vectors of readers outside the
training data (fold_in.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.models.fold_in import FoldInMethod, restore_fold_in
from recsys_platform.recommender.models.histories import Histories
from recsys_platform.recommender.models.scoring import multiply

MAX_USERS_WITHOUT_BLAS = 4
"""Up to this many users are scored without BLAS, which is half as fast: it reads the books in double precision."""
_ARRAYS = ("user_vectors", "book_vectors", "book_bias", "known")


@dataclass(frozen=True)
class FactorModel:
    """score = user vector · book vector + book bias.

    Shapes (n_users, c), (n_books, c), (n_books,), (n_users,). `known`: users with likes in training. `fold_in_method`: computes the
    vectors of other readers.
    """

    name: str
    user_vectors: FloatArray
    book_vectors: FloatArray
    book_bias: FloatArray
    known: BoolArray
    fold_in_method: FoldInMethod

    def scores(self, users: IntArray) -> FloatArray:
        """Scores as one matrix product."""
        return self._score_all_books(self.user_vectors[users])

    def fold_in(self, histories: Histories) -> FloatArray:
        """Scores for histories, without training. ModelError if they are about another item catalog."""
        return self._score_all_books(self.fold_in_vectors(histories))

    def fold_in_vectors(self, histories: Histories) -> FloatArray:
        """Vectors of histories, shape (n_histories, c). ModelError if they are about another item catalog."""
        histories.check_catalog_size(len(self.book_vectors))
        return self.fold_in_method.vectors(histories, self.book_vectors)

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """Dot product of each liked book's part of the reader's vector with the vectors of `books`."""
        return np.asarray(self.fold_in_method.shares(history, self.book_vectors) @ self.book_vectors[books].T)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user has likes in training."""
        return self.known[users]

    def arrays(self) -> dict[str, AnyArray]:
        """All fields except the name."""
        kind = {"kind": np.array(["factors"], dtype=object)}
        return {name: getattr(self, name) for name in _ARRAYS} | self.fold_in_method.arrays() | kind

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "FactorModel":
        """Restore the model from `arrays()`."""
        return cls(name=name, fold_in_method=restore_fold_in(arrays), **{each: arrays[each] for each in _ARRAYS})

    def _score_all_books(self, vectors: FloatArray) -> FloatArray:
        """Scores in double precision, so that they do not depend on the number of users in the batch."""
        if len(vectors) <= MAX_USERS_WITHOUT_BLAS:
            scores = np.empty((len(vectors), len(self.book_bias)), np.float32)
            multiply(vectors, self._transposed_books, self.book_bias, scores)
            return scores
        double = vectors.astype(np.float64) @ self._transposed_books.astype(np.float64)
        double += self.book_bias
        return double.astype(np.float32)

    @cached_property
    def _transposed_books(self) -> FloatArray:
        return np.ascontiguousarray(self.book_vectors.T, dtype=np.float32)


def book_similarity(book_vectors: FloatArray) -> Callable[[IntArray], FloatArray]:
    """Return a function from books to their cosine similarity with all books; -inf where it is not above 0."""
    length = np.linalg.norm(book_vectors, axis=1, keepdims=True)
    unit = np.divide(book_vectors, length, out=np.zeros_like(book_vectors), where=length > 0)
    return lambda books: _positive_only(unit[books] @ unit.T)


def _positive_only(similarity: FloatArray) -> FloatArray:
    similarity[similarity <= 0] = -np.inf
    return similarity
