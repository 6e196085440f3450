"""The peers of quality.py: `implicit` and LightFM as their own users would set them up, tuned as hard as the variants are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import lightfm
import numpy as np
from implicit import als, bpr, nearest_neighbours
from optuna import Trial
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys_platform.recommender.arrays import FloatArray, IntArray
from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.evaluation.search_score import mean_ndcg
from recsys_platform.recommender.training.tuning import TuningParams, TuningResult, search

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """A peer's model, as far as ranking needs one."""

    scores: Callable[[IntArray], FloatArray]


@dataclass(frozen=True)
class Peer:
    """`space` gives parameters for a trial, `fit` a model for liked pairs (readers × books), parameters and a seed."""

    space: Callable[[Trial], dict[str, Any]] | None
    fit: Callable[[sparse.csr_matrix, Found, int], Scored]

    def tuned(self, name: str, split: Split, params: TuningParams, progress: Any) -> Found:
        """The best parameters of the search, none if there is nothing to search."""
        if self.space is None:
            return {}
        space = self.space

        def objective(trial: Trial) -> float:
            return mean_ndcg(self.on(split, space(trial), 0), split, params.k, params.max_users)  # type: ignore[arg-type]

        found: TuningResult = search(name, objective, params, on_trial=progress)
        return found.parameters

    def on(self, split: Split, found: Found, seed: int) -> Scored:
        """Trained on a split's past."""
        return self.fit(
            sparse.csr_matrix(split.train.pairs(split.train.interactions.positive), dtype=np.float32), found, seed
        )


def _als(liked: sparse.csr_matrix, found: Found, seed: int) -> Scored:
    with threadpool_limits(1, "blas"):
        model = als.AlternatingLeastSquares(**found, random_state=seed)
        model.fit(liked, show_progress=False)
    return _product(model.user_factors, model.item_factors)


def _bpr(liked: sparse.csr_matrix, found: Found, seed: int) -> Scored:
    model = bpr.BayesianPersonalizedRanking(**found, random_state=seed, num_threads=1)
    model.fit(liked, show_progress=False)
    return _product(model.user_factors, model.item_factors)


def _knn(liked: sparse.csr_matrix, found: Found, seed: int) -> Scored:
    kinds = {
        "cosine": nearest_neighbours.CosineRecommender,
        "tfidf": nearest_neighbours.TFIDFRecommender,
        "bm25": nearest_neighbours.BM25Recommender,
    }
    own = dict(found)
    model = kinds[own.pop("kind")](**own)
    model.fit(liked, show_progress=False)
    return Scored(lambda users: np.asarray((liked[users] @ model.similarity).todense(), dtype=np.float32))


def _lightfm(liked: sparse.csr_matrix, found: Found, seed: int) -> Scored:
    model = lightfm.LightFM(**found, random_state=seed)
    model.fit(liked.tocoo())
    users, books, bias = model.user_embeddings, model.item_embeddings, model.item_biases
    return Scored(lambda some: users[some] @ books.T + bias)


def _product(users: FloatArray, books: FloatArray) -> Scored:
    return Scored(lambda some: users[some] @ books.T)


def _als_space(trial: Trial) -> dict[str, Any]:
    return {
        "factors": trial.suggest_categorical("factors", [16, 32, 64, 128]),
        "regularization": trial.suggest_float("regularization", 0.01, 100, log=True),
        "alpha": trial.suggest_float("alpha", 0.5, 40, log=True),
        "iterations": trial.suggest_int("iterations", 5, 25),
    }


def _bpr_space(trial: Trial) -> dict[str, Any]:
    return {
        "factors": trial.suggest_categorical("factors", [16, 32, 64, 128]),
        "learning_rate": trial.suggest_float("learning_rate", 0.005, 0.2, log=True),
        "regularization": trial.suggest_float("regularization", 1e-4, 0.1, log=True),
        "iterations": trial.suggest_int("iterations", 50, 400),
    }


def _knn_space(trial: Trial) -> dict[str, Any]:
    kind = trial.suggest_categorical("kind", ["cosine", "tfidf", "bm25"])
    found = {"kind": kind, "K": trial.suggest_int("K", 20, 1000, log=True)}
    if kind == "bm25":
        found |= {"K1": trial.suggest_float("K1", 0.1, 20, log=True), "B": trial.suggest_float("B", 0, 1)}
    return found


PEERS: Mapping[str, Peer] = {
    "implicit ALS": Peer(_als_space, _als),
    "implicit BPR": Peer(_bpr_space, _bpr),
    "implicit item-KNN": Peer(_knn_space, _knn),
    "LightFM, its defaults": Peer(None, _lightfm),
}
