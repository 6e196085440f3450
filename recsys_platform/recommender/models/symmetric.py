"""Symmetric positive definite matrices.

Belongs here: the inverse. Does not: the models (ease.py, sparse_ease.py).
"""

import numpy as np
from scipy import linalg

from recsys_platform.recommender.arrays import DoubleArray
from recsys_platform.recommender.errors import DataError


def inverse_of_positive(matrix: DoubleArray) -> DoubleArray:
    """Invert a symmetric positive definite matrix (float64, Fortran order) in place, by Cholesky decomposition."""
    factor, info = linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    inverse, failed = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    if info or failed:
        raise DataError("The item-item matrix cannot be inverted. Increase `regularization`.")
    below = np.tril_indices_from(inverse, -1)
    inverse.T[below] = inverse[below]
    return np.asarray(inverse)
