"""Estimators of a metric and of its lift, from sums over readers.

Belongs here: means, ratios (delta method), CUPED, comparisons and their intervals for one look. Does not: what allows several looks
(sequential.py, always_valid.py), several metrics (corrections.py).

The reader is the unit: clicks of one reader depend on each other, readers do not. A ratio is linearised per reader,
z = (x - R y) ÷ mean(y) (delta method; Deng, Knoblich & Lu 2018, "Applying the Delta Method in Metric Analytics"); for a mean, where
y is 1, that is exactly the mean with its standard error.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from recsys_platform.experiments.statistics.sums import Numbers, Sums

FIELLER_FROM = 0.05
"""Fieller's interval is used from this size of g = (critical · error ÷ control)²; below it equals the delta method's in practice."""
_QUIET = np.errstate(divide="ignore", invalid="ignore")
"""Groups without readers give NaN, which is told as "no result"; it is nothing to warn of."""


@dataclass(frozen=True)
class Level:
    """The metric in one variant: its `value`, the squared standard error of it, and the number of readers."""

    value: Numbers
    squared_error: Numbers
    n: Numbers


@dataclass(frozen=True)
class Interval:
    """A confidence interval; infinite on both sides where the data cannot bound it."""

    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Comparison:
    """A variant (`treatment`) beside the control, on the same metric."""

    control: Level
    treatment: Level

    @property
    def difference(self) -> Numbers:
        """Treatment minus control."""
        return self.treatment.value - self.control.value

    @property
    def error(self) -> Numbers:
        """Standard error of the difference."""
        return _root(self.treatment.squared_error + self.control.squared_error)

    @property
    def statistic(self) -> Numbers:
        """The difference in standard errors; 0 where both groups have no spread at all."""
        return _quotient(self.difference, self.error)

    @property
    def degrees(self) -> Numbers:
        """Degrees of freedom by Welch (1947) and Satterthwaite."""
        of_treatment, of_control = self.treatment.squared_error, self.control.squared_error
        below = of_treatment**2 / (self.treatment.n - 1) + of_control**2 / (self.control.n - 1)
        return np.maximum(1.0, _quotient((of_treatment + of_control) ** 2, below))

    @property
    def p_value(self) -> Numbers:
        """Two-sided p-value of Welch's t-test, for one look that was planned."""
        return np.asarray(2 * stdtr(self.degrees, -np.abs(self.statistic)), dtype=np.float64)

    @property
    @_QUIET
    def lift(self) -> Numbers:
        """Treatment ÷ control - 1."""
        return self.treatment.value / self.control.value - 1

    @property
    @_QUIET
    def lift_error(self) -> Numbers:
        """Standard error of the lift by the delta method."""
        ratio = self.treatment.value / self.control.value
        spread = self.treatment.squared_error + ratio**2 * self.control.squared_error
        return _root(spread) / np.abs(self.control.value)


@_QUIET
def level_of(sums: Sums) -> Level:
    """Return the mean or ratio of one variant with its error; NaN without readers or without any `y`."""
    ratio = _quotient(sums.x, sums.y, otherwise=np.nan)
    return Level(ratio, _covariances(sums, ratio, 0.0).z_z / sums.n, sums.n)


def compare(control: Sums, treatment: Sums) -> Comparison:
    """Compare two variants without the pre-period."""
    return Comparison(level_of(control), level_of(treatment))


@_QUIET
def compare_with_pre_period(control: Sums, treatment: Sums) -> Comparison:
    """Compare two variants by CUPED (Deng, Xu, Kohavi & Walker 2013, "Improving the Sensitivity of Online Controlled Experiments").

    What the pre-period predicts of each reader is taken off, with coefficients pooled over both variants. Readers without a pre-period
    are a stratum of their own: one covariate says whether a reader has one, another how far it lies from the mean of those who do.
    Both are 0 where there is no pre-period at all: then this is `compare`.
    """
    together = control + treatment
    pre_ratio = _quotient(together.pre_x, together.pre_y)
    pooled = _covariances(together, _quotient(together.x, together.y, otherwise=np.nan), pre_ratio)
    # By the choice of `pre_ratio` the two covariates are uncorrelated in the pooled readers: each has its coefficient alone.
    coefficients = _quotient(pooled.z_h, pooled.h_h), _quotient(pooled.z_w, pooled.w_w)
    share = together.known / together.n
    return Comparison(*(_adjusted_level(each, pre_ratio, coefficients, share) for each in (control, treatment)))


@_QUIET
def lift_interval(comparison: Comparison, critical: Numbers) -> Interval:
    """Return the interval of the lift: delta method, or Fieller's (1954) where the control is near 0.

    Infinite where the control is not significantly different from 0.
    """
    closeness = _closeness(comparison, critical)
    half = _half_width(critical, comparison.lift_error)
    exact = fieller_interval(comparison, critical)
    near = closeness >= FIELLER_FROM
    low = np.where(near, exact.low, comparison.lift - half)
    return Interval(low, np.where(near, exact.high, comparison.lift + half))


@_QUIET
def fieller_interval(comparison: Comparison, critical: Numbers) -> Interval:
    """Return the lifts that a test at `critical` does not refuse, for two independent groups (Fieller 1954)."""
    above, below = comparison.treatment, comparison.control
    bounded = _closeness(comparison, critical) < 1
    squared = np.where(bounded, np.square(critical), 0.0)
    leading = below.value**2 - squared * below.squared_error
    middle = above.value * below.value
    last = above.value**2 - squared * above.squared_error
    root = _root(np.maximum(middle**2 - leading * last, 0.0))
    low = np.where(bounded, (middle - root) / leading - 1, -np.inf)
    return Interval(low, np.where(bounded, (middle + root) / leading - 1, np.inf))


@dataclass(frozen=True)
class _Covariances:
    """Variances and covariances per reader of the linearised metric z and of the covariates h (has a pre-period) and w."""

    z_z: Numbers
    z_h: Numbers
    z_w: Numbers
    h_h: Numbers
    h_w: Numbers
    w_w: Numbers


def _covariances(sums: Sums, ratio: Numbers, pre_ratio: Numbers) -> _Covariances:
    """z = (x - ratio · y) ÷ mean(y), h = 1 for readers with a pre-period, w = pre_x - pre_ratio · pre_y, 0 without a pre-period."""
    n, scale = sums.n, sums.y / sums.n
    z = (sums.x - ratio * sums.y) / scale
    w = sums.pre_x - pre_ratio * sums.pre_y
    z_z = (sums.xx - 2 * ratio * sums.xy + ratio**2 * sums.yy) / scale**2
    z_h = (sums.known_x - ratio * sums.known_y) / scale
    z_w = sums.x_pre_x - pre_ratio * sums.x_pre_y - ratio * (sums.y_pre_x - pre_ratio * sums.y_pre_y)
    w_w = sums.pre_xx - 2 * pre_ratio * sums.pre_xy + pre_ratio**2 * sums.pre_yy
    return _Covariances(
        z_z=np.maximum(_covariance(n, z, z, z_z), 0.0),
        z_h=_covariance(n, z, sums.known, z_h),
        z_w=_covariance(n, z, w, z_w / scale),
        h_h=_covariance(n, sums.known, sums.known, sums.known),
        h_w=_covariance(n, sums.known, w, w),
        w_w=_covariance(n, w, w, w_w),
    )


def _covariance(n: Numbers, first: Numbers, second: Numbers, product: Numbers) -> Numbers:
    return (product - first * second / n) / (n - 1)


def _adjusted_level(sums: Sums, pre_ratio: Numbers, coefficients: tuple[Numbers, Numbers], share: Numbers) -> Level:
    by_share, by_value = coefficients
    ratio = _quotient(sums.x, sums.y, otherwise=np.nan)
    of = _covariances(sums, ratio, pre_ratio)
    off = by_share * (sums.known / sums.n - share) + by_value * (sums.pre_x - pre_ratio * sums.pre_y) / sums.n
    explained = 2 * (by_share * of.z_h + by_value * of.z_w - by_share * by_value * of.h_w)
    variance = of.z_z - explained + by_share**2 * of.h_h + by_value**2 * of.w_w
    return Level(ratio - off, np.maximum(variance, 0.0) / sums.n, sums.n)


def _closeness(comparison: Comparison, critical: Numbers) -> Numbers:
    """How near the control is to 0, as Fieller's g."""
    squared = np.square(np.minimum(critical, 1e9)) * comparison.control.squared_error
    return _quotient(squared, np.square(comparison.control.value), otherwise=np.inf)


def _half_width(critical: Numbers, error: Numbers) -> Numbers:
    """Infinite where `critical` is, also if the error is 0."""
    return np.where(np.isfinite(critical), np.where(np.isfinite(critical), critical, 0.0) * error, np.inf)


def _quotient(over: Numbers, under: Numbers, otherwise: float = 0.0) -> Numbers:
    """Divide; `otherwise` where the divisor is 0."""
    is_zero = np.equal(under, 0)
    return np.where(is_zero, otherwise, over / np.where(is_zero, 1.0, under))


def _root(values: Numbers) -> Numbers:
    return np.asarray(np.sqrt(values))
