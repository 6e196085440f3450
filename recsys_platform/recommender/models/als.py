"""Matrix factorization for implicit feedback by alternating least squares (Hu, Koren & Volinsky 2008), trained by `implicit`.

Belongs here: parameters, fitting, vectors of books without likes. Does not: scoring (factors.py).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys_platform.recommender.arrays import FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.content import ContentParams, vectors_of_new_books
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fold_in import LeastSquares
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.params import Components, Count, HalfLife, Positive, Seed


@dataclass(frozen=True)
class AlsParams:
    """Parameters of ALS.

    `alpha`: confidence of the newest liked book. `half_life`: of the confidence, in books liked since. `regularization` must be above
    0, because the vector of a reader with few books is not unique without it.
    """

    components: Components = 64
    regularization: Positive = 20.0
    alpha: Positive = 5.0
    iterations: Count = 15
    half_life: HalfLife = 50.0
    seed: Seed = 0
    content: ContentParams = field(default_factory=ContentParams)


def fit_als(data: Dataset, params: AlsParams, *, name: str = "als") -> FactorModel:
    """Fit vectors of readers and books; books without likes get vectors from their features.

    Raises NothingToLearnError if there are no likes.
    """
    histories = histories_of(data)
    if not len(histories.books):
        raise NothingToLearnError("Nobody liked a book yet: there is nothing to train ALS on. Load more events first.")
    users, books = _fit_factors(sparse.csr_matrix(histories.weighted(params.half_life)), params)
    double = books.astype(np.float64)
    gram = double.T @ double + params.regularization * np.eye(books.shape[1])
    books = vectors_of_new_books(data, books, params.content)
    return FactorModel(
        name=name,
        user_vectors=users,
        book_vectors=books,
        book_bias=np.zeros(len(books), np.float32),
        known=histories.lengths > 0,
        fold_in_method=LeastSquares(gram, params.alpha, params.half_life),
    )


def _fit_factors(liked: Any, params: AlsParams) -> tuple[FloatArray, FloatArray]:
    from implicit.als import AlternatingLeastSquares  # slow import, only needed for training

    with threadpool_limits(1, "blas"):  # implicit has its own threads, and BLAS threads would slow them down
        model = AlternatingLeastSquares(
            factors=params.components,
            regularization=params.regularization,
            alpha=params.alpha,
            iterations=params.iterations,
            random_state=params.seed,
            num_threads=1,
        )
        model.fit(liked, show_progress=False)
    return np.asarray(model.user_factors), np.asarray(model.item_factors)
