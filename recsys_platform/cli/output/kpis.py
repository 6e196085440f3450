"""What `recsys kpis` prints."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.reports.kpis import (
    KpiMonths,
    amount_text,
    month_value_text,
    segment_text,
    target_text,
    without_idle_comparisons,
)


def print_scorecard(out: Console, kpis: Sequence[KpiMonths], *, definitions: bool) -> None:
    """Print a row for each KPI with its target and a column for each month; with `definitions`, also what is counted.

    Under a KPI stand its values for personalised and not, and by surface.
    """
    table = Table("KPI", "target", *_month_texts(kpis), "a year before", box=None, header_style="dim")
    for kpi in without_idle_comparisons(kpis):
        values = [_value_text(month) for month in kpi.months]
        table.add_row(_label(kpi), target_text(kpi.newest), *values, _last_year_text(kpi.newest))
    out.print(table)
    out.print(
        "✓ on target, ✗ off target. * The month is not complete, or the figure was reported before its end.",
        soft_wrap=True,
    )
    for reporter, as_of in sorted(_newest_reports(kpis).items()):
        out.print(escape(f"Inputs reported by {reporter}, last on {as_of} (seed kpi_inputs)."), soft_wrap=True)
    if definitions:
        for kpi in kpis:
            if kpi.segment == "all":
                out.print(escape(f"{kpi.newest['label']}: {kpi.newest['definition']}"), soft_wrap=True)


def _month_texts(kpis: Sequence[KpiMonths]) -> list[str]:
    of_events = [kpi.months for kpi in kpis if kpi.newest["source"] == "events"]
    complete = [all(month["is_complete"] for month in same) for same in zip(*of_events, strict=True)]
    return [
        f"{month['month_start']:%Y-%m}{'' if is_complete else '*'}"
        for month, is_complete in zip(kpis[0].months, complete, strict=True)
    ]


def _newest_reports(kpis: Sequence[KpiMonths]) -> dict[str, dt.date]:
    """Who reported inputs, and the last day on which they did."""
    told = {(month["reported_by"], month["as_of"]) for kpi in kpis for month in kpi.months if month["reported_by"]}
    return dict(sorted(told))


def _label(kpi: KpiMonths) -> str:
    name = escape(str(kpi.newest["label"]))
    return name if kpi.segment == "all" else f"  {escape(segment_text(kpi))}"


def _value_text(month: Mapping[str, Any]) -> str:
    if month["value"] is None:
        return month_value_text(month)
    mark = {True: " ✓", False: " ✗", None: ""}[month["is_on_target"]]
    provisional = "*" if month["source"] == "kpi_inputs" and not month["is_complete"] else ""
    return f"{month_value_text(month)}{provisional}{mark}"


def _last_year_text(month: Mapping[str, Any]) -> str:
    before = month["value_a_year_before"]
    return "–" if before is None else amount_text(before, month["unit"])
