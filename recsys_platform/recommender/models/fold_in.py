"""From what a reader liked to the reader's vector, without training.

Belongs here: the ways to do so, and what each liked book adds to the vector. Does not: what vectors are scored against (factors.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, FloatArray
from recsys_platform.recommender.models.histories import Histories, fading
from recsys_platform.recommender.models.scoring import add_rows

RIDGE = 1.0
"""Regularization of the map from histories to users, in users: there are thousands of them to a few dozen components."""


class Folding(Protocol):
    """Knows one way; `books` are the vectors of the catalogue, shape (n_books, c)."""

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """The vector of each reader, shape (n_readers, c); it does not depend on who else is asked for."""

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """What each liked book adds to one reader's vector, shape (books in the history, c)."""

    def arrays(self) -> dict[str, AnyArray]:
        """All that it needs, by name."""


@dataclass(frozen=True)
class MeanMap:
    """A linear map of the mean of the liked books' vectors: for models whose training has no closed form.

    `from_history` (c + 1, c) takes that mean, newer books counting more (`half_life`, in books), and a 1 to the vector.
    """

    from_history: FloatArray
    half_life: float

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """The mapped means."""
        means = history_means(histories, books, self.half_life).astype(np.float64)  # one row and many round alike
        return np.asarray(means @ self.from_history[:-1] + self.from_history[-1], dtype=np.float32)

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """Each book's part of the mean, mapped; what is added for everyone is nobody's."""
        weight = fading(history.age, self.half_life)
        own = books[history.books] * (weight / max(weight.sum(), 1e-9))[:, None]
        return np.asarray(own @ self.from_history[:-1])

    def arrays(self) -> dict[str, AnyArray]:
        """The fields."""
        return {"from_history": self.from_history, "half_life": np.array([self.half_life])}


@dataclass(frozen=True)
class LeastSquares:
    """The step that trains a user when the books' vectors stay (Hu, Koren & Volinsky 2008, equation 4).

    `gram` (c, c): YᵀY + λI of the vectors Y that the books had in training. `alpha`: confidence of the newest liked book, halved
    every `half_life` books.
    """

    gram: DoubleArray
    alpha: float
    half_life: float

    def vectors(self, histories: Histories, books: FloatArray) -> FloatArray:
        """The solution for each reader alone."""
        confidence = self.alpha * fading(histories.age, self.half_life).astype(np.float64)
        found = np.empty((len(histories), books.shape[1]), np.float32)
        for reader, (start, stop) in enumerate(zip(histories.starts, histories.starts[1:], strict=False)):
            own = books[histories.books[start:stop]].astype(np.float64)
            found[reader] = self._solved(own, confidence[start:stop], confidence[start:stop] @ own)
        return found

    def shares(self, history: Histories, books: FloatArray) -> FloatArray:
        """The solution is linear in the liked books, so that each has its own: confidence · (gram + Yᵀ(C - I)Y)⁻¹ y."""
        own = books[history.books].astype(np.float64)
        confidence = self.alpha * fading(history.age, self.half_life).astype(np.float64)
        return np.asarray(self._solved(own, confidence, own.T * confidence).T, dtype=np.float32)

    def _solved(self, own: DoubleArray, confidence: DoubleArray, wanted: DoubleArray) -> DoubleArray:
        return np.asarray(np.linalg.solve(self.gram + (own.T * (confidence - 1)) @ own, wanted))

    def arrays(self) -> dict[str, AnyArray]:
        """The fields."""
        return {"gram": self.gram, "alpha": np.array([self.alpha]), "half_life": np.array([self.half_life])}


def restore_folding(arrays: Mapping[str, AnyArray]) -> Folding:
    """Undo `arrays()`."""
    half_life = float(arrays["half_life"][0])
    if "gram" in arrays:
        return LeastSquares(arrays["gram"], float(arrays["alpha"][0]), half_life)
    return MeanMap(arrays["from_history"], half_life)


def history_means(histories: Histories, books: FloatArray, half_life: float) -> FloatArray:
    """The mean of each history's book vectors, newer books counting more, shape (n_readers, c); 0 for an empty history."""
    weights = fading(histories.age, half_life)
    total = np.bincount(histories.reader, weights=weights, minlength=len(histories))
    sums = np.zeros((len(histories), books.shape[1]), np.float32)
    add_rows(histories.starts, histories.books, weights, books, sums)
    return np.asarray(sums / np.maximum(total, 1e-9)[:, None], dtype=np.float32)


def map_from_histories(histories: Histories, users: FloatArray, books: FloatArray, half_life: float) -> MeanMap:
    """The ridge regression (Hoerl & Kennard 1970) of the trained users' vectors on their histories' means and a 1."""
    read = histories.lengths > 0
    means = history_means(histories, books, half_life)[read].astype(np.float64)
    found = ridge(np.column_stack([means, np.ones(len(means))]), users[read], RIDGE)
    return MeanMap(found.astype(np.float32), half_life)


def ridge(given: FloatArray, wanted: FloatArray, regularization: float) -> FloatArray:
    """W that minimises ‖given W - wanted‖² + regularization ‖W‖², shape (given columns, wanted columns)."""
    gram = given.T @ given + regularization * np.eye(given.shape[1])
    return np.asarray(np.linalg.solve(gram, given.T @ wanted))
