"""Several models of vectors as one: their standardized scores, weighted and added, are one product.

Belongs here: that product. Does not: models of other kinds, and how weights are chosen (blend.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys_platform.recommender.arrays import DoubleArray, FloatArray
from recsys_platform.recommender.models.factors import FEW, FactorModel
from recsys_platform.recommender.models.scoring import multiply

SMALL = 256
"""So many books are scored without BLAS, which adds in another order: of a few, sums can lie just between two float32."""
SAME = 1e-12
"""A variance is rounding if it is no larger a part of what the components vary by themselves: the square of float32's precision."""


@dataclass(frozen=True)
class FactorSum:
    """The weighted sum of the scores of models of one catalogue, each with mean 0 and deviation 1 over a user's books.

    With the mean over all books taken off their vectors and biases beforehand, a user's scores have the mean 0, and their variance
    is a quadratic form of the user's vector: neither needs the scores themselves. Weights have the shape (n_models,).
    """

    models: tuple[FactorModel, ...]
    weights: FloatArray

    def scores(self, vectors: Sequence[FloatArray]) -> FloatArray:
        """From vectors of m users by model, each (m, c of the model), to shape (m, n_books)."""
        joined = np.hstack(
            [
                _standardizing_vectors(_with_one(each), covariance) * w
                for each, covariance, w in zip(vectors, self._covariances, self.weights, strict=True)
            ]
        )
        if len(joined) <= FEW or self._centred_books.shape[1] <= SMALL:
            scores = np.empty((len(joined), self._centred_books.shape[1]), np.float32)
            multiply(joined, self._centred_books, np.zeros(self._centred_books.shape[1], np.float32), scores)
            return scores
        return (joined @ self._centred_books_in_double).astype(np.float32)

    @cached_property
    def _centred_books(self) -> FloatArray:
        """The models' vectors below each other, after each its biases, shape (sum of c + 1, n_books)."""
        return np.ascontiguousarray(np.vstack([_centred_vectors(model) for model in self.models]), dtype=np.float32)

    @cached_property
    def _centred_books_in_double(self) -> DoubleArray:
        return self._centred_books.astype(np.float64)

    @cached_property
    def _covariances(self) -> list[DoubleArray]:
        """Of each model the covariance of its components over the books, shape (c + 1, c + 1)."""
        ends = np.cumsum([model.book_vectors.shape[1] + 1 for model in self.models])
        parts = np.split(self._centred_books_in_double, ends[:-1])
        return [part @ part.T / part.shape[1] for part in parts]


def _centred_vectors(model: FactorModel) -> DoubleArray:
    """What books differ by from the first, and then from the mean of that: equal numbers become exactly 0."""
    both = np.vstack([model.book_vectors.T, model.book_bias]).astype(np.float64)
    both -= both[:, :1].copy()
    return np.asarray(both - both.mean(axis=1, keepdims=True))


def _with_one(vectors: FloatArray) -> DoubleArray:
    """The factor of the bias is 1."""
    return np.hstack([vectors, np.ones((len(vectors), 1))], dtype=np.float64)


def _standardizing_vectors(vectors: DoubleArray, covariance: DoubleArray) -> DoubleArray:
    """The vectors divided by the deviation of the scores that they give; 0 where all scores are equal but for rounding."""
    variance = np.einsum("ij,jk,ik->i", vectors, covariance, vectors, optimize=False)
    differs = variance > SAME * (vectors**2 @ np.diag(covariance))
    return vectors * np.where(differs, 1 / np.sqrt(np.where(differs, variance, 1)), 0)[:, None]
