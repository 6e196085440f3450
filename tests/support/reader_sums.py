"""Sums of metrics from values of each reader, and the intervals of one planned look: for tests and benchmarks.

The platform gets its sums from the warehouse, and shows lifts by intervals that hold at every look.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from recsys_platform.experiments.statistics.estimators import Comparison, Interval
from recsys_platform.experiments.statistics.sums import Numbers, Sums
from recsys_platform.recommender.arrays import DoubleArray


@dataclass(frozen=True)
class PrePeriod:
    """Sums of a mean metric's pre-period over the readers who had one; `x` is their sum of the metric in the experiment."""

    known: Numbers
    x: Numbers
    pre: Numbers
    pre_squared: Numbers
    product: Numbers


def mean_sums(n: Numbers, x: Numbers, xx: Numbers, pre: PrePeriod | None = None) -> Sums:
    """Return the sums of a mean per reader, such as minutes or (winsorised) revenue: readers, Σx, Σx²."""
    if pre is None:
        return Sums(n, x, n, xx, n, x)
    return Sums(
        *(n, x, n, xx, n, x),
        known=pre.known,
        known_x=pre.x,
        known_y=pre.known,
        pre_x=pre.pre,
        pre_y=pre.known,
        pre_xx=pre.pre_squared,
        pre_yy=pre.known,
        pre_xy=pre.pre,
        x_pre_x=pre.product,
        x_pre_y=pre.x,
        y_pre_x=pre.pre,
        y_pre_y=pre.known,
    )


def proportion_sums(n: Numbers, successes: Numbers) -> Sums:
    """Return the sums of a yes or no per reader, such as retention."""
    return mean_sums(n, successes, successes)


def reader_sums(x: DoubleArray, y: DoubleArray, pre_x: DoubleArray, pre_y: DoubleArray, known: DoubleArray) -> Sums:
    """Return the sums over the last axis, one value per reader; `known` is 1 for readers with a pre-period, else 0."""
    before_x, before_y = pre_x * known, pre_y * known
    products = (x * x, y * y, x * y, known, x * known, y * known, before_x, before_y, before_x**2, before_y**2)
    crossed = (before_x * before_y, x * before_x, x * before_y, y * before_x, y * before_y)
    readers = np.full(x.shape[:-1], x.shape[-1], dtype=np.float64)
    return Sums(readers, *(np.sum(each, axis=-1) for each in (x, y, *products, *crossed)))


def critical_t(comparison: Comparison, alpha: float) -> Numbers:
    """Return the quantile of Student's t for a two-sided interval at one planned look."""
    return np.asarray(stdtrit(comparison.degrees, 1 - alpha / 2))


def difference_interval(comparison: Comparison, critical: Numbers) -> Interval:
    """Return the interval of the difference: ± `critical` standard errors."""
    half = critical * np.asarray(comparison.error)
    return Interval(comparison.difference - half, comparison.difference + half)
