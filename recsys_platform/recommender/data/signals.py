"""What counts as liked where the world does not say so itself: the strongest signal that enough readers give.

Belongs here: which pairs models learn from and are measured on, since when, and the words for them. Does not: what an event weighs and
from which weight a book is liked (dbt decides).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recsys_platform.recommender.arrays import AnyArray, BoolArray, DoubleArray, IdArray, TimeArray

LIKED = "liked"
LIKES = float("inf")
"""In place of the weight of an action: what counts as liked."""
MEASURABLE = 50
"""With fewer readers of two liked books, one to learn from and one to hold out, liked books are too few to measure."""
RARE = 5
"""A stronger signal that few readers give is kept all the same unless a weaker one can be measured on so many times as many."""
NAMED = 0.1
"""An action stands in the name of a signal if it is the strongest of this share of its pairs."""
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
class Level:
    """One kind of action: the weight of one such event, the pairs whose strongest action it is, the pairs that are learned from."""

    action: str
    weight: float
    pairs: int
    learned: int


@dataclass(frozen=True)
class Signal:
    """What is learned and measured: `verb` in "what readers … next", `why` if it is not what they liked, and where it comes from."""

    verb: str = LIKED
    why: str = ""
    levels: tuple[Level, ...] = ()

    @property
    def is_liked(self) -> bool:
        """Whether it is what counts as liked, and no weaker signal in its place."""
        return self.verb == LIKED


@dataclass(frozen=True)
class Strongest:
    """Of each pair the strongest action (empty for none) and the weight of one such event (0 for none).

    `since`: the first time of that action; `first_at`: that of any event.
    """

    action: IdArray
    weight: DoubleArray
    since: TimeArray
    first_at: TimeArray


@dataclass(frozen=True)
class Learned:
    """The pairs that are learned from, since when each is one, and what that signal is."""

    positive: BoolArray
    since: TimeArray
    signal: Signal


def learned_pairs(
    user: AnyArray, positive: BoolArray, liked_at: TimeArray, weight: AnyArray, strongest: Strongest
) -> Learned:
    """What is liked, or the strongest weaker signal where too few readers like anything; all arrays have a value a pair.

    The first signal that `MEASURABLE` readers can be measured by is taken, or as many as any gives. A pair whose own action is
    stronger counts since its first event: it must not be held out as new if it may be old.
    """
    candidates = _candidates(positive, weight, strongest)
    readers = [_measurable(user, flag) for _, flag in candidates]
    level, flag = candidates[_first_measurable(readers, is_liked=candidates[0][0] == LIKES)]
    levels = _levels(strongest, flag)
    if level == LIKES:
        return Learned(positive, liked_at, Signal(levels=levels))
    since = np.where(strongest.weight == level, strongest.since, strongest.first_at)
    why = _why(_measurable(user, positive), positive)
    return Learned(flag, since, Signal(_verb(strongest, flag), why, levels))


def _first_measurable(readers: Sequence[int], *, is_liked: bool) -> int:
    """The place of the first signal that enough readers give; `is_liked`: whether the first is what they like."""
    most = max(readers)
    if is_liked and readers[0] and readers[0] * RARE >= most:
        return 0
    return next(at for at, count in enumerate(readers) if count >= min(MEASURABLE, most))


def _candidates(positive: BoolArray, weight: AnyArray, strongest: Strongest) -> list[tuple[float, BoolArray]]:
    """The liked pairs, then those of every weaker signal, the strongest first; where nothing is liked, those alone."""
    found = strongest.weight[~positive & (weight > 0) & (strongest.weight > 0)]
    weaker = [
        (float(level), positive | ((strongest.weight >= level) & (weight > 0))) for level in np.unique(found)[::-1]
    ]
    liked = [(LIKES, positive)]
    return liked + weaker if positive.any() or not weaker else weaker


def _measurable(user: AnyArray, flag: BoolArray) -> int:
    """How many readers have two such pairs."""
    return int((np.bincount(user[flag]) >= 2).sum()) if flag.any() else 0


def _why(readers: int, positive: BoolArray) -> str:
    if not positive.any():
        return "nothing that happened weighs enough to count as liked"
    return f"only {readers:,} readers liked two books, too few to measure"


def _levels(strongest: Strongest, learned: BoolArray) -> tuple[Level, ...]:
    """By action, the heaviest first."""
    places, names = pd.factorize(strongest.action)
    pairs = np.bincount(places, minlength=len(names))
    taken = np.bincount(places, weights=learned, minlength=len(names))
    weights = np.zeros(len(names))
    np.maximum.at(weights, places, strongest.weight)
    levels = [Level(str(name), weights[at], int(pairs[at]), int(taken[at])) for at, name in enumerate(names) if name]
    return tuple(sorted(levels, key=lambda level: (-level.weight, level.action)))


def _verb(strongest: Strongest, flag: BoolArray) -> str:
    found = pd.Series(strongest.action[flag]).value_counts()
    common = sorted(found.index[found >= NAMED * found.sum()], key=lambda action: (-found[action], action))
    return " or ".join(_verbs([action for action in common if action]))


def _verbs(actions: Sequence[str]) -> list[str]:
    return [VERBS.get(action, f'met with "{action}"') for action in actions]
