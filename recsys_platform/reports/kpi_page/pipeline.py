"""Pipeline health and cost of the page.

Belongs here: loads, quarantine, freshness, run times, told costs, as texts and charts. Does not: reading Dagster's state (defs/).
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.costs.budget import dollars
from recsys_platform.reports.kpi_page.charts import bar_chart
from recsys_platform.reports.kpi_page.content import Cost, FinishedRun, Pipeline, PipelineState
from recsys_platform.reports.kpi_page.scorecard import SCORECARD, count_text
from recsys_platform.reports.overview import Overview
from recsys_platform.warehouse.port import Warehouse

LEDGER, CONSERVATION = "ops.load_ledger", "marts.rpt_event_conservation"
_ARRIVALS_SQL, _COSTS_SQL = (
    read_sql("recsys_platform.reports", name) for name in ("arrivals_by_day", "reported_costs")
)
_LANDED_BYTES = "select cast(coalesce(sum(size_bytes), 0) as bigint) as n from ops.load_ledger"
_DAYS = 60
_MOST_REASONS = 8
NOTHING_LOADED = "Nothing was loaded yet: put landing files into the hub and run `recsys run`."
_NO_STATE = "What Dagster ran is not known here: `recsys report` reads it from the world's instance."
NO_COST = "No cost is known: no run was measured, and the seed kpi_inputs has no figures of finance."
_NOT_BILLS = "Costs of use are quantities × list prices (seed prices), not bills: gateways, databases and network are not among them."
_COST_OF_USE = read_sql("recsys_platform.reports", "cost_of_use")
_COST_MARTS = {"marts.rpt_cost_daily", "marts.rpt_active_readers"}


def pipeline_section(
    warehouse: Warehouse, relations: set[str], found: Overview, state: PipelineState | None
) -> Pipeline:
    """Loads and freshness. `state`: None if Dagster's state is not known."""
    if not found.objects:
        return Pipeline(NOTHING_LOADED)
    days = warehouse.frame(_ARRIVALS_SQL, [_DAYS]).to_pylist() if CONSERVATION in relations else []
    counts = [float(day["accepted"]) for day in days]
    times = [day["arrived_on"] for day in days]
    chart = bar_chart("Accepted records by day of arrival", times, counts, text=count_text) if days else None
    facts = _load_facts(found)
    if not state:
        return Pipeline(None, facts, _largest(found.reasons), chart)
    return Pipeline(None, facts, _largest(found.reasons), chart, state.layers, state.failed_checks, is_state_known=True)


def _load_facts(found: Overview) -> list[tuple[str, str]]:
    loaded = f"{found.last_load:%Y-%m-%d %H:%M} UTC" if found.last_load else "never"
    share = f" ({found.rejected / found.records:.2%})" if found.records else ""
    return [
        ("landed", f"{found.records:,} records in {found.objects:,} objects; newest load {loaded}"),
        (
            "accepted",
            f"{found.accepted:,} = {found.distinct_events:,} distinct events + {found.duplicates:,} duplicates"
            f" + {found.invalid:,} invalid",
        ),
        ("rejected", f"{found.rejected:,}{share}"),
        ("item catalog", f"{found.readers:,} readers, {found.books:,} books"),
        ("published", found.live or "nothing yet"),
    ]


def _largest(reasons: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The most frequent reasons, and all others as one."""
    if len(reasons) <= _MOST_REASONS:
        return list(reasons)
    others = reasons[_MOST_REASONS - 1 :]
    return [*reasons[: _MOST_REASONS - 1], (f"{len(others)} other reasons", sum(count for _, count in others))]


def cost_section(warehouse: Warehouse, relations: set[str], state: PipelineState | None) -> Cost:
    """Run times, bytes landed, and what finance told."""
    runs = state.runs if state else ()
    told = warehouse.frame(_COSTS_SQL).to_pylist() if SCORECARD in relations else []
    facts = [
        *(_run_facts(state) if state and runs else ()),
        *_byte_facts(warehouse, relations),
        *_use_facts(warehouse, relations),
        *_reported_facts(told),
    ]
    if not facts:
        return Cost(NO_COST)
    missing = [] if told else ["Costs of the company are not reported: add lines to the seed kpi_inputs."]
    minutes = _minutes_by_day(runs)
    chart = (
        bar_chart("Minutes of runs by day", list(minutes), list(minutes.values()), text=count_text) if runs else None
    )
    return Cost(None, facts, chart, [*([] if state else [_NO_STATE]), *missing, _NOT_BILLS])


def _run_facts(state: PipelineState) -> Iterator[tuple[str, str]]:
    seconds = [run.seconds for run in state.runs]
    failed = Counter(run.is_failed for run in state.runs)[True]
    yield f"runs of {state.days} days", f"{len(seconds):,}, {failed:,} of them failed"
    yield "time of runs", f"{_duration(sum(seconds))}, the longest {_duration(max(seconds))}"


def _byte_facts(warehouse: Warehouse, relations: set[str]) -> Iterator[tuple[str, str]]:
    landed = warehouse.frame(_LANDED_BYTES)["n"][0].as_py() if LEDGER in relations else 0
    if landed:
        yield "landing files loaded", f"{landed / 1e6:,.1f} MB"


def _use_facts(warehouse: Warehouse, relations: set[str]) -> Iterator[tuple[str, str]]:
    """What use cost in the 30 days until the newest cost, its dearest asset and the cost of a reader."""
    if not relations >= _COST_MARTS:
        return
    for row in warehouse.frame(_COST_OF_USE).to_pylist():
        name = f"cost of use, 30 days to {row['until']}"
        reader = f"; {dollars(row['cost'] / row['readers'])} an active reader" if row["readers"] else ""
        yield name, f"{dollars(row['cost'])}{reader} (`recsys costs`)"
        if row["dearest"]:
            yield "dearest asset", f"{row['dearest']}, {dollars(row['cost_of_dearest'])}"


def _reported_facts(told: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The newest figures of finance."""
    for name, label in (("total_cost", "total cost"), ("data_cost", "cost of data")):
        row = next((row for row in told if row[name] is not None), None)
        if row:
            reported_by = row[f"{name}_reported_by"]
            said_by = f", reported by {reported_by}" if reported_by else ""
            yield f"{label}, {row['month_start']:%B %Y}", f"{row[name]:,.2f} (base currency{said_by})"


def _minutes_by_day(runs: Sequence[FinishedRun]) -> dict[dt.date, float]:
    found: dict[dt.date, float] = defaultdict(float)
    for run in runs:
        found[run.started_at.date()] += run.seconds / 60
    return dict(sorted(found.items()))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
