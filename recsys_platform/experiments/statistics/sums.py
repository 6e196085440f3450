"""Sums over the readers of one variant: all that the estimators need to know of a metric.

Belongs here: the sums and their means and covariances. Does not: estimators.
"""

from dataclasses import dataclass, fields

import numpy as np

from recsys_platform.recommender.arrays import DoubleArray

Numbers = float | DoubleArray
"""One number, or an array of them: of several days, metrics or simulations, all of one shape."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of one metric over the readers of one variant, from the start of the experiment to the end of a day.

    The metric of a reader is `x` ÷ `y`: clicks ÷ exposures. For a mean per reader `y` is 1 (`mean_sums`). `n`: readers; `x` … `xy`:
    sums over them of x, y, x², y² and xy.

    The pre-period is the same metric before the experiment, for the readers who had one: `known` is their number, `known_x` and
    `known_y` are their sums of x and y, `pre_x` … `pre_xy` their sums in the pre-period, `x_pre_x` … `y_pre_y` the sums of products.
    Readers without a pre-period add nothing to these; leave them 0 if there is none at all.
    """

    n: Numbers
    x: Numbers
    y: Numbers
    xx: Numbers
    yy: Numbers
    xy: Numbers
    known: Numbers = 0.0
    known_x: Numbers = 0.0
    known_y: Numbers = 0.0
    pre_x: Numbers = 0.0
    pre_y: Numbers = 0.0
    pre_xx: Numbers = 0.0
    pre_yy: Numbers = 0.0
    pre_xy: Numbers = 0.0
    x_pre_x: Numbers = 0.0
    x_pre_y: Numbers = 0.0
    y_pre_x: Numbers = 0.0
    y_pre_y: Numbers = 0.0

    def __post_init__(self) -> None:
        # Of one type, so that a day without readers divides into NaN and raises nothing.
        for each in fields(self):
            object.__setattr__(self, each.name, np.asarray(getattr(self, each.name), dtype=np.float64))

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


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
