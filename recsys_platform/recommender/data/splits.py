"""Train/test splits: which liked books are held out.

Belongs here: functions from a data set to a training data set and test pairs. Does not: metrics, models.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset, Interactions

SplitBy = Literal["moment", "reader"]

ENOUGH_READERS = 200
"""With fewer test readers the interval of a difference is as wide as the differences between good models."""


@dataclass(frozen=True)
class Split:
    """A training data set and the held-out pairs: `test` is a boolean matrix of the data set's shape.

    `by`: `moment` if all likes after one time are held out, `reader` if the latest likes of each reader are. `why`: the reason for
    the latter.
    """

    train: Dataset
    test: Csr
    by: SplitBy = "reader"
    why: str = ""

    @property
    def test_users(self) -> IntArray:
        """Indexes of the users with held-out pairs, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr)).astype(np.int32)

    @property
    def readers(self) -> IntArray:
        """Test users with history: at least one like in `train`."""
        users = self.test_users
        return np.asarray(users[self.train.positives_per_user[users] > 0])

    @property
    def cold_start_readers(self) -> IntArray:
        """Test users without history (cold start)."""
        users = self.test_users
        return np.asarray(users[self.train.positives_per_user[users] == 0])


def hold_out(data: Dataset, *, fraction: float = 0.2, seed: int = 0, min_readers: int = ENOUGH_READERS) -> Split:
    """Hold out all likes after one time; if fewer than `min_readers` readers with history remain, each reader's latest likes.

    The second split lets models see later likes of other readers, but it still tests what known readers like next. It is only used
    if it gives more test readers with history. `fraction`: share of all likes to hold out. `seed`: orders likes of the same time.
    """
    after = hold_out_after(data, fraction=fraction, seed=seed)
    if after.by == "reader" or len(after.readers) >= min_readers:
        return after
    own = hold_out_latest_relaxed(data, fraction=fraction, seed=seed, min_readers=min_readers)
    if len(own.readers) <= len(after.readers):
        return after
    few = (
        f"only {len(after.readers):,} readers with history {data.signal.verb} anything new after the time of the split"
    )
    return replace(own, why=f"{few}, fewer than {min_readers:,}")


def hold_out_latest_relaxed(
    data: Dataset, *, fraction: float = 0.2, seed: int = 0, min_readers: int = ENOUGH_READERS
) -> Split:
    """Hold out each reader's latest likes; include readers with two likes if too few have five."""
    found = hold_out_latest(data, fraction=fraction, seed=seed)
    return (
        found if len(found.readers) >= min_readers else hold_out_latest(data, fraction=fraction, at_least=2, seed=seed)
    )


def hold_out_after(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out all first likes after one time: the earliest time with at most `fraction` of all likes after it.

    All other interactions after that time are dropped from training. This is how a model is used in production, readers without
    history included (Meng et al. 2020: splits by user let models see the future). A book liked before and opened again later stays
    in training, with the time of its first like.

    If so many likes share that time that more than twice the fraction would be held out, the data have no real times: the latest
    likes of each user are held out instead.
    """
    rows = data.interactions
    liked = np.sort(rows.liked_at[rows.positive])
    if not len(liked):
        return Split(train=data, test=data.pairs(rows.positive), by="moment")
    moment = liked[min(int(np.ceil(len(liked) * (1 - fraction))), len(liked) - 1)]
    later = rows.liked_at >= moment
    if later[rows.positive].mean() > 2 * fraction:
        return replace(hold_out_latest(data, fraction=fraction, seed=seed), why="the data have no real times")
    return Split(
        train=_as_known_at(data.with_interactions(~later), moment), test=data.pairs(later & rows.positive), by="moment"
    )


def _as_known_at(data: Dataset, moment: np.datetime64) -> Dataset:
    """Reset `last_at` to the first like for pairs with later interactions."""
    rows = data.interactions
    last_at = np.where(rows.last_at >= moment, rows.liked_at, rows.last_at)
    return replace(data, interactions=replace(rows, last_at=last_at))


def hold_out_random(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out a random `fraction` of all likes, for data without times."""
    positive = data.interactions.positive
    held = positive & (np.random.default_rng(seed).random(len(positive)) < fraction)
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def hide_books(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out all interactions with a random `fraction` of the books (item cold start); their likes are the test."""
    hidden = np.random.default_rng(seed).random(data.shape[1]) < fraction
    about = hidden[data.interactions.book]
    return Split(train=data.with_interactions(~about), test=data.pairs(about & data.interactions.positive))


def hold_out_latest(data: Dataset, *, fraction: float = 0.2, at_least: int = 5, seed: int = 0) -> Split:
    """Hold out the latest `fraction` of each user's likes, at least one, for users with `at_least` likes.

    The time is that of the first like. Likes of the same time are in random order by `seed`, so data without real times is split at
    random.
    """
    held = np.zeros(len(data.interactions), dtype=bool)
    positive = np.flatnonzero(data.interactions.positive)
    held[positive] = _latest_flags(data.interactions.where(data.interactions.positive), fraction, at_least, seed)
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def _latest_flags(rows: Interactions, fraction: float, at_least: int, seed: int) -> BoolArray:
    draw = np.random.default_rng(seed).random(len(rows))
    newest_first = np.lexsort((draw, -rows.liked_at.astype(np.int64), rows.user))
    counts = np.bincount(rows.user) if len(rows) else np.empty(0, np.int64)
    starts = np.cumsum(counts) - counts
    age = np.empty(len(rows), dtype=np.int64)
    age[newest_first] = np.arange(len(rows)) - starts[rows.user[newest_first]]
    # The small addend keeps 0.2 * 15 from being 2.9999….
    quota = np.where(counts >= at_least, np.maximum(1, np.floor(counts * fraction + 1e-9)), 0)
    return np.asarray(age < quota[rows.user])
