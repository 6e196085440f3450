"""The read-out of an experiment: from the sums of each day to lifts, intervals, p-values and the verdict.

Belongs here: which estimator, bound and correction is used for which metric. Does not: the estimators themselves, where the sums
come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from recsys_platform.experiments.statistics.always_valid import half_width, mixing_for
from recsys_platform.experiments.statistics.corrections import Guardrail, benjamini_hochberg, guardrail_state, holm
from recsys_platform.experiments.statistics.decision import (
    Decision,
    Gain,
    GuardrailResult,
    Primary,
    Progress,
    VariantResult,
    decide,
)
from recsys_platform.experiments.statistics.estimators import (
    Comparison,
    Interval,
    compare,
    compare_with_pre_period,
    lift_interval,
)
from recsys_platform.experiments.statistics.health import Finding
from recsys_platform.experiments.statistics.planning import Design, measured_baseline, power_with
from recsys_platform.experiments.statistics.sequential import daily_bounds, repeated_p_value
from recsys_platform.experiments.statistics.sums import Numbers, Sums
from recsys_platform.recommender.arrays import BoolArray, DoubleArray

LEAST_READERS = 100
"""Readers of each group from which a day is a look: with fewer, estimates are not normal."""
TOLERATED_FROM_ZERO = 0.001
"""Share of answers by which a guardrail may exceed a control that has none of it: a share of nothing would tolerate nothing."""


@dataclass(frozen=True)
class Metric:
    """A metric of an experiment. `smallest_effect`: of a primary metric, the lift below which nobody would ship. `margin`: of a
    guardrail, the loss that is tolerated. Both as shares of the control, above 0.
    """

    name: str
    is_guardrail: bool = False
    higher_is_better: bool = True
    smallest_effect: float = 0.02
    margin: float = 0.02


@dataclass(frozen=True)
class Rules:
    """How an experiment is judged: its metrics, of which at least one is primary; the control's name; alpha and planned power."""

    metrics: tuple[Metric, ...]
    control: str = "control"
    alpha: float = 0.05
    power: float = 0.8


@dataclass(frozen=True, eq=False)
class Reading:
    """One metric of one variant against the control; arrays have one value a day, shape (days,).

    `repeated`: the interval of `lift` that holds on all days together up to the planned end; `always_valid`: the one that holds
    without any plan. `p_value`: of the last day, valid at every look, not corrected for other metrics. `control`, `treatment`: the
    metric on the last day, without the pre-period. `saved`: share of the variance that the pre-period explains. `power`: reached by
    now for the smallest effect (or the margin), if it were looked at once. `error`: standard error of `lift`; NaN on days that are
    no look. `state_at_zero`: of a guardrail whose control has none of what is bad, so that there is no lift; None for all others.
    """

    variant: str
    metric: Metric
    control: float
    treatment: float
    lift: DoubleArray
    repeated: Interval
    always_valid: Interval
    p_value: float
    saved: float
    power: float
    error: DoubleArray
    state_at_zero: Guardrail | None = None

    @property
    def gain(self) -> Gain:
        """The lift of the last day, its sign turned if less is better."""
        value, low, high = (_last(each) for each in (self.lift, self.repeated.low, self.repeated.high))
        if self.metric.higher_is_better:
            return Gain(self.metric.name, value, low, high)
        return Gain(self.metric.name, -value, -high, -low)


@dataclass(frozen=True)
class ReadOut:
    """All readings, the findings of the health checks, and the verdict."""

    readings: tuple[Reading, ...]
    findings: tuple[Finding, ...]
    decision: Decision


def read_out(
    rules: Rules,
    sums: Mapping[str, Mapping[str, Sums]],
    share: DoubleArray,
    findings: Sequence[Finding] = (),
    *,
    days_left: int | None = None,
) -> ReadOut:
    """Read an experiment.

    `sums`: by variant (with the control) and metric, arrays of shape (days,), each day as it stood at its end. `share`: of the planned
    readers or days that was reached, shape (days,); from 1 on the experiment has ended. Days after the first 1 must be left out.
    `days_left`: until the last day that counts; 0 ends the experiment too, however much of the plan was reached.
    """
    variants = [name for name in sums if name != rules.control]
    primaries = [metric for metric in rules.metrics if not metric.is_guardrail]
    tests = len(variants) * len(primaries)
    readings = [
        read_metric(
            name,
            metric,
            (sums[rules.control][metric.name], sums[name][metric.name]),
            share,
            _alpha(rules, metric, tests),
        )
        for name in variants
        for metric in rules.metrics
    ]
    corrected = holm(np.array([each.p_value for each in readings if not each.metric.is_guardrail]))
    p_values = iter(corrected.tolist())
    by_reading = [(each, None if each.metric.is_guardrail else next(p_values)) for each in readings]
    results = [_result_of(name, [pair for pair in by_reading if pair[0].variant == name]) for name in variants]
    progress = Progress(is_ended=bool(share[-1] >= 1) or days_left == 0, days_left=days_left)
    return ReadOut(tuple(readings), tuple(findings), decide(results, findings, progress, alpha=rules.alpha))


def read_metric(variant: str, metric: Metric, sums: tuple[Sums, Sums], share: DoubleArray, alpha: float) -> Reading:
    """Read one metric of one variant. `sums`: of control and variant; `alpha`: two-sided, of this metric."""
    plain, comparison = compare(*sums), compare_with_pre_period(*sums)
    usable = _usable_days(comparison)
    reached, information = _looks(comparison, usable, share)
    effect = metric.margin if metric.is_guardrail else metric.smallest_effect
    saved = 1 - _last(comparison.error) ** 2 / _last(plain.error) ** 2 if usable[-1] else 0.0
    return Reading(
        variant,
        metric,
        control=_last(plain.control.value),
        treatment=_last(plain.treatment.value),
        lift=np.asarray(comparison.lift),
        repeated=lift_interval(comparison, daily_bounds(reached, information, alpha)),
        always_valid=_always_valid_interval(comparison, usable, effect, alpha),
        p_value=repeated_p_value(np.where(usable, comparison.statistic, 0.0), reached, information),
        saved=saved,
        power=_power_reached(sums, effect, saved, alpha) if usable[-1] else 0.0,
        error=np.where(usable, np.asarray(comparison.lift_error), np.nan),
        state_at_zero=_state_at_zero(plain, alpha) if metric.is_guardrail and not metric.higher_is_better else None,
    )


def read_segments(
    variant: str, metric: Metric, segments: Mapping[str, tuple[Sums, Sums]], share: DoubleArray, alpha: float
) -> dict[str, tuple[Reading, float]]:
    """Read one metric in each segment of the readers: the reading, and its p-value corrected for all segments. Exploratory: what is
    found here asks for an experiment of its own.
    """
    readings = {name: read_metric(variant, metric, sums, share, alpha) for name, sums in segments.items()}
    corrected = benjamini_hochberg(np.array([each.p_value for each in readings.values()]))
    return {name: (reading, float(p)) for (name, reading), p in zip(readings.items(), corrected, strict=True)}


def _alpha(rules: Rules, metric: Metric, tests: int) -> float:
    """Guardrails are one-sided tests at alpha; intervals of primary metrics are as wide as the strictest of Holm's tests."""
    return 2 * rules.alpha if metric.is_guardrail else rules.alpha / tests


def _result_of(variant: str, readings: Sequence[tuple[Reading, float | None]]) -> VariantResult:
    primaries, guardrails = [], []
    for reading, p_value in readings:
        gain, metric = reading.gain, reading.metric
        if p_value is not None:
            primaries.append(Primary(gain, p_value, metric.smallest_effect))
        else:
            state = reading.state_at_zero or guardrail_state(Interval(gain.low, gain.high), metric.margin)
            guardrails.append(GuardrailResult(gain, state, metric.margin))
    return VariantResult(variant, tuple(primaries), tuple(guardrails))


def _usable_days(comparison: Comparison) -> BoolArray:
    error = np.asarray(comparison.lift_error)
    readers = np.minimum(comparison.control.n, comparison.treatment.n)
    return np.asarray(np.isfinite(error) & (error > 0) & (readers >= LEAST_READERS))


def _state_at_zero(comparison: Comparison, alpha: float) -> Guardrail | None:
    """The state of a guardrail by the difference, while the control has none of what is bad; None if it has any.

    `alpha`: two-sided. The look of day k is a one-sided test at alpha / 2 · 6 / (π k)²; over all days these add up to alpha / 2.
    """
    if _last(comparison.control.value) != 0:
        return None
    readers = np.minimum(comparison.control.n, comparison.treatment.n)
    days = int(np.sum(np.asarray(readers) >= LEAST_READERS))
    if not days:
        return Guardrail.OPEN
    width = -float(ndtri(alpha / 2 * 6 / (np.pi * days) ** 2)) * _last(comparison.error)
    difference = _last(comparison.difference)
    if difference - width > TOLERATED_FROM_ZERO:
        return Guardrail.HARMED
    return Guardrail.HOLDS if difference + width <= TOLERATED_FROM_ZERO else Guardrail.OPEN


def _looks(comparison: Comparison, usable: BoolArray, share: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Share of the plan and information of each day; a day that is no look spends nothing."""
    information = np.zeros(len(usable))
    information[usable] = 1 / np.square(np.asarray(comparison.lift_error)[usable])
    reached = np.maximum.accumulate(np.where(usable, share, 0.0))
    return reached, information


def _always_valid_interval(comparison: Comparison, usable: BoolArray, effect: float, alpha: float) -> Interval:
    """Tuned to the error with which the effect is just found: a third of it."""
    error = np.where(usable, np.asarray(comparison.lift_error), 1.0)
    width = half_width(error, mixing_for(effect / 3, alpha), alpha)
    return lift_interval(comparison, np.where(usable, width / error, np.inf))


def _power_reached(sums: tuple[Sums, Sums], effect: float, saved: float, alpha: float) -> float:
    control, treatment = sums
    readers = round(min(_last(control.n), _last(treatment.n)))
    last = Sums(*(_last(np.broadcast_to(each, np.shape(control.n))) for each in vars(control).values()))
    design = Design(alpha=alpha, looks=1, correlation=float(np.sqrt(np.clip(saved, 0.0, 0.999))))
    return power_with(measured_baseline(last), effect, readers, design)


def _last(values: Numbers) -> float:
    return float(np.asarray(values)[-1])
