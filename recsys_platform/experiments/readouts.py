"""The read-out of an experiment from the marts: the counts, the health checks and the verdict.

Belongs here: which days and readers count, what is found, the texts of a read-out. Does not: the sums (metric_days.py), the statistics
(statistics/), plans (plans.py).

A reader is a visitor who was answered by the experiment; bots, staff and those who saw two variants are counted and left out. What a
reader does counts from the first answer of the experiment on. The pre-period is the days before that answer. The newest day of the
marts is not over and does not count.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recsys_platform.common.errors import InputError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.answering_models import moved_models
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.assignment_checks import audited_periods, comparable_groups, contradicting_answers
from recsys_platform.experiments.metric_days import METRICS, PRE_DAYS, SEGMENTS, Measured, MetricDays, measure
from recsys_platform.experiments.plans import Plan
from recsys_platform.experiments.published_policies import PolicyReport
from recsys_platform.experiments.statistics.corrections import holm
from recsys_platform.experiments.statistics.health import (
    MAX_SILENT_DAYS,
    Finding,
    contamination,
    missing_metric,
    novelty,
    outlier,
    sample_ratio_mismatch,
)
from recsys_platform.experiments.statistics.readout import (
    LEAST_READERS,
    Metric,
    Reading,
    ReadOut,
    Rules,
    read_out,
    read_segments,
)
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.recommender.arrays import DoubleArray
from recsys_platform.warehouse.port import Warehouse

TWO_VARIANTS = "two variants"
_READERS = read_sql("recsys_platform.experiments", "experiment_readers")
_NEWEST = "select max(shown_on) as newest from marts.fct_recommendation_requests"


@dataclass(frozen=True, eq=False)
class SegmentReading:
    """A primary metric among some readers, such as those of a language. Exploratory: it suggests the next experiment.

    `p_value`: corrected for all segments of the metric.
    """

    segment: str
    value: str
    reading: Reading
    p_value: float


@dataclass(frozen=True, eq=False)
class ExperimentReport:
    """The read-out of one experiment. `readers`: by variant. `result`: None without a day to read, then `why_nothing` says why.

    `left_out`: readers who do not count, by reason. `models`: those that answered, by variant. `limits`: of winsorised metrics.
    """

    experiment: str
    days: tuple[dt.date, ...] = ()
    readers: Mapping[str, int] | None = None
    result: ReadOut | None = None
    why_nothing: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    segments: tuple[SegmentReading, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Groups:
    """Who was answered by an experiment."""

    readers: dict[str, int]
    left_out: dict[str, int]
    models: dict[str, tuple[str, ...]]


def read_experiment(warehouse: Warehouse, experiment: Experiment) -> ExperimentReport:
    """Read an experiment that has a plan from the marts. Raises `InputError` without a plan."""
    plan = experiment.plan
    if plan is None:
        raise InputError(f"{experiment.name} has no `plan` in experiments.yaml: say there how it is to be judged.")
    days = _days_over(warehouse, plan)
    if not days:
        return ExperimentReport(
            experiment.name, why_nothing=f"No day since {plan.starts_on} is over: there is nothing to read yet."
        )
    groups = _groups_of(warehouse, experiment, days[-1])
    report = ExperimentReport(experiment.name, days, groups.readers, left_out=groups.left_out, models=groups.models)
    if not any(groups.readers.values()):
        return replace(report, why_nothing=f"No reader was answered by {experiment.name} on these days.")
    measured = measure(warehouse, experiment.name, [*plan.primary, *plan.guardrails], days, planned_days=plan.days)
    findings = _group_findings(warehouse, experiment, groups, days, is_ended=_is_ended(experiment, plan, days[-1]))
    result = _read(experiment, plan, measured, findings)
    segments = tuple(_segments(plan, result, measured))
    return replace(report, result=result, segments=segments, limits=measured.limits)


def rules_of(plan: Plan) -> Rules:
    """The rules by which a plan is judged."""
    primary = [
        Metric(name, higher_is_better=METRICS[name].higher_is_better, smallest_effect=effect)
        for name, effect in plan.primary.items()
    ]
    guardrails = [
        Metric(name, is_guardrail=True, higher_is_better=METRICS[name].higher_is_better, margin=margin)
        for name, margin in plan.guardrails.items()
    ]
    return Rules((*primary, *guardrails), plan.control, plan.alpha, plan.power)


def _read(experiment: Experiment, plan: Plan, measured: Measured, findings: Sequence[Finding]) -> ReadOut:
    names: list[str] = [*plan.primary, *plan.guardrails]
    variants = _control_first(experiment)
    of_metric = {name: {variant: measured.of(name, variant) for variant in variants} for name in names}
    found = [each for name in names for each in _metric_findings(name, plan.control, of_metric[name], measured)]
    sums = {variant: {name: of_metric[name][variant].sums for name in names} for variant in variants}
    last = measured.days[-1]
    left = 0 if _is_ended(experiment, plan, last) else (plan.last_day - last).days
    result = read_out(rules_of(plan), sums, _share(plan, measured.days), [*findings, *found], days_left=left)
    changing = [each for reading in result.readings if (each := _novelty(reading, measured.days))]
    return replace(result, findings=(*result.findings, *changing))


def _is_ended(experiment: Experiment, plan: Plan, last: dt.date) -> bool:
    """Whether all days that count are read, of the plan or until the stop. `last`: the last day that is read."""
    if experiment.status == "stopped" and (experiment.stopped_at is None or experiment.stopped_at.date() <= last):
        return True
    return last >= plan.last_day


def _share(plan: Plan, days: Sequence[dt.date]) -> DoubleArray:
    return np.arange(1, len(days) + 1) / plan.days


def _segments(plan: Plan, result: ReadOut, measured: Measured) -> Iterator[SegmentReading]:
    """Primary metrics in all segments that have enough readers, on the days so far."""
    for reading in result.readings:
        if reading.metric.is_guardrail:
            continue
        name, variant = reading.metric.name, reading.variant
        by_segment = {
            (segment, value): (control, treatment)
            for segment in SEGMENTS
            for value, control, treatment in _segment_pairs(measured, name, (plan.control, variant), segment)
        }
        if by_segment:
            of_texts = {" ".join(key): sums for key, sums in by_segment.items()}
            found = read_segments(variant, reading.metric, of_texts, _share(plan, measured.days), plan.alpha)
            for segment, value in by_segment:
                yield SegmentReading(segment, value, *found[f"{segment} {value}"])


def _segment_pairs(
    measured: Measured, metric: str, variants: tuple[str, str], segment: str
) -> Iterator[tuple[str, Sums, Sums]]:
    """The values of a segment that tell readers apart, with the sums of control and variant."""
    controls, treatments = (measured.segments_of(metric, variant, segment) for variant in variants)
    shared = [value for value in controls if value in treatments]
    if len(shared) < 2:
        return
    for value in shared:
        if min(np.asarray(each[value].n)[-1] for each in (controls, treatments)) >= LEAST_READERS:
            yield value, controls[value], treatments[value]


def _days_over(warehouse: Warehouse, plan: Plan) -> tuple[dt.date, ...]:
    newest = warehouse.frame(_NEWEST)["newest"][0].as_py()
    if newest is None:
        return ()
    last = min(plan.last_day, newest - dt.timedelta(days=1))
    return tuple(plan.starts_on + dt.timedelta(days=day) for day in range((last - plan.starts_on).days + 1))


def _groups_of(warehouse: Warehouse, experiment: Experiment, last: dt.date) -> _Groups:
    counted: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    models: dict[str, set[str]] = {}
    for row in warehouse.frame(_READERS, [last, experiment.name, last]).to_pylist():
        if row["kind"] == "counted":
            counted[row["variant"]] += int(row["readers"])
            models.setdefault(row["variant"], set()).add(row["model"])
        else:
            left_out[row["kind"]] += int(row["readers"])
    readers = {variant.name: counted[variant.name] for variant in experiment.variants}
    return _Groups(readers, dict(left_out), {variant: tuple(sorted(found)) for variant, found in models.items()})


def _control_first(experiment: Experiment) -> list[str]:
    control = experiment.plan.control if experiment.plan else ""
    return sorted((variant.name for variant in experiment.variants), key=lambda name: name != control)


def _group_findings(
    warehouse: Warehouse, experiment: Experiment, groups: _Groups, days: Sequence[dt.date], *, is_ended: bool
) -> list[Finding]:
    periods = audited_periods(warehouse, experiment)
    readers, weights = comparable_groups(warehouse, experiment, groups.readers, days, periods)
    conflicting = groups.left_out.get(TWO_VARIANTS, 0)
    found = (
        sample_ratio_mismatch(readers, weights, is_ended=is_ended),
        contamination(sum(groups.readers.values()) + conflicting, conflicting),
        contradicting_answers(warehouse, experiment, days[0], days[-1], periods),
        *moved_models(warehouse, experiment, days[0], days[-1]),
    )
    return [each for each in found if each]


def _metric_findings(
    metric: str, control: str, of_variants: Mapping[str, MetricDays], measured: Measured
) -> list[Finding]:
    sums = of_variants[control].sums
    mean = float(np.asarray(sums.x)[-1] / max(np.asarray(sums.n)[-1], 1))
    largest = max(each.largest for each in of_variants.values())
    found = (
        _missing(metric, of_variants, measured.days),
        outlier(metric, largest, mean, measured.limits.get(metric)),
    )
    return [each for each in found if each]


def _missing(metric: str, of_variants: Mapping[str, MetricDays], days: Sequence[dt.date]) -> Finding | None:
    """Of what is bad, such as empty answers, none at all is no loss of events."""
    if not METRICS[metric].higher_is_better:
        return None
    last = max((each.last_value for each in of_variants.values() if each.last_value), default=None)
    return missing_metric(metric, last, days[-1], expected=_expected(metric, of_variants, days, last))


def _expected(
    metric: str, of_variants: Mapping[str, MetricDays], days: Sequence[dt.date], last: dt.date | None
) -> float | None:
    """Events that were to be expected since the last one, by their number until then, or in the pre-period if there was none yet.

    None where the pre-period has none either and they are not rare: readers who were exposed for days do something.
    """
    sums = [each.sums for each in of_variants.values()]
    if last:
        return _events(sums, "") / max(1, (last - days[0]).days + 1) * (days[-1] - last).days
    before = _events(sums, "pre_") / PRE_DAYS * len(days)
    is_early = len(days) <= MAX_SILENT_DAYS
    return before if before or is_early or METRICS[metric].is_rare else None


def _events(sums: Sequence[Sums], period: str) -> float:
    """How many events of one size give such sums (Kish's effective size): a number also of revenue."""
    total, squares = (
        sum(float(np.asarray(getattr(each, f"{period}{name}"))[-1]) for each in sums) for name in ("x", "xx")
    )
    return total**2 / squares if squares else 0.0


def _novelty(reading: Reading, days: Sequence[dt.date]) -> Finding | None:
    return novelty(f"{reading.variant}: {reading.metric.name}", reading.lift, reading.error, days)


def reading_rows(result: ReadOut) -> list[dict[str, str]]:
    """Return what a read-out says of each metric and variant, as texts for a table. Primary metrics are corrected for each other."""
    primary = [each.p_value for each in result.readings if not each.metric.is_guardrail]
    corrected = iter(holm(np.array(primary)).tolist())
    return [
        {
            "variant": each.variant,
            "metric": f"{each.metric.name}{' (guardrail)' if each.metric.is_guardrail else ''}",
            "control": f"{each.control:.4g}",
            "treatment": f"{each.treatment:.4g}",
            **_lift_cells(each),
            "p-value": f"{each.p_value:.3g}",
            "corrected": "" if each.metric.is_guardrail else f"{next(corrected):.3g}",
            "power": f"{each.power:.0%}",
        }
        for each in result.readings
    ]


def segment_rows(segments: Sequence[SegmentReading]) -> list[dict[str, str]]:
    """Return what a read-out says of segments, as texts for a table."""
    return [
        {
            "variant": each.reading.variant,
            "metric": each.reading.metric.name,
            "segment": f"{each.segment}: {each.value}",
            "control": f"{each.reading.control:.4g}",
            "treatment": f"{each.reading.treatment:.4g}",
            **_lift_cells(each.reading),
            "p-value (corrected)": f"{each.p_value:.3g}",
        }
        for each in segments
    ]


def _lift_cells(reading: Reading) -> dict[str, str]:
    low, high = (np.asarray(each)[-1] for each in (reading.repeated.low, reading.repeated.high))
    return {"lift": f"{reading.lift[-1]:+.1%}", "interval": f"{low:+.1%} to {high:+.1%}"}


def readers_text(report: ExperimentReport) -> str:
    """How many readers count in each variant, and how many do not and why."""
    counted = ", ".join(f"{name} {count:,}" for name, count in (report.readers or {}).items())
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in report.left_out.items())
    return f"{counted}; left out: {left_out}" if left_out else counted


def off_policy_rows(report: ExperimentReport, policies: PolicyReport) -> list[dict[str, str]]:
    """Return the off-policy estimates of the models that answered, as texts for a table: what logged chance says beside the test."""
    return [
        {
            "variant": variant,
            "lists of": model,
            "clicks per shown book": f"{each.value:.4f}",
            "beside what was shown": f"{each.gain:+.4f} ({each.gain_low:+.4f} to {each.gain_high:+.4f})",
        }
        for variant, models in report.models.items()
        for model, each in policies.estimates
        if model in models and each.estimator == "snips"
    ]
