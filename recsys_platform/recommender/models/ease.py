"""The shallow autoencoder EASE in closed form (Steck 2019).

Belongs here: the dense solution. Does not: item catalogs too large for it (sparse_ease.py), the order of likes (sequence.py), scoring
(item_similarity.py).
"""

from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import Csr, DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel, most_liked
from recsys_platform.recommender.models.sparse_ease import weights_of_neighbours, weights_through_readers
from recsys_platform.recommender.models.symmetric import inverse_of_positive
from recsys_platform.recommender.params import Count, HalfLife, Positive


@dataclass(frozen=True)
class EaseParams:
    """Parameters of EASE.

    `regularization`: λ, in readers. `half_life`: of a liked book's weight, in books liked since. `max_books`: up to this many books
    the weights are dense and exact; memory is 16 bytes times its square (400 MB at 5,000), time grows with its cube. With more books
    each book has at most `neighbours` weights: exact ones if at most `max_books` readers have likes, else fitted on co-liked books
    only.
    """

    regularization: Positive = 100.0
    half_life: HalfLife = 50.0
    max_books: Count = 5_000
    neighbours: Count = 200


def fit_ease(data: Dataset, params: EaseParams, *, name: str = "ease") -> ItemSimilarityModel:
    """Fit B = I - P / diag(P) with P = (XᵀX + λI)⁻¹ and X the binary matrix of readers' likes.

    Raises NothingToLearnError if there are no likes.
    """
    histories = histories_of(data)
    chosen = most_liked(histories, histories.n_books)
    if not len(chosen):
        raise NothingToLearnError("Nobody liked a book yet: there is nothing to train EASE on. Load more events first.")
    liked: Csr = histories.matrix()[np.flatnonzero(histories.lengths)][:, chosen]
    return ItemSimilarityModel(name, _ease_weights(liked, params), chosen, histories, params.half_life)


def _ease_weights(liked: Csr, params: EaseParams) -> FloatArray | Csr:
    readers, books = liked.shape
    if books <= params.max_books:
        return _dense_weights(liked, params.regularization)
    if readers <= params.max_books:
        return weights_through_readers(liked, params.regularization, params.neighbours)
    return weights_of_neighbours(liked, params.regularization, params.neighbours)


def _dense_weights(liked: Csr, regularization: float) -> FloatArray:
    gram: DoubleArray = np.asarray((liked.T @ liked).toarray(), dtype=np.float64, order="F")
    gram[np.diag_indices_from(gram)] += regularization
    precision = inverse_of_positive(gram)
    # C order, because SciPy would copy a Fortran-ordered matrix for every product.
    weights = (precision / -np.diag(precision)).astype(np.float32, order="C")
    np.fill_diagonal(weights, 0)
    return weights
