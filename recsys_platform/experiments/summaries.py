"""What the KPI page says of each experiment: the verdict first, intervals over time, findings.

Belongs here: read-outs as texts and charts of the page. Does not: reading them (readouts.py), the page (reports/kpi_page).
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np

from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.plans import Plan
from recsys_platform.experiments.readouts import (
    ExperimentReport,
    read_experiment,
    readers_text,
    reading_rows,
    segment_rows,
)
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.experiments.statistics.readout import Reading
from recsys_platform.recommender.arrays import DoubleArray
from recsys_platform.reports.kpi_page.charts import Chart, Rule, Series, line_chart
from recsys_platform.reports.kpi_page.content import Experiments, ExperimentSummary
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

MOST_READ = 12
"""Experiments that are read for one page; each costs some queries."""
READ = {
    f"marts.{name}" for name in ("fct_recommendation_requests", "fct_experiment_assignments", "fct_experiment_metrics")
}
NONE_PLANNED = (
    "No experiment has a `plan` in experiments.yaml: `recsys experiments plan` says how many readers one needs."
)
NO_REQUESTS = "No request was loaded yet: serve recommendations (`recsys serve`), then run `recsys run`."
_ORDER = {"running": 0, "planned": 1, "ended": 2}


def summarize_experiments(
    warehouse: Warehouse | None, experiments: Sequence[Experiment], today: dt.date
) -> Experiments:
    """Read the experiments with a plan: those that run first, then the newest."""
    plans = [(each, each.plan) for each in experiments if each.plan]
    if not plans:
        return Experiments(NONE_PLANNED)
    if warehouse is None or not relation_names(warehouse) >= READ:
        return Experiments(NO_REQUESTS)
    plans.sort(key=lambda pair: (_ORDER[_state_of(pair[0], pair[1], today)], -pair[1].starts_on.toordinal()))
    return Experiments(
        experiments=[
            _summary(read_experiment(warehouse, experiment), plan, _state_of(experiment, plan, today))
            for experiment, plan in plans[:MOST_READ]
        ],
        others=_others(
            [each.name for each, _ in plans[MOST_READ:]], [each.name for each in experiments if not each.plan]
        ),
    )


def _others(beyond: Sequence[str], unplanned: Sequence[str]) -> str:
    said = f"Not read here: {', '.join(beyond)} (`recsys experiments read NAME`). " if beyond else ""
    return said + (f"Without a plan: {', '.join(unplanned)}." if unplanned else "")


def _state_of(experiment: Experiment, plan: Plan, today: dt.date) -> str:
    if experiment.status == "draft" or today < plan.starts_on:
        return "planned"
    return "running" if experiment.is_running and today <= plan.last_day else "ended"


def _summary(report: ExperimentReport, plan: Plan, state: str) -> ExperimentSummary:
    name, result = report.experiment, report.result
    days = f"{plan.starts_on} to {plan.last_day}; {len(report.days)} of {plan.days} planned days read"
    if result is None:
        return ExperimentSummary(name, state, days, report.why_nothing or "", readers=readers_text(report))
    return ExperimentSummary(
        name,
        state,
        days,
        result.decision.sentence,
        str(result.decision.verdict),
        result.decision.verdict is Verdict.INVALID,
        readers_text(report),
        [*(each.sentence for each in result.findings), *_limit_texts(report)],
        reading_rows(result),
        segment_rows(report.segments),
        [lift_chart(each, report.days, plan.control) for each in result.readings],
    )


def _limit_texts(report: ExperimentReport) -> list[str]:
    return [
        f"{metric} of a reader counts up to {limit:g}, by the pre-period." for metric, limit in report.limits.items()
    ]


def lift_chart(reading: Reading, days: Sequence[dt.date], control: str) -> Chart:
    """Draw the lift of a metric by day with the interval that holds on all days together."""
    low, high = np.asarray(reading.repeated.low), np.asarray(reading.repeated.high)
    lift = np.where(np.isfinite(low) & np.isfinite(high), reading.lift, np.nan)
    rules = (Rule("no effect", 0.0), _expected_effect(reading))
    series = Series("lift with interval", _known(lift), "a", _known(low), _known(high))
    title = f"{reading.metric.name}: {reading.variant} against {control}"
    limits = _limits(low, high, [rule.value for rule in rules])
    return line_chart(title, days, [series], text=percent_text, rules=rules, limits=limits)


def percent_text(value: float) -> str:
    """A lift in percent.

    >>> percent_text(0.021), percent_text(-0.5), percent_text(0)
    ('+2.1%', '-50%', '0%')
    """
    digits = 1 if 0 < abs(value) < 0.1 else 0
    return f"{value:+.{digits}%}" if value else "0%"


def _expected_effect(reading: Reading) -> Rule:
    """The smallest effect worth having of a primary metric, the tolerated loss of a guardrail."""
    metric = reading.metric
    sign = 1 if metric.higher_is_better else -1
    if metric.is_guardrail:
        return Rule("tolerated loss", -sign * metric.margin)
    return Rule("smallest effect worth having", sign * metric.smallest_effect)


def _known(values: DoubleArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def _limits(low: DoubleArray, high: DoubleArray, rules: Sequence[float]) -> tuple[float, float]:
    """Limits of the chart by the later half of the days: intervals of the first ones are too wide to show anything."""
    known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
    later = known[len(known) // 2 :]
    shown = [*rules, *low[later], *high[later]]
    edge = 0.1 * (max(shown) - min(shown))
    return min(shown) - edge, max(shown) + edge
