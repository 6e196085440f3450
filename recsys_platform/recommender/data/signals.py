"""The signal to learn from: likes, or the strongest weaker signal if too few readers like anything.

Belongs here: which pairs are positives for training and evaluation, since when, and how to describe them. Does not: event weights and
the threshold for a like (dbt).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_platform.recommender.arrays import AnyArray, BoolArray, DoubleArray, IdArray, TimeArray

LIKED = "liked"
LIKES = float("inf")
"""Stands for likes where other signals have the weight of an action."""
MIN_MEASURABLE_READERS = 50
"""Minimum number of readers with two positives, one to train on and one to hold out."""
MAX_READER_RATIO = 5
"""Likes are used even if few, unless a weaker signal has more than this many times the readers."""
MIN_SHARE_IN_NAME = 0.1
"""A signal is named after the actions that are the strongest of at least this share of its pairs."""
VERBS: Mapping[str, str] = {
    "Book Viewed": "opened",
    "Book Started": "started",
    "Book Finished": "finished",
    "Book Saved": "saved",
    "Book Rated": "rated",
    "Chapter Completed": "read a chapter of",
    "Recommendation Clicked": "clicked",
}


@dataclass(frozen=True)
class SignalLevel:
    """One kind of action: weight of one event, number of pairs whose strongest action it is, number of those that are positives."""

    action: str
    weight: float
    pairs: int
    learned: int


@dataclass(frozen=True)
class Signal:
    """The signal: `verb` completes "what readers … next"; `why` is the reason if it is not likes; `levels` are the actions."""

    verb: str = LIKED
    why: str = ""
    levels: tuple[SignalLevel, ...] = ()

    @property
    def is_liked(self) -> bool:
        """Whether the positives are likes, not a weaker signal."""
        return self.verb == LIKED


@dataclass(frozen=True)
class StrongestActions:
    """The strongest action per pair (empty for none) and the weight of one such event (0 for none).

    `since`: first time of that action; `first_at`: first time of any event.
    """

    action: IdArray
    weight: DoubleArray
    since: TimeArray
    first_at: TimeArray


@dataclass(frozen=True)
class LearnedPairs:
    """Which pairs are positives, since when, and by which signal."""

    positive: BoolArray
    since: TimeArray
    signal: Signal


def learned_pairs(
    user: AnyArray, positive: BoolArray, liked_at: TimeArray, weight: AnyArray, strongest: StrongestActions
) -> LearnedPairs:
    """Choose the positives: likes, or the strongest weaker signal if too few readers like anything; all arrays have a value per pair.

    Takes the strongest signal with at least `MIN_MEASURABLE_READERS` measurable readers, or as many as any signal has. A pair with a
    stronger action counts since its first event: it must not be held out as new if it may be old.
    """
    candidates = _candidate_signals(positive, weight, strongest)
    readers = [_count_measurable_readers(user, flag) for _, flag in candidates]
    level, flag = candidates[_first_measurable(readers, is_liked=candidates[0][0] == LIKES)]
    levels = _signal_levels(strongest, flag)
    if level == LIKES:
        return LearnedPairs(positive, liked_at, Signal(levels=levels))
    since = np.where(strongest.weight == level, strongest.since, strongest.first_at)
    why = _reason_for_weaker_signal(_count_measurable_readers(user, positive), positive)
    return LearnedPairs(flag, since, Signal(_signal_verb(strongest, flag), why, levels))


def _first_measurable(readers: Sequence[int], *, is_liked: bool) -> int:
    """Index of the first signal with enough readers; `is_liked`: whether the first signal is likes."""
    most = max(readers)
    if is_liked and readers[0] and readers[0] * MAX_READER_RATIO >= most:
        return 0
    return next(at for at, count in enumerate(readers) if count >= min(MIN_MEASURABLE_READERS, most))


def _candidate_signals(
    positive: BoolArray, weight: AnyArray, strongest: StrongestActions
) -> list[tuple[float, BoolArray]]:
    """Likes, then every weaker signal from strong to weak; only the weaker ones if nothing is liked."""
    found = strongest.weight[~positive & (weight > 0) & (strongest.weight > 0)]
    weaker = [
        (float(level), positive | ((strongest.weight >= level) & (weight > 0))) for level in np.unique(found)[::-1]
    ]
    liked = [(LIKES, positive)]
    return liked + weaker if positive.any() or not weaker else weaker


def _count_measurable_readers(user: AnyArray, flag: BoolArray) -> int:
    """Number of readers with two such pairs."""
    return int((np.bincount(user[flag]) >= 2).sum()) if flag.any() else 0


def _reason_for_weaker_signal(readers: int, positive: BoolArray) -> str:
    if not positive.any():
        return "no event weighs enough to count as a like"
    return f"only {readers:,} readers liked two books, too few to evaluate on"


def _signal_levels(strongest: StrongestActions, learned: BoolArray) -> tuple[SignalLevel, ...]:
    """The levels by action, the heaviest first."""
    places, names = pd.factorize(strongest.action)
    pairs = np.bincount(places, minlength=len(names))
    taken = np.bincount(places, weights=learned, minlength=len(names))
    weights = np.zeros(len(names))
    np.maximum.at(weights, places, strongest.weight)
    levels = [
        SignalLevel(str(name), weights[at], int(pairs[at]), int(taken[at])) for at, name in enumerate(names) if name
    ]
    return tuple(sorted(levels, key=lambda level: (-level.weight, level.action)))


def _signal_verb(strongest: StrongestActions, flag: BoolArray) -> str:
    found = pd.Series(strongest.action[flag]).value_counts()
    common = sorted(found.index[found >= MIN_SHARE_IN_NAME * found.sum()], key=lambda action: (-found[action], action))
    return " or ".join(_action_verbs([action for action in common if action]))


def _action_verbs(actions: Sequence[str]) -> list[str]:
    return [VERBS.get(action, f'met with "{action}"') for action in actions]
