"""What one model does for each test user.

Belongs here: ranking the books for the test users of a split and measuring the lists, user by user. Does not: metrics (metrics.py),
averages and intervals (evaluate.py).
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
from recsys_platform.recommender.ranking.top_k import BLOCK, Allowed, select

OF_HITS = {
    "ndcg": metrics.ndcg,
    "map": metrics.average_precision,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "hit_rate": metrics.hit_rate,
    "mrr": metrics.reciprocal_rank,
}
OF_LISTS = ("auc", "ndcg_unfiltered", "novelty", "diversity", "popularity_lift")


@dataclass(frozen=True)
class PerUser:
    """Figures of a model: `values` (n_users, len(names)).

    `cold`: the first of them, where only books count as relevant that nobody liked in training.
    """

    values: DoubleArray
    cold: DoubleArray
    coverage: float


class Yardstick:
    """Measures models on the same users of a split."""

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
        """What is measured: at k by its name, at others of `ks` as `ndcg@5`."""
        others = [f"{name}@{k}" for k in self.ks if k != self.k for name in OF_HITS]
        return (*OF_HITS, *OF_LISTS, *others)

    @property
    def has_cold(self) -> BoolArray:
        """Which of the users liked a book in the test that nobody liked in training."""
        return np.diff(self._cold_test(self.users).indptr) > 0

    def measure(self, model: Recommender) -> PerUser:
        """Rank all books for every user, a block of users at a time."""
        parts = list(self._blocks(model))
        values, cold, books = (np.concatenate([part[number] for part in parts]) for number in range(3))
        return PerUser(values, cold, metrics.coverage(books, len(self.likes)))

    def _blocks(self, model: Recommender) -> Iterator[tuple[DoubleArray, DoubleArray, IntArray]]:
        everything = np.ones((1, len(self.likes)), dtype=bool)
        widest = max(self.k, *self.ks)
        for start in range(0, len(self.users), BLOCK):
            users = self.users[start : start + BLOCK]
            scores = model.scores(users)
            books = select(scores, users, widest, Allowed(everything, exclude=self.seen)).books
            freely = select(scores, users, self.k, Allowed(everything)).books
            test, cold = self.test[users], self._cold_test(users)
            auc = metrics.auc(scores, test, self.seen[users])
            yield (
                np.column_stack(
                    [
                        *self._of_hits(books, test, self.k),
                        *self._of_lists(books, freely, test, auc, users),
                        *self._others(books, test),
                    ]
                ),
                np.column_stack(self._of_hits(books, cold, self.k)),
                books[:, : self.k],
            )

    def _of_hits(self, books: IntArray, test: Csr, k: int) -> list[DoubleArray]:
        hits, relevant = metrics.hits_of(books[:, :k], test), np.diff(test.indptr)
        return [metric(hits, relevant) for metric in OF_HITS.values()]

    def _others(self, books: IntArray, test: Csr) -> list[DoubleArray]:
        return [values for k in self.ks if k != self.k for values in self._of_hits(books, test, k)]

    def _of_lists(
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
    """The mean popularity of what each user liked in training; of all that was liked, for users who liked nothing."""
    rows = split.train.interactions.where(split.train.interactions.positive)
    total = np.bincount(rows.user, weights=percentile[rows.book], minlength=split.train.shape[0])
    overall = percentile[rows.book].mean() if len(rows) else 0.0
    count = split.train.positives_per_user
    return np.where(count > 0, total / np.maximum(count, 1), overall)
