"""What is held out to test on.

Belongs here: functions from a data set to (training data set, test pairs). Does not: metrics, or models.
"""

from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset, Interactions


@dataclass(frozen=True)
class Split:
    """`train` knows nothing of the pairs in `test` (boolean matrix of the data set's shape)."""

    train: Dataset
    test: Csr

    @property
    def test_users(self) -> IntArray:
        """The users who have something held out, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr)).astype(np.int32)


def hold_out_after(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out what was liked after one moment for everybody: the earliest after which `fraction` of all that was liked lies or less.

    What was not liked after that moment is left out of training as well: nobody knew of it. This is how a model is used, readers
    without history included (Meng et al. 2020: splits by user let models see the future).

    Data in which so much was liked at that very moment that more than twice the fraction would be held out have no real times: the
    latest of each user are held out instead.
    """
    rows = data.interactions
    liked = np.sort(rows.last_at[rows.positive])
    if not len(liked):
        return Split(train=data, test=data.pairs(rows.positive))
    moment = liked[min(int(np.ceil(len(liked) * (1 - fraction))), len(liked) - 1)]
    later = rows.last_at >= moment
    if later[rows.positive].mean() > 2 * fraction:
        return hold_out_latest(data, fraction=fraction, seed=seed)
    return Split(train=data.with_interactions(~later), test=data.pairs(later & rows.positive))


def hold_out_random(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out a random `fraction` of all that was liked: for data without times."""
    positive = data.interactions.positive
    held = positive & (np.random.default_rng(seed).random(len(positive)) < fraction)
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def hide_books(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out everything about a random `fraction` of the books, as if they came tomorrow; only these are the test."""
    hidden = np.random.default_rng(seed).random(data.shape[1]) < fraction
    about = hidden[data.interactions.book]
    return Split(train=data.with_interactions(~about), test=data.pairs(about & data.interactions.positive))


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
