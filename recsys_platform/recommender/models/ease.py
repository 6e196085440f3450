"""The shallow autoencoder EASE in closed form (Steck 2019).

Belongs here: which books are liked together. Does not: in which order (sequence.py), scoring (items.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from recsys_platform.recommender.arrays import DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import DataError, NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.items import ItemModel, most_liked
from recsys_platform.recommender.params import Count, HalfLife, Positive


@dataclass(frozen=True)
class EaseParams:
    """`regularization`: λ, in readers. `half_life`: of a liked book's say, in books liked since.

    `max_books`: only the most liked books take part. Fitting takes 16 bytes times its square (400 MB
    at 5,000) and time with its cube.
    """

    regularization: Positive = 100.0
    half_life: HalfLife = 50.0
    max_books: Count = 5_000


def fit_ease(data: Dataset, params: EaseParams, *, name: str = "ease") -> ItemModel:
    """B = I - P / diag(P) with P = (XᵀX + λI)⁻¹, X the readers' liked books without weights.

    NothingToLearnError if nobody liked anything.
    """
    histories = histories_of(data)
    chosen = most_liked(histories, params.max_books)
    if not len(chosen):
        raise NothingToLearnError("Nobody liked a book yet: there is nothing to train EASE on. Load more events first.")
    liked = histories.matrix()[:, chosen]
    gram = np.asarray((liked.T @ liked).toarray(), dtype=np.float64, order="F")
    gram[np.diag_indices_from(gram)] += params.regularization
    return ItemModel(name, _weights(gram), chosen, histories, params.half_life)


def _weights(gram: DoubleArray) -> FloatArray:
    precision = inverse_of_positive(gram)
    # Rows in one piece: SciPy would copy the whole matrix for every product with it.
    weights = (precision / -np.diag(precision)).astype(np.float32, order="C")
    np.fill_diagonal(weights, 0)
    return weights


def inverse_of_positive(matrix: DoubleArray) -> DoubleArray:
    """The inverse of a symmetric positive definite matrix (float64, Fortran order), in its own memory, by Cholesky."""
    factor, info = linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    inverse, failed = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    if info or failed:
        raise DataError("The matrix of books cannot be inverted. Raise its regularization.")
    below = np.tril_indices_from(inverse, -1)
    inverse.T[below] = inverse[below]
    return np.asarray(inverse)
