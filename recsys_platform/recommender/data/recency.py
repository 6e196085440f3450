"""Recency: how much less an old interaction counts than a new one.

Belongs here: the decay that all models share. Does not: the weight of a new event (dbt).
"""

import numpy as np

from recsys_platform.recommender.arrays import FloatArray, IntArray, TimeArray
from recsys_platform.recommender.data.dataset import Interactions


def time_decay(last_at: TimeArray, *, half_life_days: float) -> FloatArray:
    """Exponential decay by age: 1 for the newest interaction, 0.5 for one `half_life_days` older; shape of `last_at`.

    Ages are relative to the newest interaction, not to today, so that retraining on old data gives the same model.
    """
    if not len(last_at):
        return np.empty(0, np.float32)
    age = (last_at.max() - last_at) / np.timedelta64(1, "D")
    return np.asarray(np.exp2(-age / half_life_days), dtype=np.float32)


def recency_rank(rows: Interactions) -> IntArray:
    """Number of newer interactions of the same user, shape of `rows`: 0 for the newest.

    The time of a liked book is its first like; opening it again does not make it newer. Interactions of the same time share a rank,
    so without real times all ranks are 0.
    """
    oldest_first = np.lexsort((rows.liked_at, rows.user))
    user, moment = rows.user[oldest_first], rows.liked_at[oldest_first]
    begins = np.ones(len(rows), dtype=bool)
    begins[1:] = (user[1:] != user[:-1]) | (moment[1:] != moment[:-1])
    ends = np.append(np.flatnonzero(begins)[1:], len(rows)) - 1  # the last row of each time
    age = np.empty(len(rows), dtype=np.int32)
    age[oldest_first] = np.cumsum(np.bincount(user))[user] - 1 - ends[np.cumsum(begins) - 1]
    return age
