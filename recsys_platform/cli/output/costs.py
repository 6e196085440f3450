"""What `recsys costs` prints."""

import datetime as dt
from collections import defaultdict
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.reports.costs.budget import dollars
from recsys_platform.reports.costs.figures import CostFigures
from recsys_platform.reports.costs.rebuild import NOT_ATTRIBUTED, RebuildEstimate
from recsys_platform.reports.costs.sizing import MonthlyCost


def print_costs(out: Console, found: CostFigures) -> None:
    """Print total, days, dearest assets, costs per unit and what a rebuild would cost."""
    out.print(f"{dollars(found.total)} from {found.since} to {found.until}; {found.budget.sentence}", soft_wrap=True)
    out.print(_days_table(found))
    out.print(_assets_table(found))
    out.print(_units_table(found))
    out.print(escape(_readers_sentence(found)), soft_wrap=True)
    out.print(escape(rebuild_sentence(found.rebuild)), soft_wrap=True)


def _days_table(found: CostFigures) -> Table:
    by_day: dict[dt.date, dict[str, Decimal]] = defaultdict(dict)
    for each in found.days:
        by_day[each.cost_on][each.resource] = each.cost
    resources = sorted({each.resource for each in found.days})
    table = Table("day", "total", *resources, box=None, header_style="dim")
    for day, costs in by_day.items():
        cells = (dollars(costs[name]) if name in costs else "–" for name in resources)
        table.add_row(str(day), dollars(sum(costs.values(), Decimal())), *cells)
    return table


def _assets_table(found: CostFigures) -> Table:
    table = Table("dearest assets", "cost", "share", "runs", "a run", box=None, header_style="dim")
    for each in found.dearest:
        share = f"{each.cost / found.total:.1%}" if found.total else "–"
        table.add_row(escape(each.asset), dollars(each.cost), share, f"{each.runs:,}", dollars(each.cost_per_run))
    return table


def _units_table(found: CostFigures) -> Table:
    table = Table("part", "cost", "recommendations", "1,000 of them", box=None, header_style="dim")
    # A part that is all of the total tells nothing.
    parts = {each.segmented_by for each in found.units if each.segment != NOT_ATTRIBUTED}
    for each in found.units:
        if each.segmented_by not in parts:
            continue
        unit = each.cost_per_1000_recommendations
        name = "all" if each.segmented_by == "all" else f"{each.segmented_by} {each.segment}"
        table.add_row(
            escape(name), dollars(each.cost), f"{each.recommendations:,}", "–" if unit is None else dollars(unit)
        )
    return table


def _readers_sentence(found: CostFigures) -> str:
    if found.cost_per_active_reader is None:
        return "No reader was active in these days."
    return f"{dollars(found.cost_per_active_reader)} a month for each of {found.active_readers:,} active readers."


def rebuild_sentence(estimate: RebuildEstimate | None) -> str:
    """What a full rebuild would cost."""
    if estimate is None:
        return "What a full rebuild would cost is not known before builds of dbt were measured."
    taken = f"{estimate.seconds / 60:,.0f} min" if estimate.seconds >= 100 else f"{estimate.seconds:.0f} s"
    what = f"A full rebuild (`recsys run --all`) of {estimate.records:,} records"
    return f"{what} would cost about {dollars(estimate.usd)} and take {taken}.{estimate.note}"


def figures_as_json(found: CostFigures) -> dict[str, Any]:
    """The figures as JSON values; amounts are US dollars."""
    units = [{**asdict(each), "per_1000": each.cost_per_1000_recommendations} for each in found.units]
    values = asdict(found) | {
        "units": units,
        "cost_per_active_reader": found.cost_per_active_reader,
        "cost_per_1000_recommendations": found.cost_per_1000_recommendations,
    }
    plain: dict[str, Any] = _plain(values)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    return str(value) if isinstance(value, dt.date) else value


def print_sizing(out: Console, found: MonthlyCost) -> None:
    """Print a month's cost by part, beside that of Amazon Personalize."""
    table = Table("part", "a month", "how", box=None, header_style="dim")
    for line in found.lines:
        table.add_row(escape(line.part), f"${line.usd:,.0f}", escape(line.how))
    table.add_row("total", f"${found.usd:,.0f}", "")
    table.add_row("of it models and lists", f"${found.recommender_usd:,.0f}", "training, publishing, serving")
    table.add_row(
        "Amazon Personalize", f"${found.personalize_usd:,.0f}", "ingestion, training and recommendations alone"
    )
    out.print(f"{found.events_a_day:,} events a day, size {found.size}; list prices, see docs/costs.md", soft_wrap=True)
    out.print(table)


def sizing_as_json(found: MonthlyCost) -> dict[str, Any]:
    """The same as JSON values."""
    totals = {"usd": found.usd, "recommender_usd": found.recommender_usd, "personalize_usd": found.personalize_usd}
    return asdict(found) | totals
