"""LightFM: a hybrid factor model in which users and books are sums of feature vectors (Kula 2015), trained with WARP.

Belongs here: training data, fitting, and the conversion to a factor model. Does not: scoring (factors.py), users without history
(fallback.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import lightfm
import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import FloatArray
from recsys_platform.recommender.data.dataset import Dataset, Features, Interactions
from recsys_platform.recommender.data.recency import recency_rank
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.content import ContentParams, vectors_of_new_books
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fold_in import map_from_histories
from recsys_platform.recommender.models.histories import histories_of, rank_decay
from recsys_platform.recommender.params import Components, Count, HalfLife, NotNegative, Positive, Seed

OnEpoch = Callable[[int, int], None]
"""Called after each epoch with (epochs done, epochs in total)."""
OnStage = Callable[[int, Callable[[], FactorModel]], bool]
"""Called after each epoch with (epochs done, a function that returns the present model); False stops training."""


@dataclass(frozen=True)
class LightFMParams:
    """Parameters of LightFM. More components or epochs than the defaults over-fit: WARP has no early stopping.

    `feature_weight`: weight of each attribute relative to the identity feature. `book_identity`: whether books have an identity
    feature besides their attributes. `weight_above`: only interactions above this weight are used. `half_life`: of an interaction's
    weight, in newer interactions of the user. `threads`: with more than one the result is not deterministic.
    """

    components: Components = 32
    epochs: Count = 20
    learning_rate: Positive = 0.05
    user_alpha: NotNegative = 0.0
    book_alpha: NotNegative = 0.0
    max_sampled: Count = 30
    feature_weight: NotNegative = 0.5
    book_identity: bool = True
    weight_above: float = 0.0
    half_life: HalfLife = 50.0
    seed: Seed = 0
    threads: Count = 1
    content: ContentParams = field(default_factory=ContentParams)


def fit_lightfm(
    data: Dataset,
    params: LightFMParams,
    *,
    name: str = "lightfm",
    on_epoch: OnEpoch | None = None,
    on_stage: OnStage | None = None,
) -> FactorModel:
    """Fit LightFM; deterministic for the same data, parameters and seed.

    Raises NothingToLearnError if no interaction is above `weight_above`.
    """
    rows = data.interactions.where(data.interactions.weight > params.weight_above)
    if not len(rows):
        raise NothingToLearnError("There is no interaction to train LightFM on. Load events of signed-in users first.")
    users = with_identity(data.user_features, params)
    books = (
        with_identity(data.book_features, params) if params.book_identity else _with_shared_feature(data.book_features)
    )
    model = untrained_model(params)
    pairs, weights = training_matrices(rows, data.shape, params)
    for epoch in range(params.epochs):
        model.fit_partial(pairs, users, books, sample_weight=weights, num_threads=params.threads)
        if on_epoch:
            on_epoch(epoch + 1, params.epochs)
        if on_stage and not on_stage(epoch + 1, lambda: _to_factor_model(model, data, users, books, params, name)):
            break
    return _to_factor_model(model, data, users, books, params, name)


def untrained_model(params: LightFMParams) -> lightfm.LightFM:
    """Return an untrained LightFM model."""
    return lightfm.LightFM(
        loss="warp",
        no_components=params.components,
        learning_rate=params.learning_rate,
        user_alpha=params.user_alpha,
        item_alpha=params.book_alpha,
        max_sampled=params.max_sampled,
        random_state=np.random.RandomState(params.seed),
    )


def training_matrices(
    rows: Interactions, shape: tuple[int, int], params: LightFMParams
) -> tuple[sparse.coo_matrix, sparse.coo_matrix]:
    """Return the training pairs as ones, and their weights."""
    ones = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows.user, rows.book)), shape=shape)
    return ones, sparse.coo_matrix((_sample_weights(rows, params), (rows.user, rows.book)), shape=shape)


def with_identity(features: Features, params: LightFMParams) -> sparse.csr_matrix:
    """Return identity features followed by weighted features, shape (n, n + n_features)."""
    identity = sparse.identity(features.matrix.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(
        sparse.hstack([identity, features.matrix * params.feature_weight], format="csr", dtype=np.float32)
    )


def _with_shared_feature(features: Features) -> sparse.csr_matrix:
    """The features and one that all rows share, so that no row is empty."""
    one = sparse.csr_matrix(np.ones((features.matrix.shape[0], 1), np.float32))
    return sparse.csr_matrix(sparse.hstack([one, features.matrix], format="csr", dtype=np.float32))


def _sample_weights(rows: Interactions, params: LightFMParams) -> FloatArray:
    """Square root of the weight times recency, scaled to mean 1, so that the learning rate does not depend on the data.

    The square root keeps one book with many events from outweighing ten others.
    """
    weight = np.sqrt(rows.weight) * rank_decay(recency_rank(rows), params.half_life)
    return np.asarray(weight / weight.mean(), dtype=np.float32)


def _to_factor_model(
    model: lightfm.LightFM,
    data: Dataset,
    users: sparse.csr_matrix,
    books: sparse.csr_matrix,
    params: LightFMParams,
    name: str,
) -> FactorModel:
    """Convert to a factor model. User biases are dropped: they do not change a user's ranking."""
    histories = histories_of(data)
    user_vectors, book_vectors, bias = (
        users @ model.user_embeddings,
        books @ model.item_embeddings,
        books @ model.item_biases,
    )
    if params.book_identity:
        both = vectors_of_new_books(data, np.column_stack([book_vectors, bias]), params.content)
        book_vectors, bias = np.ascontiguousarray(both[:, :-1]), np.ascontiguousarray(both[:, -1])
    return FactorModel(
        name=name,
        user_vectors=user_vectors,
        book_vectors=book_vectors,
        book_bias=bias,
        known=data.positives_per_user > 0,
        fold_in_method=map_from_histories(histories, user_vectors, book_vectors, params.half_life),
    )
