"""Matrix factorization for implicit feedback by alternating least squares (Hu, Koren & Volinsky 2008), trained by `implicit`.

Belongs here: its parameters and what is done for books nobody liked yet. Does not: scoring (factors.py).
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
    """`alpha`: confidence of a liked book that is as new as can be. `half_life`: of that confidence, in books liked since.

    `regularization` is above 0: without it a reader of few books has no single best vector.
    """

    components: Components = 64
    regularization: Positive = 20.0
    alpha: Positive = 5.0
    iterations: Count = 15
    half_life: HalfLife = 50.0
    seed: Seed = 0
    content: ContentParams = field(default_factory=ContentParams)


def fit_als(data: Dataset, params: AlsParams, *, name: str = "als") -> FactorModel:
    """The factors of readers and books; books that nobody liked get theirs from their features.

    NothingToLearnError if nobody liked anything.
    """
    histories = histories_of(data)
    if not len(histories.books):
        raise NothingToLearnError("Nobody liked a book yet: there is nothing to train ALS on. Load more events first.")
    users, books = _factors(sparse.csr_matrix(histories.weighted(params.half_life)), params)
    double = books.astype(np.float64)
    gram = double.T @ double + params.regularization * np.eye(books.shape[1])
    books = vectors_of_new_books(data, books, params.content)
    return FactorModel(
        name=name,
        user_vectors=users,
        book_vectors=books,
        book_bias=np.zeros(len(books), np.float32),
        known=histories.lengths > 0,
        folding=LeastSquares(gram, params.alpha, params.half_life),
    )


def _factors(liked: Any, params: AlsParams) -> tuple[FloatArray, FloatArray]:
    from implicit.als import AlternatingLeastSquares  # takes a while to import, and only training needs it

    with threadpool_limits(1, "blas"):  # implicit has its own threads, which BLAS's would only disturb
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
