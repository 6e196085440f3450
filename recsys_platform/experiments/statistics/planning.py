"""Plan an experiment: readers, days, power, smallest effect that it finds.

Belongs here: sample sizes for means, proportions, ratios and guardrails, with looks every day or one at the end. Does not:
the estimators (the variance is that of estimators.py), assignment.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from scipy.special import ndtr, ndtri

from recsys_platform.common.errors import InputError
from recsys_platform.experiments.statistics.estimators import level_of
from recsys_platform.experiments.statistics.sequential import drift_of, power_of_drift
from recsys_platform.experiments.statistics.sums import Sums

TAYLOR = 1.5
"""Variance grows with this power of the mean (Taylor 1961): 1 for counts of readers who are alike, 2 where each reader changes by the
same factor, and behaviour lies between."""
MAX_LOOKS = 60
"""More looks than this cost hardly any more readers: the planner counts no more."""


@dataclass(frozen=True)
class Baseline:
    """A metric as it is today: its `value`, and the `variance` of it per reader.

    `treated_variance` is the variance per reader at a lift: of a proportion it follows from the rate; otherwise it grows by Taylor's
    power law.
    """

    value: float
    variance: float
    is_proportion: bool = False

    def treated_variance(self, lift: float) -> float:
        """Return the variance per reader in a variant with this lift."""
        rate = self.value * (1 + lift)
        return rate * (1 - rate) if self.is_proportion else self.variance * (1 + lift) ** TAYLOR


@dataclass(frozen=True)
class Design:
    """How an experiment is tested.

    `looks`: how often it is looked at, evenly spread; 1 for once at the end. `variants`: without the control, of its size.
    `metrics`: primary metrics. `guardrails`: metrics that must not be worse than a margin. `correlation`: of the metric with its
    pre-period, 0 without CUPED. Alpha is divided by variants × metrics, as Holm does for the strongest of them; the chance of a miss
    by guardrails + 1, since all must hold (Schultzberg, Ankargren & Frånberg 2024).
    """

    alpha: float = 0.05
    power: float = 0.8
    looks: int = 14
    variants: int = 1
    metrics: int = 1
    guardrails: int = 0
    correlation: float = 0.0

    @property
    def corrected_alpha(self) -> float:
        """Alpha of one comparison."""
        return self.alpha / (self.variants * self.metrics)

    @property
    def corrected_power(self) -> float:
        """Power of one metric."""
        return 1 - (1 - self.power) / (self.guardrails + 1)


def mean_baseline(mean: float, deviation: float) -> Baseline:
    """Return the baseline of a mean per reader from its standard deviation."""
    return Baseline(mean, deviation**2)


def proportion_baseline(rate: float) -> Baseline:
    """Return the baseline of a yes or no per reader."""
    return Baseline(rate, rate * (1 - rate), is_proportion=True)


def ratio_baseline(rate: float, per_reader: float, *, icc: float = 0.0, exposures_cv: float = 0.0) -> Baseline:
    """Return the baseline of a ratio such as clicks ÷ exposures.

    `per_reader`: exposures of a reader; `exposures_cv`: their standard deviation ÷ mean. `icc`: intraclass correlation of the clicks
    of one reader, 0 if readers do not differ. The design effect is 1 + ((1 + exposures_cv²) · per_reader - 1) · icc (Kish 1965).
    """
    effect = 1 + ((1 + exposures_cv**2) * per_reader - 1) * icc
    return Baseline(rate, rate * (1 - rate) / per_reader * effect)


def measured_baseline(sums: Sums) -> Baseline:
    """Return the baseline of a metric that was measured on readers, of the past or of a control."""
    level = level_of(sums)
    return Baseline(float(level.value), float(level.squared_error * level.n))


def required_readers(baseline: Baseline, lift: float, design: Design) -> int:
    """Return the readers that each variant needs, to find a lift (.05 for +5 %) with the power of the design."""
    check_plan(baseline, lift, design)
    drift = drift_of(design.corrected_alpha, design.corrected_power, design.looks)
    return ceil(_readers_at(drift, baseline, lift, design))


def required_readers_of_guardrail(baseline: Baseline, margin: float, design: Design) -> int:
    """Return the readers that each variant needs, to show that a metric without any change is not worse than a margin.

    One-sided at alpha: each side of the sequential bounds at 2 · alpha.
    """
    check_plan(baseline, margin, design)
    drift = drift_of(2 * design.alpha, design.corrected_power, design.looks)
    variance = 2 * baseline.variance * (1 - design.correlation**2)
    return ceil(variance * (drift / (baseline.value * margin)) ** 2)


def power_with(baseline: Baseline, lift: float, readers: int, design: Design) -> float:
    """Return the power reached with this number of readers in each variant."""
    effect = abs(baseline.value * lift)
    drift = effect * np.sqrt(readers / _variance(baseline, lift, design))
    if design.looks == 1:
        limit = float(ndtri(1 - design.corrected_alpha / 2))
        return float(ndtr(drift - limit) + ndtr(-drift - limit))
    return power_of_drift(float(drift), design.corrected_alpha, design.looks)


def smallest_lift(baseline: Baseline, readers: int, design: Design) -> float:
    """Return the smallest lift that this number of readers in each variant finds with the power of the design."""
    check_plan(baseline, 1.0, design)
    drift = drift_of(design.corrected_alpha, design.corrected_power, design.looks)
    return _rising_root(lambda lift: readers - _readers_at(drift, baseline, lift, design))


@dataclass(frozen=True)
class Traffic:
    """New readers a day, and the share of them who take part."""

    readers_a_day: float
    share: float = 1.0


def days_for(readers: int, design: Design, traffic: Traffic) -> int:
    """Return the days until each variant and the control have so many readers."""
    if traffic.readers_a_day <= 0 or not 0 < traffic.share <= 1:
        raise InputError(
            "New readers a day must be above 0, and the share of them that takes part above 0 and at most 1."
        )
    return max(1, ceil(readers * (design.variants + 1) / (traffic.readers_a_day * traffic.share)))


@dataclass(frozen=True)
class Duration:
    """A planned experiment: `readers` of each variant, `days` until there are so many, looks as in `design`."""

    readers: int
    days: int
    design: Design


def plan_duration(
    baseline: Baseline,
    lift: float,
    design: Design,
    traffic: Traffic,
    *,
    margin: float | None = None,
    readers: int | None = None,
) -> Duration:
    """Plan the readers and days; a design with several looks gets one a day, up to `MAX_LOOKS`.

    `margin`: the loss that guardrails tolerate; there must be enough readers for them too, as if they varied as the primary metric.
    `readers`: those of each variant, if their number is given.
    """
    check_plan(baseline, lift, design)
    for _ in range(6):
        found = _readers_of(baseline, lift, design, margin) if readers is None else readers
        days = days_for(found, design, traffic)
        looks = 1 if design.looks == 1 else max(2, min(days, MAX_LOOKS))
        if looks == design.looks:
            break
        design = replace(design, looks=looks)
    return Duration(found, days, design)


def _readers_of(baseline: Baseline, lift: float, design: Design, margin: float | None) -> int:
    of_primary = required_readers(baseline, lift, design)
    if margin is None or not design.guardrails:
        return of_primary
    return max(of_primary, required_readers_of_guardrail(baseline, margin, design))


def check_plan(baseline: Baseline, lift: float, design: Design) -> None:
    """Raise InputError for figures with which nothing can be planned."""
    for is_wrong, sentence in (
        (not 0 < design.alpha < 1 or not 0 < design.power < 1, "Alpha and power must be between 0 and 1."),
        (min(design.looks, design.variants, design.metrics) < 1, "Looks, variants and metrics must be at least 1."),
        (baseline.value <= 0 or baseline.variance <= 0, "The metric and its spread must be above 0 today."),
        (baseline.is_proportion and baseline.value >= 1, "A rate must be below 1."),
        (design.guardrails < 0, "The number of guardrails must be at least 0."),
        (lift == 0, "The effect must not be 0: no experiment finds that."),
        (not -1 < design.correlation < 1, "The correlation with the pre-period must be between -1 and 1."),
    ):
        if is_wrong:
            raise InputError(sentence)
    if baseline.is_proportion and not 0 < baseline.value * (1 + lift) < 1 and lift != 1.0:
        raise InputError(
            f"A lift of {lift:+.0%} would make the rate {baseline.value * (1 + lift):g}: it must stay below 1."
        )


def _readers_at(drift: float, baseline: Baseline, lift: float, design: Design) -> float:
    return _variance(baseline, lift, design) * (drift / (baseline.value * lift)) ** 2


def _variance(baseline: Baseline, lift: float, design: Design) -> float:
    """Squared standard error of the difference × readers in each variant."""
    spread = baseline.variance + max(baseline.treated_variance(lift), 0.0)
    return spread * (1 - design.correlation**2)


def _rising_root(function: Callable[[float], float]) -> float:
    low, high = 1e-9, 1e3
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return high
