"""What `recsys kpis` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.reports.kpis import KpiMonths

_NOT_SAID = {"no data": "–", "not told": "not told"}


def print_scorecard(out: Console, kpis: Sequence[KpiMonths], *, definitions: bool) -> None:
    """Print a row for each KPI with its target and a column for each month; with `definitions`, also what is counted."""
    months = kpis[0].months
    table = Table("KPI", "target", *map(_month_text, months), "a year before", box=None, header_style="dim")
    for kpi in kpis:
        values = [_value_text(month) for month in kpi.months]
        table.add_row(_label(kpi), _target_text(kpi.newest), *values, _last_year_text(kpi.newest))
    out.print(table)
    out.print("✓ on target, ✗ off target. * The month is not complete.", soft_wrap=True)
    for teller in sorted({month["told_by"] for kpi in kpis for month in kpi.months if month["told_by"]}):
        out.print(escape(f"Inputs told by {teller} (seed kpi_inputs)."), soft_wrap=True)
    if definitions:
        for kpi in kpis:
            if kpi.segment == "all":
                out.print(escape(f"{kpi.newest['label']}: {kpi.newest['definition']}"), soft_wrap=True)


def _month_text(month: Mapping[str, Any]) -> str:
    return f"{month['month_start']:%Y-%m}{'' if month['is_complete'] else '*'}"


def _label(kpi: KpiMonths) -> str:
    name = escape(str(kpi.newest["label"]))
    return name if kpi.segment == "all" else f"  {escape(_segment_text(kpi))}"


def _segment_text(kpi: KpiMonths) -> str:
    return f"surface {kpi.segment}" if kpi.segmented_by == "surface" else kpi.segment


def _value_text(month: Mapping[str, Any]) -> str:
    if month["value"] is None:
        return _NOT_SAID[month["status"]]
    mark = {True: " ✓", False: " ✗", None: ""}[month["is_on_target"]]
    return f"{_amount_text(month['value'], month['unit'])}{mark}"


def _last_year_text(month: Mapping[str, Any]) -> str:
    before = month["value_a_year_before"]
    return "–" if before is None else _amount_text(before, month["unit"])


def _target_text(month: Mapping[str, Any]) -> str:
    least, most = (
        None if month[name] is None else _amount_text(month[name], month["unit"])
        for name in ("target_min", "target_max")
    )
    if least and most:
        return f"{least} to {most}"
    return f"≥ {least}" if least else f"≤ {most}" if most else ""


def _amount_text(value: Any, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.2f}" if unit in {"stars", "base currency"} else f"{value:,.0f}"
