"""The shallow autoencoder EASE in closed form (Steck 2019).

Belongs here: which books are liked together, and the dense form. Does not: catalogues too large for it (sparse_ease.py), in which
order books are liked (sequence.py), scoring (items.py).
"""

from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import Csr, DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemModel, most_liked
from recsys_platform.recommender.models.sparse_ease import weights_of_neighbours, weights_through_readers
from recsys_platform.recommender.models.symmetric import inverse_of_positive
from recsys_platform.recommender.params import Count, HalfLife, Positive


@dataclass(frozen=True)
class EaseParams:
    """`regularization`: λ, in readers. `half_life`: of a liked book's say, in books liked since.

    `max_books`: up to so many books, weights are dense and exact. Fitting takes 16 bytes times its square (400 MB at 5,000) and time
    with its cube. Of more books each has at most `neighbours` weights: exact ones where no more than `max_books` readers liked
    anything, else those of the books liked together with it alone.
    """

    regularization: Positive = 100.0
    half_life: HalfLife = 50.0
    max_books: Count = 5_000
    neighbours: Count = 200


def fit_ease(data: Dataset, params: EaseParams, *, name: str = "ease") -> ItemModel:
    """B = I - P / diag(P) with P = (XᵀX + λI)⁻¹, X the readers' liked books without weights.

    NothingToLearnError if nobody liked anything.
    """
    histories = histories_of(data)
    chosen = most_liked(histories, histories.n_books)
    if not len(chosen):
        raise NothingToLearnError("Nobody liked a book yet: there is nothing to train EASE on. Load more events first.")
    liked: Csr = histories.matrix()[np.flatnonzero(histories.lengths)][:, chosen]
    return ItemModel(name, _weights(liked, params), chosen, histories, params.half_life)


def _weights(liked: Csr, params: EaseParams) -> FloatArray | Csr:
    readers, books = liked.shape
    if books <= params.max_books:
        return _dense(liked, params.regularization)
    if readers <= params.max_books:
        return weights_through_readers(liked, params.regularization, params.neighbours)
    return weights_of_neighbours(liked, params.regularization, params.neighbours)


def _dense(liked: Csr, regularization: float) -> FloatArray:
    gram: DoubleArray = np.asarray((liked.T @ liked).toarray(), dtype=np.float64, order="F")
    gram[np.diag_indices_from(gram)] += regularization
    precision = inverse_of_positive(gram)
    # Rows in one piece: SciPy would copy the whole matrix for every product with it.
    weights = (precision / -np.diag(precision)).astype(np.float32, order="C")
    np.fill_diagonal(weights, 0)
    return weights
