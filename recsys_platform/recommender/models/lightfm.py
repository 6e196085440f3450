"""The hybrid factor model: users and books are sums of the vectors of their features (Kula 2015), trained with WARP.

Belongs here: what LightFM is trained on and how it is reduced to arrays. Does not: users without history (fallback.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import lightfm
import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import AnyArray, BoolArray, FloatArray, IntArray
from recsys_platform.recommender.dataset import Dataset, Features, Interactions
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.recency import decay

OnEpoch = Callable[[int, int], None]
"""Called after each epoch with (epochs done, epochs in all)."""


@dataclass(frozen=True)
class LightFMParams:
    """How it is trained. More components or epochs than these over-fit: WARP does not stop by itself.

    `feature_weight`: of each attribute, where a user's or book's own identity weighs 1. `weight_above`: interactions that
    weigh no more are not trained on. `half_life_days`: age at which one counts half. `threads`: with more than one the
    result differs from run to run.
    """

    components: int = 32
    epochs: int = 20
    learning_rate: float = 0.05
    user_alpha: float = 0.0
    book_alpha: float = 0.0
    max_sampled: int = 30
    feature_weight: float = 0.5
    weight_above: float = 0.0
    half_life_days: float = 30.0
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True)
class LightFMModel:
    """The trained model without its features: score = user vector · book vector + book bias.

    Shapes (n_users, c), (n_books, c), (n_books,), (n_users,). `known`: users with something liked in training. A user's
    own bias is left out, since it moves all of the user's scores alike.
    """

    user_vectors: FloatArray
    book_vectors: FloatArray
    book_bias: FloatArray
    known: BoolArray

    name = "lightfm"

    def scores(self, users: IntArray) -> FloatArray:
        """One matrix product."""
        scores = self.user_vectors[users] @ self.book_vectors.T
        scores += self.book_bias
        return scores

    def personal(self, users: IntArray) -> BoolArray:
        """Whether each user liked something in training."""
        return self.known[users]

    def arrays(self) -> dict[str, AnyArray]:
        """The fields."""
        return dict(vars(self))


def fit_lightfm(data: Dataset, params: LightFMParams, *, on_epoch: OnEpoch | None = None) -> LightFMModel:
    """Train on the interactions that weigh enough; the same data, parameters and seed give the same model.

    Raises DataError if there is nothing to train on.
    """
    rows = data.interactions.where(data.interactions.weight > params.weight_above)
    if not len(rows):
        raise DataError("There is no interaction to train LightFM on. Load events of signed-in users first.")
    users, books = (_with_identity(each, params) for each in (data.user_features, data.book_features))
    model = _train(rows, users, books, params, on_epoch or _quietly)
    return LightFMModel(
        user_vectors=users @ model.user_embeddings,
        book_vectors=books @ model.item_embeddings,
        book_bias=books @ model.item_biases,
        known=data.positives_per_user > 0,
    )


def book_similarity(book_vectors: FloatArray) -> Callable[[IntArray], FloatArray]:
    """Cosine similarity of books to all books, to rank by; -inf where it is not above 0: such books are not alike."""
    length = np.linalg.norm(book_vectors, axis=1, keepdims=True)
    unit = np.divide(book_vectors, length, out=np.zeros_like(book_vectors), where=length > 0)
    return lambda books: _above_zero(unit[books] @ unit.T)


def _train(
    rows: Interactions, users: sparse.csr_matrix, books: sparse.csr_matrix, params: LightFMParams, on_epoch: OnEpoch
) -> lightfm.LightFM:
    model = lightfm.LightFM(
        loss="warp",
        no_components=params.components,
        learning_rate=params.learning_rate,
        user_alpha=params.user_alpha,
        item_alpha=params.book_alpha,
        max_sampled=params.max_sampled,
        random_state=np.random.RandomState(params.seed),
    )
    shape = (users.shape[0], books.shape[0])
    ones = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows.user, rows.book)), shape=shape)
    weights = sparse.coo_matrix((_sample_weights(rows, params), (rows.user, rows.book)), shape=shape)
    for epoch in range(params.epochs):
        model.fit_partial(ones, users, books, sample_weight=weights, num_threads=params.threads)
        on_epoch(epoch + 1, params.epochs)
    return model


def _sample_weights(rows: Interactions, params: LightFMParams) -> FloatArray:
    """Strength times recency, with mean 1 so that the learning rate means the same for all data.

    Strength is the square root of the weight: one book that was viewed, saved, read and rated is not worth ten others.
    """
    weight = np.sqrt(rows.weight) * decay(rows.last_at, half_life_days=params.half_life_days)
    return np.asarray(weight / weight.mean(), dtype=np.float32)


def _with_identity(features: Features, params: LightFMParams) -> sparse.csr_matrix:
    """One feature of each row's own, then the weighted features, shape (n, n + n_features)."""
    identity = sparse.identity(features.matrix.shape[0], dtype=np.float32, format="csr")
    return sparse.csr_matrix(
        sparse.hstack([identity, features.matrix * params.feature_weight], format="csr", dtype=np.float32)
    )


def _quietly(done: int, total: int) -> None:
    """Say nothing."""


def _above_zero(similarity: FloatArray) -> FloatArray:
    similarity[similarity <= 0] = -np.inf
    return similarity
