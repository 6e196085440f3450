"""Item cold start: vectors of books without likes, from their features.

Belongs here: the ridge regression from features to vectors (Gantner et al. 2010). Does not: models trained on features (lightfm.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from recsys_platform.recommender.arrays import Csr, FloatArray, IntArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.params import Positive


@dataclass(frozen=True)
class ContentParams:
    """`regularization`: ridge penalty, in books."""

    regularization: Positive = 3.0


def vectors_of_new_books(data: Dataset, vectors: FloatArray, params: ContentParams) -> FloatArray:
    """Return `vectors` (n_books, c) with the rows of books without likes predicted from their features.

    The map from features to vectors is fitted on the other books by ridge regression.
    """
    new = np.flatnonzero(likes_of_books(data) == 0)
    features = _feature_presence(data.book_features.matrix)
    if not len(new) or len(new) == len(vectors) or not features.shape[1]:
        return vectors
    known = np.setdiff1d(np.arange(len(vectors)), new)
    mapped = vectors.copy()
    mapped[new] = _with_intercept(features[new]) @ _fit_feature_map(
        _with_intercept(features[known]), vectors[known], params
    )
    return mapped


def likes_of_books(data: Dataset) -> IntArray:
    """Return the number of likes per book, shape (n_books,)."""
    liked = data.interactions.book[data.interactions.positive]
    return np.bincount(liked, minlength=len(data.book_ids)).astype(np.int32)


def _feature_presence(features: Csr) -> Csr:
    """1 where a book has a feature: with shares, a book of many genres would be similar to none of them."""
    return sparse.csr_array((np.ones(features.nnz), features.indices, features.indptr), shape=features.shape)


def _with_intercept(features: sparse.csr_array) -> sparse.csr_array:
    one = sparse.csr_array(np.ones((features.shape[0], 1)))
    return sparse.csr_array(sparse.hstack([features, one], format="csr"))


def _fit_feature_map(features: sparse.csr_array, vectors: FloatArray, params: ContentParams) -> FloatArray:
    gram = features.T @ features + params.regularization * sparse.eye_array(features.shape[1])
    solved = spsolve(sparse.csc_array(gram), features.T @ vectors.astype(np.float64))
    return np.asarray(solved, dtype=np.float32).reshape(features.shape[1], -1)
