"""Confidence intervals of means over users.

Belongs here: the bootstrap, with the same resamples for all models, so that differences are paired. Does not: the metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, DoubleArray, IntArray

CONFIDENCE = 0.95
Means = Mapping[str, tuple[DoubleArray, DoubleArray]]
"""By segment: the mean of every metric (n_metrics,) and of every resample (resamples, n_metrics)."""


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples (Efron 1979): by segment, how often each user is drawn, shape (resamples, users of the segment)."""

    draws: Mapping[str, IntArray]

    def means(self, per_user: Mapping[str, DoubleArray]) -> Means:
        """Return means by segment of metrics per user (users of the segment, n_metrics)."""
        return {
            segment: (values.mean(axis=0), self.draws[segment] @ values / len(values))
            for segment, values in per_user.items()
        }


def resamples_of(segments: Mapping[str, BoolArray], count: int, seed: int) -> Resamples:
    """Draw `count` resamples of each segment's users, with replacement."""
    sizes = {segment: int(chosen.sum()) for segment, chosen in segments.items()}
    return Resamples(
        {
            segment: np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=count).astype(np.int32)
            for segment, size in sizes.items()
        }
    )


def interval(draws: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return the middle 95 % of the resampled values (axis 0), by nearest rank, so that infinite ratios stay infinite."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0, method="nearest")
    return low, high
