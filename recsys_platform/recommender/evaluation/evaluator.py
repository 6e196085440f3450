"""Metrics of one model for each test user.

Belongs here: ranking the books for the test users of a split and computing metrics per user. Does not: the metrics (metrics.py),
means and intervals (evaluate.py).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import BoolArray, Csr, DoubleArray, IntArray
from recsys_platform.recommender.data.features import unit_rows
from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.models.content import likes_of_books
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import BLOCK, Allowed, select_top_k

HIT_METRICS = {
    "ndcg": metrics.ndcg,
    "map": metrics.average_precision,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "hit_rate": metrics.hit_rate,
    "mrr": metrics.reciprocal_rank,
}
LIST_METRICS = ("auc", "ndcg_unfiltered", "novelty", "diversity", "popularity_lift")


@dataclass(frozen=True)
class UserMetrics:
    """Metrics of a model per user: `values` (n_users, len(names)).

    `cold`: the hit metrics if only books that nobody liked in training count as relevant. `coverage`: over all users.
    """

    values: DoubleArray
    cold: DoubleArray
    coverage: float


class Evaluator:
    """Evaluates models on the same users of a split."""

    def __init__(self, split: Split, users: IntArray, k: int, ks: Sequence[int]) -> None:
        self.users, self.k, self.ks = users, k, tuple(ks)
        self.seen, self.test = split.train.pairs(), split.test
        likes = likes_of_books(split.train)
        self.likes, self.n_users = likes, split.train.shape[0]
        self.is_cold = likes == 0
        self.percentile = np.searchsorted(np.sort(likes), likes) / max(len(likes), 1)
        self.own = _mean_of_liked(split, self.percentile)
        self.features = unit_rows(split.train.book_features.matrix)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics: plain at `k`, like `ndcg@5` at other lengths."""
        others = [f"{name}@{k}" for k in self.ks if k != self.k for name in HIT_METRICS]
        return (*HIT_METRICS, *LIST_METRICS, *others)

    @property
    def has_cold(self) -> BoolArray:
        """Flags of the users with a test book that nobody liked in training."""
        return np.diff(self._cold_test(self.users).indptr) > 0

    def evaluate(self, model: Recommender) -> UserMetrics:
        """Rank all books for every user, in blocks of users, and return the metrics per user."""
        parts = list(self._evaluate_blocks(model))
        values, cold, books = (np.concatenate([part[number] for part in parts]) for number in range(3))
        return UserMetrics(values, cold, metrics.coverage(books, len(self.likes)))

    def _evaluate_blocks(self, model: Recommender) -> Iterator[tuple[DoubleArray, DoubleArray, IntArray]]:
        everything = np.ones((1, len(self.likes)), dtype=bool)
        widest = max(self.k, *self.ks)
        for start in range(0, len(self.users), BLOCK):
            users = self.users[start : start + BLOCK]
            scores = model.scores(users)
            books = select_top_k(scores, users, widest, Allowed(everything, exclude=self.seen)).books
            freely = select_top_k(scores, users, self.k, Allowed(everything)).books
            test, cold = self.test[users], self._cold_test(users)
            auc = metrics.auc(scores, test, self.seen[users])
            yield (
                np.column_stack(
                    [
                        *self._hit_metrics(books, test, self.k),
                        *self._list_metrics(books, freely, test, auc, users),
                        *self._metrics_at_other_k(books, test),
                    ]
                ),
                np.column_stack(self._hit_metrics(books, cold, self.k)),
                books[:, : self.k],
            )

    def _hit_metrics(self, books: IntArray, test: Csr, k: int) -> list[DoubleArray]:
        hits, relevant = metrics.hits_of(books[:, :k], test), np.diff(test.indptr)
        return [metric(hits, relevant) for metric in HIT_METRICS.values()]

    def _metrics_at_other_k(self, books: IntArray, test: Csr) -> list[DoubleArray]:
        return [values for k in self.ks if k != self.k for values in self._hit_metrics(books, test, k)]

    def _list_metrics(
        self, books: IntArray, freely: IntArray, test: Csr, auc: DoubleArray, users: IntArray
    ) -> list[DoubleArray]:
        top, relevant = books[:, : self.k], np.diff(test.indptr)
        return [
            auc,
            metrics.ndcg(metrics.hits_of(freely, test), relevant),
            metrics.novelty(top, self.likes, self.n_users),
            metrics.diversity(top, self.features),
            metrics.popularity_lift(top, self.percentile, self.own[users]),
        ]

    def _cold_test(self, users: IntArray) -> Csr:
        test = self.test[users]
        rows = np.repeat(np.arange(len(users)), np.diff(test.indptr))
        kept = self.is_cold[test.indices]
        return sparse.csr_array((np.ones(kept.sum(), dtype=bool), (rows[kept], test.indices[kept])), shape=test.shape)


def _mean_of_liked(split: Split, percentile: DoubleArray) -> DoubleArray:
    """Mean popularity of the books each user liked in training; the overall mean for users without likes."""
    rows = split.train.interactions.where(split.train.interactions.positive)
    total = np.bincount(rows.user, weights=percentile[rows.book], minlength=split.train.shape[0])
    overall = percentile[rows.book].mean() if len(rows) else 0.0
    count = split.train.positives_per_user
    return np.where(count > 0, total / np.maximum(count, 1), overall)
