"""How much less an old interaction counts than a new one.

Belongs here: the decay that all models share. Does not: what an event weighs when it is new (dbt decides).
"""

import numpy as np

from recsys_platform.recommender.arrays import FloatArray, IntArray, TimeArray
from recsys_platform.recommender.data.dataset import Interactions


def decay(last_at: TimeArray, *, half_life_days: float) -> FloatArray:
    """1 for the newest interaction, 0.5 for one that is `half_life_days` older, and so on; shape of `last_at`.

    Counted from the newest interaction, not from today: a model trained again on old data must not change.
    """
    if not len(last_at):
        return np.empty(0, np.float32)
    age = (last_at.max() - last_at) / np.timedelta64(1, "D")
    return np.asarray(np.exp2(-age / half_life_days), dtype=np.float32)


def newer_of_the_user(rows: Interactions) -> IntArray:
    """How many newer interactions the same user has, shape of `rows`: age by reading, whatever the calendar says.

    A liked book is as old as its first like: looking at it again makes it no newer.

    Those of one moment have the same age, so that data without times know no age at all.
    """
    oldest_first = np.lexsort((rows.liked_at, rows.user))
    user, moment = rows.user[oldest_first], rows.liked_at[oldest_first]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = (user[1:] != user[:-1]) | (moment[1:] != moment[:-1])
    ends = np.append(np.flatnonzero(begins)[1:], len(rows)) - 1  # the last of each moment
    age = np.empty(len(rows), dtype=np.int32)
    age[oldest_first] = np.cumsum(np.bincount(user))[user] - 1 - ends[np.cumsum(begins) - 1]
    return age
