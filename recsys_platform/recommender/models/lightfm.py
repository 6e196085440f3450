"""The hybrid factor model: users and books are sums of the vectors of their features (Kula 2015), trained with WARP.

Belongs here: what LightFM is trained on and how it is reduced to vectors. Does not: scoring by them (factors.py), users without
history (fallback.py).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import lightfm
import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import FloatArray
from recsys_platform.recommender.data.dataset import Dataset, Features, Interactions
from recsys_platform.recommender.data.recency import newer_of_the_user
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.content import ContentParams, vectors_of_new_books
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fold_in import map_from_histories
from recsys_platform.recommender.models.histories import fading, histories_of
from recsys_platform.recommender.params import Components, Count, HalfLife, NotNegative, Positive, Seed

OnEpoch = Callable[[int, int], None]
"""Called after each epoch with (epochs done, epochs in all)."""
OnStage = Callable[[int, Callable[[], FactorModel]], bool]
"""Called after each epoch with (epochs done, what gives the model as it is now); false ends the training."""


@dataclass(frozen=True)
class LightFMParams:
    """How it is trained. More components or epochs than these over-fit: WARP does not stop by itself.

    `feature_weight`: of each attribute, where a user's or book's own identity weighs 1. `book_identity`: without it a book is
    nothing but its attributes. `weight_above`: interactions that weigh no more are not trained on. `half_life`: one counts half
    when the user has so many newer ones. `threads`: with more than one the result differs from run to run.
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
    """Train on the interactions that weigh enough; the same data, parameters and seed give the same model.

    Raises NothingToLearnError if there is nothing to train on.
    """
    rows = data.interactions.where(data.interactions.weight > params.weight_above)
    if not len(rows):
        raise NothingToLearnError("There is no interaction to train LightFM on. Load events of signed-in users first.")
    users = with_identity(data.user_features, params)
    books = with_identity(data.book_features, params) if params.book_identity else _alone(data.book_features)
    model = bare_model(params)
    pairs, weights = training_matrices(rows, data.shape, params)
    for epoch in range(params.epochs):
        model.fit_partial(pairs, users, books, sample_weight=weights, num_threads=params.threads)
        if on_epoch:
            on_epoch(epoch + 1, params.epochs)
        if on_stage and not on_stage(epoch + 1, lambda: _reduced(model, data, users, books, params, name)):
            break
    return _reduced(model, data, users, books, params, name)


def bare_model(params: LightFMParams) -> lightfm.LightFM:
    """LightFM itself, untrained."""
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
    """The pairs to train on, as ones, and their weights."""
    ones = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows.user, rows.book)), shape=shape)
    return ones, sparse.coo_matrix((_sample_weights(rows, params), (rows.user, rows.book)), shape=shape)


def with_identity(features: Features, params: LightFMParams) -> sparse.csr_matrix:
    """One feature of each row's own, then the weighted features, shape (n, n + n_features)."""
    identity = sparse.identity(features.matrix.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(
        sparse.hstack([identity, features.matrix * params.feature_weight], format="csr", dtype=np.float32)
    )


def _alone(features: Features) -> sparse.csr_matrix:
    """The features and one that all rows share, so that a row without features is not nothing."""
    one = sparse.csr_matrix(np.ones((features.matrix.shape[0], 1), np.float32))
    return sparse.csr_matrix(sparse.hstack([one, features.matrix], format="csr", dtype=np.float32))


def _sample_weights(rows: Interactions, params: LightFMParams) -> FloatArray:
    """Strength times recency, with mean 1 so that the learning rate means the same for all data.

    Strength is the square root of the weight: one book that was viewed, saved, read and rated is not worth ten others.
    """
    weight = np.sqrt(rows.weight) * fading(newer_of_the_user(rows), params.half_life)
    return np.asarray(weight / weight.mean(), dtype=np.float32)


def _reduced(
    model: lightfm.LightFM,
    data: Dataset,
    users: sparse.csr_matrix,
    books: sparse.csr_matrix,
    params: LightFMParams,
    name: str,
) -> FactorModel:
    """Vectors without features. A user's own bias is left out, since it moves all of the user's scores alike."""
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
        folding=map_from_histories(histories, user_vectors, book_vectors, params.half_life),
    )
