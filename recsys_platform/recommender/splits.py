"""What is held out to test on.

Belongs here: functions from a data set to (training data set, test pairs). Does not: metrics, or models.
"""

from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.dataset import Dataset, Interactions


@dataclass(frozen=True)
class Split:
    """`train` knows nothing of the pairs in `test` (boolean matrix of the data set's shape)."""

    train: Dataset
    test: Csr

    @property
    def test_users(self) -> IntArray:
        """The users who have something held out, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr)).astype(np.int32)


def hold_out_latest(data: Dataset, *, fraction: float = 0.2, at_least: int = 5, seed: int = 0) -> Split:
    """Hold out the latest `fraction` of each user's positive books, at least one, for users with `at_least` positives.

    Books liked at the same moment are ordered by a seeded draw, so data without real times is split at random.
    """
    held = np.zeros(len(data.interactions), dtype=bool)
    positive = np.flatnonzero(data.interactions.positive)
    held[positive] = _latest(data.interactions.where(data.interactions.positive), fraction, at_least, seed)
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def _latest(rows: Interactions, fraction: float, at_least: int, seed: int) -> BoolArray:
    draw = np.random.default_rng(seed).random(len(rows))
    newest_first = np.lexsort((draw, -rows.last_at.astype(np.int64), rows.user))
    counts = np.bincount(rows.user) if len(rows) else np.empty(0, np.int64)
    starts = np.cumsum(counts) - counts
    age = np.empty(len(rows), dtype=np.int64)
    age[newest_first] = np.arange(len(rows)) - starts[rows.user[newest_first]]
    # The small addend keeps 0.2 * 15 from being 2.9999….
    quota = np.where(counts >= at_least, np.maximum(1, np.floor(counts * fraction + 1e-9)), 0)
    return np.asarray(age < quota[rows.user])
