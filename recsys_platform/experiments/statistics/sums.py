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

    The metric of a reader is `x` ÷ `y`: clicks ÷ exposures. For a mean per reader `y` is 1. `n`: readers; `x` … `xy`:
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
