"""Fold-in: a reader's vector from the reader's likes, without training.

Belongs here: the methods, and each liked book's part of the vector. Does not: scoring (factors.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.models.histories import Histories, rank_decay
from recsys_platform.recommender.models.scoring import add_rows, least_squares_shares

RIDGE = 1.0
"""Ridge penalty of the map from histories to user vectors, in users."""


class FoldInMethod(Protocol):
    """A fold-in method; `books` are the book vectors, shape (n_books, c)."""

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """Vectors of the readers, shape (n_readers, c); independent of the other readers in the batch."""

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """Each liked book's part of one reader's vector, shape (books in the history, c)."""

    def arrays(self) -> dict[str, AnyArray]:
        """All fields as arrays, by name."""


@dataclass(frozen=True)
class MeanMap:
    """A linear map of the mean vector of the liked books, for models whose user step has no closed form.

    `from_history` (c + 1, c) maps the mean, with newer books weighing more (`half_life`, in books), and an intercept to the vector.
    """

    from_history: FloatArray
    half_life: float

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """The mapped means."""
        means = history_means(histories, books, self.half_life).astype(
            np.float64
        )  # so that one row and many rows round alike
        return np.asarray(means @ self.from_history[:-1] + self.from_history[-1], dtype=np.float32)

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """Each book's part of the mean, mapped; the intercept belongs to no book."""
        weight = rank_decay(history.age, self.half_life)
        own = books[history.books] * (weight / max(weight.sum(), 1e-9))[:, None]
        return np.asarray(own @ self.from_history[:-1])

    def arrays(self) -> dict[str, AnyArray]:
        """The fields."""
        return {"from_history": self.from_history, "half_life": np.array([self.half_life])}


@dataclass(frozen=True)
class LeastSquares:
    """The user step of ALS with fixed book vectors (Hu, Koren & Volinsky 2008, equation 4).

    `gram` (c, c): YᵀY + λI of the book vectors Y in training. `alpha`: confidence of the newest liked book, halved every `half_life`
    books.
    """

    gram: DoubleArray
    alpha: float
    half_life: float

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """Least-squares solution per reader: the sum of the shares."""
        found = np.empty((len(histories), books.shape[1]), np.float32)
        if len(histories) == 1:
            found[0] = self._shares_of(histories, books).sum(axis=0)
            return found
        confidence = self._confidence(histories)
        for reader, (start, stop) in enumerate(zip(histories.starts, histories.starts[1:], strict=False)):
            found[reader] = self._solve(histories.books[start:stop], confidence[start:stop], books).sum(axis=0)
        return found

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """The solution is linear in the liked books; each book's part is confidence · (gram + Yᵀ(C - I)Y)⁻¹ y."""
        return self._shares_of(history, books).astype(np.float32)

    def _shares_of(self, history: Histories, books: FloatArray) -> DoubleArray:
        """The shares of one reader's books, computed once: a list is made by their sum and explained by each."""
        found = history.shares.get(id(self))
        if found is None:
            found = history.shares[id(self)] = self._solve(history.books, self._confidence(history), books)
        return found

    def _confidence(self, histories: Histories) -> DoubleArray:
        return self.alpha * rank_decay(histories.age, self.half_life).astype(np.float64)

    def _solve(self, liked: IntArray, confidence: DoubleArray, books: FloatArray) -> DoubleArray:
        """The shares of the books that one reader likes: a system of as many equations as books or as components, what is less."""
        if len(liked) <= books.shape[1]:
            return least_squares_shares(liked, confidence, books, self._inverse_gram)
        own = books[liked].astype(np.float64)
        system = self.gram + (own.T * (confidence - 1)) @ own
        return np.ascontiguousarray(np.linalg.solve(system, own.T * confidence).T)

    @cached_property
    def _inverse_gram(self) -> DoubleArray:
        return np.asarray(np.linalg.inv(self.gram), dtype=np.float64)

    def arrays(self) -> dict[str, AnyArray]:
        """The fields."""
        return {"gram": self.gram, "alpha": np.array([self.alpha]), "half_life": np.array([self.half_life])}


def restore_fold_in(arrays: Mapping[str, AnyArray]) -> FoldInMethod:
    """Restore a fold-in method from `arrays()`."""
    half_life = float(arrays["half_life"][0])
    if "gram" in arrays:
        return LeastSquares(arrays["gram"], float(arrays["alpha"][0]), half_life)
    return MeanMap(arrays["from_history"], half_life)


def history_means(histories: Histories, books: FloatArray, half_life: float) -> FloatArray:
    """Return weighted means of the histories' book vectors, shape (n_readers, c); newer books weigh more, 0 for an empty history."""
    weights = rank_decay(histories.age, half_life)
    total = np.bincount(histories.reader, weights=weights, minlength=len(histories))
    sums = np.zeros((len(histories), books.shape[1]), np.float32)
    add_rows(histories.starts, histories.books, weights, books, sums)
    return np.asarray(sums / np.maximum(total, 1e-9)[:, None], dtype=np.float32)


def map_from_histories(histories: Histories, users: FloatArray, books: FloatArray, half_life: float) -> MeanMap:
    """Fit the map by ridge regression (Hoerl & Kennard 1970) of the trained user vectors on the means of their histories."""
    read = histories.lengths > 0
    means = history_means(histories, books, half_life)[read].astype(np.float64)
    found = ridge(np.column_stack([means, np.ones(len(means))]), users[read], RIDGE)
    return MeanMap(found.astype(np.float32), half_life)


def ridge(inputs: FloatArray, targets: FloatArray, regularization: float) -> FloatArray:
    """Return W that minimises ‖inputs W - targets‖² + regularization ‖W‖², shape (input columns, target columns)."""
    gram = inputs.T @ inputs + regularization * np.eye(inputs.shape[1])
    return np.asarray(np.linalg.solve(gram, inputs.T @ targets))
