"""Models of vectors: a user's score for a book is the product of theirs, and the book's bias.

Belongs here: scoring, fold-in and explanation by vectors, whoever trained them. Does not: training (lightfm.py, als.py, content.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, BoolArray, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories, fading

RIDGE = 1.0
"""Regularization of the map from histories to users, in users: there are thousands of them to a few dozen components."""


@dataclass(frozen=True)
class FactorModel:
    """score = user vector · book vector + book bias.

    Shapes (n_users, c), (n_books, c), (n_books,), (n_users,). `known`: users with something liked in training. `from_history`
    (c + 1, c) takes the mean of a history's book vectors, newer books counting more (`half_life`, in books), and a 1 to
    the reader's vector.
    """

    name: str
    user_vectors: FloatArray
    book_vectors: FloatArray
    book_bias: FloatArray
    known: BoolArray
    from_history: FloatArray
    half_life: float

    def scores(self, users: IntArray) -> FloatArray:
        """One matrix product."""
        return self._against_books(self.user_vectors[users])

    def fold_in(self, histories: Histories) -> FloatArray:
        """The product with vectors made of histories."""
        means = history_means(histories, self.book_vectors, self.half_life)
        return self._against_books(means @ self.from_history[:-1] + self.from_history[-1])

    def contributions(self, history: Histories, books: IntArray) -> FloatArray:
        """What each liked book adds to the reader's vector, times the vectors of the books."""
        shares = fading(history.age, self.half_life)
        own = self.book_vectors[history.books] * (shares / max(shares.sum(), 1e-9))[:, None]
        return np.asarray(own @ self.from_history[:-1] @ self.book_vectors[books].T)

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user liked something in training."""
        return self.known[users]

    def arrays(self) -> dict[str, AnyArray]:
        """The fields but the name."""
        arrays = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name not in {"name", "half_life"}
        }
        return arrays | {"half_life": np.array([self.half_life]), "kind": np.array(["factors"], dtype=object)}

    @classmethod
    def restore(cls, name: str, arrays: Mapping[str, AnyArray]) -> "FactorModel":
        """The model of `arrays()`."""
        own = {each.name: arrays[each.name] for each in fields(cls) if each.name not in {"name", "half_life"}}
        return cls(name=name, half_life=float(arrays["half_life"][0]), **own)

    def _against_books(self, vectors: FloatArray) -> FloatArray:
        """In double precision, so that a user's scores do not depend on how many users are asked for with it."""
        scores = vectors.astype(np.float64) @ self._books
        scores += self.book_bias
        return scores.astype(np.float32)

    @cached_property
    def _books(self) -> DoubleArray:
        return np.ascontiguousarray(self.book_vectors.T, dtype=np.float64)


def history_means(histories: Histories, book_vectors: FloatArray, half_life: float) -> FloatArray:
    """The mean of each history's book vectors, newer books counting more, shape (n_readers, c); 0 for an empty history."""
    weights = histories.weighted(half_life)
    total = np.asarray(weights.sum(axis=1)).reshape(-1, 1)
    return np.asarray((weights @ book_vectors) / np.maximum(total, 1e-9), dtype=np.float32)


def map_from_histories(
    histories: Histories, user_vectors: FloatArray, book_vectors: FloatArray, half_life: float
) -> FloatArray:
    """The ridge regression (Hoerl & Kennard 1970) of the trained users' vectors on their histories' means and a 1."""
    read = histories.lengths > 0
    means = history_means(histories, book_vectors, half_life)[read].astype(np.float64)
    return ridge(np.column_stack([means, np.ones(len(means))]), user_vectors[read], RIDGE).astype(np.float32)


def ridge(given: FloatArray, wanted: FloatArray, regularization: float) -> FloatArray:
    """W that minimises ‖given W - wanted‖² + regularization ‖W‖², shape (given columns, wanted columns)."""
    gram = given.T @ given + regularization * np.eye(given.shape[1])
    return np.asarray(np.linalg.solve(gram, given.T @ wanted))


def book_similarity(book_vectors: FloatArray) -> Callable[[IntArray], FloatArray]:
    """Cosine similarity of books to all books, to rank by; -inf where it is not above 0: such books are not alike."""
    length = np.linalg.norm(book_vectors, axis=1, keepdims=True)
    unit = np.divide(book_vectors, length, out=np.zeros_like(book_vectors), where=length > 0)
    return lambda books: _above_zero(unit[books] @ unit.T)


def _above_zero(similarity: FloatArray) -> FloatArray:
    similarity[similarity <= 0] = -np.inf
    return similarity
