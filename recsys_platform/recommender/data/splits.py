"""What is held out to test on.

Belongs here: functions from a data set to (training data set, test pairs). Does not: metrics, or models.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset, Interactions

By = Literal["moment", "reader"]

ENOUGH_READERS = 200
"""With fewer readers to test on, the interval of a difference is as wide as the differences between good models."""


@dataclass(frozen=True)
class Split:
    """`train` knows nothing of the pairs in `test` (boolean matrix of the data set's shape).

    `by`: whether what came after one `moment` is held out, or each `reader`'s own latest part. `why`: why the latter was chosen.
    """

    train: Dataset
    test: Csr
    by: By = "reader"
    why: str = ""

    @property
    def test_users(self) -> IntArray:
        """The users who have something held out, ascending."""
        return np.flatnonzero(np.diff(self.test.indptr)).astype(np.int32)

    @property
    def readers(self) -> IntArray:
        """The test users with history: those who have something liked in `train`."""
        users = self.test_users
        return np.asarray(users[self.train.positives_per_user[users] > 0])

    @property
    def newcomers(self) -> IntArray:
        """The test users without history."""
        users = self.test_users
        return np.asarray(users[self.train.positives_per_user[users] == 0])


def hold_out(data: Dataset, *, fraction: float = 0.2, seed: int = 0, enough: int = ENOUGH_READERS) -> Split:
    """Hold out what was liked after one moment if `enough` readers with history or more liked anything then, else each one's latest.

    The latter sees what others liked later, but it asks what matters: what readers who are known like next. It is only done where it
    gives more readers with history.
    """
    after = hold_out_after(data, fraction=fraction, seed=seed)
    if after.by == "reader" or len(after.readers) >= enough:
        return after
    own = hold_out_own_latest(data, fraction=fraction, seed=seed, enough=enough)
    if len(own.readers) <= len(after.readers):
        return after
    few = f"only {len(after.readers):,} readers with history {data.signal.verb} anything new after one moment for all"
    return replace(own, why=f"{few}, fewer than {enough:,}")


def hold_out_own_latest(data: Dataset, *, fraction: float = 0.2, seed: int = 0, enough: int = ENOUGH_READERS) -> Split:
    """Each reader's latest; of readers with two liked books too where those with five are too few."""
    found = hold_out_latest(data, fraction=fraction, seed=seed)
    return found if len(found.readers) >= enough else hold_out_latest(data, fraction=fraction, at_least=2, seed=seed)


def hold_out_after(data: Dataset, *, fraction: float = 0.2, seed: int = 0) -> Split:
    """Hold out what was first liked after one moment: the earliest after which `fraction` of all that was liked lies or less.

    What was not liked after that moment is left out of training as well: nobody knew of it. This is how a model is used, readers
    without history included (Meng et al. 2020: splits by user let models see the future). A book liked before and met again later is
    known, as of when it was liked.

    Data in which so much was liked at that very moment that more than twice the fraction would be held out have no real times: the
    latest of each user are held out instead.
    """
    rows = data.interactions
    liked = np.sort(rows.liked_at[rows.positive])
    if not len(liked):
        return Split(train=data, test=data.pairs(rows.positive), by="moment")
    moment = liked[min(int(np.ceil(len(liked) * (1 - fraction))), len(liked) - 1)]
    later = rows.liked_at >= moment
    if later[rows.positive].mean() > 2 * fraction:
        return replace(hold_out_latest(data, fraction=fraction, seed=seed), why="the data have no times")
    return Split(
        train=_known_at(data.with_interactions(~later), moment), test=data.pairs(later & rows.positive), by="moment"
    )


def _known_at(data: Dataset, moment: np.datetime64) -> Dataset:
    """What happened again after the moment is as old as when it was first liked."""
    rows = data.interactions
    last_at = np.where(rows.last_at >= moment, rows.liked_at, rows.last_at)
    return replace(data, interactions=replace(rows, last_at=last_at))


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
    """Hold out the `fraction` of each user's positive books that were liked last, at least one, for users with `at_least` positives.

    The time is that of the first like, whatever was done to a book later. Books liked at the same moment are ordered by a seeded draw,
    so data without real times is split at random.
    """
    held = np.zeros(len(data.interactions), dtype=bool)
    positive = np.flatnonzero(data.interactions.positive)
    held[positive] = _latest(data.interactions.where(data.interactions.positive), fraction, at_least, seed)
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def _latest(rows: Interactions, fraction: float, at_least: int, seed: int) -> BoolArray:
    draw = np.random.default_rng(seed).random(len(rows))
    newest_first = np.lexsort((draw, -rows.liked_at.astype(np.int64), rows.user))
    counts = np.bincount(rows.user) if len(rows) else np.empty(0, np.int64)
    starts = np.cumsum(counts) - counts
    age = np.empty(len(rows), dtype=np.int64)
    age[newest_first] = np.arange(len(rows)) - starts[rows.user[newest_first]]
    # The small addend keeps 0.2 * 15 from being 2.9999….
    quota = np.where(counts >= at_least, np.maximum(1, np.floor(counts * fraction + 1e-9)), 0)
    return np.asarray(age < quota[rows.user])
