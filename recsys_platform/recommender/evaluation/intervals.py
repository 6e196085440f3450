"""How sure an average over users is.

Belongs here: the bootstrap of means, the same resamples for all models, so that differences are paired. Does not: what is averaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, DoubleArray, IntArray

CONFIDENCE = 0.95
Means = Mapping[str, tuple[DoubleArray, DoubleArray]]
"""For each segment the mean of every metric (n_metrics,) and of every resample (resamples, n_metrics)."""


@dataclass(frozen=True)
class Resamples:
    """How often each user of each segment is drawn, (resamples, users of the segment): Efron (1979), seeded."""

    draws: Mapping[str, IntArray]

    def means(self, per_user: Mapping[str, DoubleArray]) -> Means:
        """Means of metrics (users of the segment, n_metrics) by segment."""
        return {
            segment: (values.mean(axis=0), self.draws[segment] @ values / len(values))
            for segment, values in per_user.items()
        }


def resamples_of(segments: Mapping[str, BoolArray], count: int, seed: int) -> Resamples:
    """For each segment as many users as there are in it, drawn with replacement."""
    sizes = {segment: int(chosen.sum()) for segment, chosen in segments.items()}
    return Resamples(
        {
            segment: np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=count).astype(np.int32)
            for segment, size in sizes.items()
        }
    )


def interval(draws: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """The middle 95 % of the resampled values (axis 0), by nearest rank so that an infinite ratio stays one."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0, method="nearest")
    return low, high
