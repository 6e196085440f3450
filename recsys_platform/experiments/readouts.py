"""The read-out of an experiment from the marts: the counts, the health checks and the verdict.

Belongs here: the metrics, the sums of each day, which days count. Does not: the statistics (statistics/), plans (plans.py).

A reader is a visitor who was answered by the experiment; bots and those who saw two variants are left out. What a reader does counts
from the first answer of the experiment on. The pre-period is the `PRE_DAYS` before the first day, for those who were there then. The
newest day of the marts is not over and does not count.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from recsys_platform.common.errors import InputError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.plans import Plan
from recsys_platform.experiments.statistics.health import (
    Finding,
    contamination,
    missing_metric,
    outlier,
    sample_ratio_mismatch,
)
from recsys_platform.experiments.statistics.readout import Metric, ReadOut, Rules, read_out
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

PRE_DAYS = 14
_DAYS, _READERS, _REQUESTS, _EVENTS = (
    read_sql("recsys_platform.experiments", f"experiment_{name}") for name in ("days", "readers", "requests", "events")
)
_NEWEST = "select max(shown_on) as newest from marts.fct_recommendation_requests"
_SUMS = [each.name for each in fields(Sums)]


@dataclass(frozen=True)
class MetricSource:
    """Where a metric is counted: `event` names an event of which each counts 1, else `numerator` is a column of the requests.

    `denominator`: of the requests; None for a mean per reader.
    """

    numerator: str = "0"
    denominator: str | None = None
    event: str | None = None
    higher_is_better: bool = True


SOURCES: Mapping[str, MetricSource] = {
    "ctr": MetricSource("clicked_books", "books"),
    "clicks": MetricSource("clicks"),
    "starts": MetricSource(event="Book Started"),
    "finishes": MetricSource(event="Book Finished"),
    "saves": MetricSource(event="Book Saved"),
    "empty_answers": MetricSource("case when is_empty then 1 else 0 end", "1", higher_is_better=False),
}


@dataclass(frozen=True, eq=False)
class ExperimentReport:
    """The read-out of one experiment. `readers`: by variant. `result`: None without a day to read, then `why_nothing` says why."""

    experiment: str
    days: tuple[dt.date, ...] = ()
    readers: Mapping[str, int] | None = None
    result: ReadOut | None = None
    why_nothing: str | None = None


@dataclass(frozen=True, eq=False)
class MetricDays:
    """One metric of one variant: sums as of the end of each day, the largest value of a reader, the last day with any value."""

    sums: Sums
    largest: float
    last_value: dt.date | None


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
    counts = warehouse.frame(_READERS, [experiment.name, days[0], days[-1]]).to_pylist()
    readers = {row["variant"]: int(row["readers"]) for row in counts}
    conflicting = readers.pop(None, 0)
    of_variants = {variant.name: readers.get(variant.name, 0) for variant in experiment.variants}
    if not any(of_variants.values()):
        return ExperimentReport(
            experiment.name,
            days,
            of_variants,
            why_nothing=f"No reader was answered by {experiment.name} on these days.",
        )
    names: list[str] = [*plan.primary, *plan.guardrails]
    measured = {name: measure(warehouse, experiment, name, days) for name in names}
    findings = [*_group_findings(experiment, of_variants, conflicting, len(days) >= plan.days)]
    findings += [each for name in names for each in _metric_findings(name, plan.control, measured[name], days)]
    sums = {variant: {name: measured[name][variant].sums for name in names} for variant in _control_first(experiment)}
    share = np.arange(1, len(days) + 1) / plan.days
    result = read_out(rules_of(plan), sums, share, findings, days_left=plan.days - len(days))
    return ExperimentReport(experiment.name, days, of_variants, result)


def rules_of(plan: Plan) -> Rules:
    """The rules by which a plan is judged."""
    primary = [
        Metric(name, higher_is_better=SOURCES[name].higher_is_better, smallest_effect=effect)
        for name, effect in plan.primary.items()
    ]
    guardrails = [
        Metric(name, is_guardrail=True, higher_is_better=SOURCES[name].higher_is_better, margin=margin)
        for name, margin in plan.guardrails.items()
    ]
    return Rules((*primary, *guardrails), plan.control, plan.alpha, plan.power)


def measure(
    warehouse: Warehouse, experiment: Experiment, metric: str, days: Sequence[dt.date]
) -> dict[str, MetricDays]:
    """Return the sums of a metric by variant, for days without a gap."""
    source, first, last = SOURCES[metric], days[0], days[-1]
    before = first - dt.timedelta(days=PRE_DAYS)
    counted, values = _counted(source, experiment.surfaces)
    of_reader = 0 if source.denominator else 1
    frame = warehouse.frame(
        _DAYS.format(counted=counted, of_reader=of_reader),
        [before, last, *values, experiment.name, first, last, before, first, first],
    ).to_pandas()
    return {variant.name: _days_of(frame[frame["variant"] == variant.name], days) for variant in experiment.variants}


def _counted(source: MetricSource, surfaces: Sequence[str]) -> tuple[str, list[str]]:
    """What is counted, as SQL, and its values after the days."""
    if source.event:
        return _EVENTS, [source.event]
    on_surfaces = f"surface in ({marks(surfaces)})" if surfaces else "true"
    denominator = source.denominator or "0"
    return _REQUESTS.format(numerator=source.numerator, denominator=denominator, on_surfaces=on_surfaces), [*surfaces]


def _days_of(rows: pd.DataFrame, days: Sequence[dt.date]) -> MetricDays:
    by_day = rows.assign(metric_on=pd.to_datetime(rows["metric_on"])).set_index("metric_on")
    by_day = by_day[[*_SUMS, "largest"]].astype(np.float64).reindex(pd.to_datetime(list(days)), fill_value=0.0)
    gained = np.flatnonzero(by_day["x"].to_numpy() > 0)
    sums = Sums(**{name: by_day[name].to_numpy().cumsum() for name in _SUMS})
    return MetricDays(sums, float(by_day["largest"].max()), days[gained[-1]] if len(gained) else None)


def _days_over(warehouse: Warehouse, plan: Plan) -> tuple[dt.date, ...]:
    newest = warehouse.frame(_NEWEST)["newest"][0].as_py()
    if newest is None:
        return ()
    last = min(plan.last_day, newest - dt.timedelta(days=1))
    return tuple(plan.starts_on + dt.timedelta(days=day) for day in range((last - plan.starts_on).days + 1))


def _control_first(experiment: Experiment) -> list[str]:
    control = experiment.plan.control if experiment.plan else ""
    return sorted((variant.name for variant in experiment.variants), key=lambda name: name != control)


def _group_findings(
    experiment: Experiment, readers: Mapping[str, int], conflicting: int, is_ended: bool
) -> list[Finding]:
    weights = {variant.name: variant.weight for variant in experiment.variants}
    found = (
        sample_ratio_mismatch(readers, weights, is_ended=is_ended),
        contamination(sum(readers.values()) + conflicting, conflicting),
    )
    return [each for each in found if each]


def _metric_findings(
    metric: str, control: str, measured: Mapping[str, MetricDays], days: Sequence[dt.date]
) -> list[Finding]:
    last_values = [each.last_value for each in measured.values() if each.last_value]
    # Of what is bad, such as empty answers, none at all is no loss of events.
    missing = missing_metric(metric, max(last_values, default=None), days[-1])
    sums = measured[control].sums
    mean = float(np.asarray(sums.x)[-1] / max(np.asarray(sums.n)[-1], 1))
    extreme = outlier(metric, max(each.largest for each in measured.values()), mean, None)
    return [each for each in (missing if SOURCES[metric].higher_is_better else None, extreme) if each]


def reading_rows(result: ReadOut) -> list[dict[str, str]]:
    """Return what a read-out says of each metric and variant, as texts for a table."""
    return [
        {
            "variant": each.variant,
            "metric": f"{each.metric.name}{' (guardrail)' if each.metric.is_guardrail else ''}",
            "control": f"{each.control:.4g}",
            "treatment": f"{each.treatment:.4g}",
            "lift": f"{each.lift[-1]:+.1%}",
            "interval": f"{np.asarray(each.repeated.low)[-1]:+.1%} to {np.asarray(each.repeated.high)[-1]:+.1%}",
            "p-value": f"{each.p_value:.3g}",
            "power": f"{each.power:.0%}",
        }
        for each in result.readings
    ]
