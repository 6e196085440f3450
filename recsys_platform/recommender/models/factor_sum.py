"""The weighted sum of several factor models' standardized scores, as one matrix product.

Belongs here: that product. Does not: models of other kinds, the search for weights (blend.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys_platform.recommender.arrays import DoubleArray, FloatArray
from recsys_platform.recommender.models.factors import MAX_USERS_WITHOUT_BLAS, FactorModel
from recsys_platform.recommender.models.scoring import multiply, standardize_vectors

MAX_BOOKS_WITHOUT_BLAS = 256
"""Up to this many books are scored without BLAS, whose summation order can change the rounding of small sums."""
VARIANCE_TOLERANCE = 1e-12
"""A variance below this share of the components' own variances is rounding error: the square of float32's precision."""


@dataclass(frozen=True)
class FactorSum:
    """The weighted sum of the standardized scores of several factor models of one item catalog.

    Book vectors and biases are centred once, so a user's scores have mean 0, and their variance is a quadratic form of the user's
    vector. So scores can be standardized before they are computed. Weights have the shape (n_models,).
    """

    models: tuple[FactorModel, ...]
    weights: FloatArray

    def scores(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """Scores (m, n_books) from the vectors of m users by model, each of shape (m, c of the model)."""
        joined = np.empty((len(vectors[0]), len(self._centred_books)), np.float64)
        start = 0
        for each, covariance, weight in zip(vectors, self._component_covariances, self.weights, strict=True):
            standardize_vectors(
                each, covariance, weight, VARIANCE_TOLERANCE, joined[:, start : start + len(covariance)]
            )
            start += len(covariance)
        if len(joined) <= MAX_USERS_WITHOUT_BLAS or self._centred_books.shape[1] <= MAX_BOOKS_WITHOUT_BLAS:
            scores = np.empty((len(joined), self._centred_books.shape[1]), np.float32)
            multiply(joined, self._centred_books, self._no_bias, scores)
            return scores
        return (joined @ self._centred_books_in_double).astype(np.float32)

    @cached_property
    def _centred_books(self) -> FloatArray:
        """The stacked vectors and biases of all models, shape (sum of c + 1, n_books)."""
        return np.ascontiguousarray(np.vstack([_centred_vectors(model) for model in self.models]), dtype=np.float32)

    @cached_property
    def _no_bias(self) -> FloatArray:
        return np.zeros(self._centred_books.shape[1], np.float32)

    @cached_property
    def _centred_books_in_double(self) -> DoubleArray:
        return self._centred_books.astype(np.float64)

    @cached_property
    def _component_covariances(self) -> list[DoubleArray]:
        """By model: covariance of its components over the books, shape (c + 1, c + 1)."""
        ends = np.cumsum([model.book_vectors.shape[1] + 1 for model in self.models])
        parts = np.split(self._centred_books_in_double, ends[:-1])
        return [part @ part.T / part.shape[1] for part in parts]


def _centred_vectors(model: FactorModel) -> DoubleArray:
    """Vectors and biases minus those of the first book, then minus the mean: equal numbers become exactly 0."""
    both = np.vstack([model.book_vectors.T, model.book_bias]).astype(np.float64)
    both -= both[:, :1].copy()
    return np.asarray(both - both.mean(axis=1, keepdims=True))
