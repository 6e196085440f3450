"""The KPI scorecard of the page, with the readers behind it.

Belongs here: which month is shown, sparklines, cohorts. Does not: reading the scorecard (reports/kpis.py).
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.kpi_page.charts import STYLES, Chart, Series, Sparkline, line_chart, sparkline
from recsys_platform.reports.kpi_page.content import Cohort, KpiRow, Readers, Scorecard, SideBySide
from recsys_platform.reports.kpis import (
    KpiMonths,
    amount_text,
    kpi_months,
    month_value_text,
    segment_text,
    target_text,
    without_idle_comparisons,
)
from recsys_platform.warehouse.port import Warehouse

MONTHS = 13
"""Months of a sparkline: a year and the month before it."""
SCORECARD, ACTIVE, COHORTS = "marts.rpt_kpi_scorecard", "marts.rpt_active_readers", "marts.rpt_retention_cohorts"
_ACTIVE_SQL, _COHORTS_SQL = (read_sql("recsys_platform.reports", name) for name in ("active_readers", "cohorts"))
_ACTIVE_DAYS, _COHORT_WEEKS = 180, 12
_PERSONALISATION, _HALVES = "personalisation", ("personalised", "not personalised")
_MARKS = {"on target": "✓", "off target": "✗", "no target": "–", "no data": "–", "not reported": "?"}
NO_SCORECARD = "There is no KPI scorecard yet: load events and run `recsys run`."
NO_READERS = "There are no active readers yet: load events of signed-in readers and run `recsys run`."


def scorecard_section(warehouse: Warehouse, relations: set[str]) -> Scorecard:
    """The KPIs. `relations`: the tables and views that there are."""
    kpis = without_idle_comparisons(kpi_months(warehouse, months=MONTHS)) if SCORECARD in relations else []
    if not kpis:
        return Scorecard(NO_SCORECARD)
    kpis.sort(key=lambda kpi: not _has_target(kpi))  # those with a target first
    whole = [each for each in kpis if each.segmented_by == "all"]
    halves = [each for each in kpis if each.segmented_by == _PERSONALISATION]
    return Scorecard(
        summary=_summary(kpis),
        rows=[_kpi_row(each) for each in whole],
        segments=_segments(kpis),
        personalised=list(_side_by_side(halves)),
        charts=_personalised_charts(halves),
        definitions=[_definition(each) for each in whole],
    )


def _segments(kpis: Sequence[KpiMonths]) -> dict[str, list[KpiRow]]:
    found: dict[str, list[KpiRow]] = defaultdict(list)
    for each in kpis:
        if each.segmented_by not in ("all", _PERSONALISATION):
            found[f"{each.newest['label']} by {each.segmented_by}"].append(_kpi_row(each))
    return dict(found)


def _side_by_side(halves: Sequence[KpiMonths]) -> Iterator[SideBySide]:
    for _, group in groupby(halves, lambda kpi: kpi.kpi):
        months = _shared_month(list(group))
        first = next(iter(months.values()))
        texts = (month_value_text(months[name]) if name in months else "–" for name in _HALVES)
        yield SideBySide(first["label"], f"{first['month_start']:%b %Y}", not first["is_complete"], *texts)


def _shared_month(halves: Sequence[KpiMonths]) -> Mapping[str, Mapping[str, Any]]:
    """The newest complete month in which all halves have a value, else the newest in which they do: its rows by half."""
    by_start: dict[dt.date, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for each in halves:
        for month in each.months:
            by_start[month["month_start"]][each.segment] = month
    months = [by_start[start] for start in sorted(by_start)]
    known = [rows for rows in months if sum(row["value"] is not None for row in rows.values()) == len(halves)]
    complete = [rows for rows in known if all(row["is_complete"] for row in rows.values())]
    return (complete or known or months)[-1]


def _definition(kpi: KpiMonths) -> tuple[str, str, str]:
    newest = kpi.newest
    return str(newest["label"]), str(newest["definition"]), str(newest["source"])


def _has_target(kpi: KpiMonths) -> bool:
    return kpi.newest["target_min"] is not None or kpi.newest["target_max"] is not None


def _shown_month(kpi: KpiMonths) -> Mapping[str, Any]:
    """The newest complete month, unless events began after it; the newest of all if none is complete."""
    complete = next((month for month in reversed(kpi.months) if month["is_complete"]), kpi.newest)
    is_too_early = complete["status"] == "no data" and kpi.newest["value"] is not None
    return kpi.newest if is_too_early else complete


def _kpi_row(kpi: KpiMonths) -> KpiRow:
    month = _shown_month(kpi)
    before = month["value_a_year_before"]
    return KpiRow(
        str(month["label"]) if kpi.segment == "all" else segment_text(kpi),
        month_value_text(month),
        f"{month['month_start']:%b %Y}",
        not month["is_complete"],
        month["status"],
        _MARKS[month["status"]],
        target_text(month),
        "–" if before is None else amount_text(before, month["unit"]),
        month["reported_by"],
        _sparkline(kpi),
    )


def _sparkline(kpi: KpiMonths) -> Sparkline | None:
    newest = kpi.newest
    targets = [float(newest[name]) for name in ("target_min", "target_max") if newest[name] is not None]
    return sparkline(
        [month["month_start"] for month in kpi.months],
        [_float_or_none(month["value"]) for month in kpi.months],
        text=partial(amount_text, unit=newest["unit"]),
        targets=targets,
        is_end_open=not newest["is_complete"],
    )


def _summary(kpis: Sequence[KpiMonths]) -> str:
    months = [_shown_month(each) for each in kpis if each.segment == "all"]
    judged = [month for month in months if month["is_on_target"] is not None]
    met = sum(bool(month["is_on_target"]) for month in judged)
    lacking = [str(month["label"]) for month in months if month["value"] is None]
    off = [str(month["label"]) for month in judged if not month["is_on_target"]]
    missed = f" Off target: {', '.join(off)}." if off else ""
    without = f" Without a value: {', '.join(lacking)}." if lacking else ""
    return f"{met} of {len(judged)} KPIs with a target and a value are on target{_when(judged)}.{missed}{without}"


def _when(months: Sequence[Mapping[str, Any]]) -> str:
    """The month of all; empty if they differ."""
    found = {(month["month_start"], month["is_complete"]) for month in months}
    if len(found) != 1:
        return ""
    start, is_complete = found.pop()
    return f" in {start:%B %Y}{'' if is_complete else ' (not complete)'}"


def _personalised_charts(halves: Sequence[KpiMonths]) -> list[Chart]:
    """A chart of each share; of totals, the smaller half alone would be a flat line."""
    groups = [list(group) for _, group in groupby(halves, lambda kpi: kpi.kpi)]
    return [_halves_chart(group) for group in groups if group[0].newest["unit"] == "share" and _has_values(group)]


def _has_values(kpis: Sequence[KpiMonths]) -> bool:
    return any(month["value"] is not None for each in kpis for month in each.months)


def _halves_chart(kpis: Sequence[KpiMonths]) -> Chart:
    shown = sorted(kpis, key=lambda kpi: _HALVES.index(kpi.segment))
    series = [
        Series(each.segment, [_float_or_none(month["value"]) for month in each.months], style)
        for each, style in zip(shown, STYLES, strict=False)
    ]
    first = min(
        number for each in series for number, value in enumerate(each.values) if value is not None
    )  # nothing was known before
    series = [replace(each, values=each.values[first:]) for each in series]
    months = [month["month_start"] for month in kpis[0].months[first:]]
    return line_chart(f"{kpis[0].newest['label']} by month", months, series, text=partial(amount_text, unit="share"))


def readers_section(warehouse: Warehouse, relations: set[str]) -> Readers:
    """Active readers by day, and who came back."""
    days = warehouse.frame(_ACTIVE_SQL, [_ACTIVE_DAYS]).to_pylist() if ACTIVE in relations else []
    if not days:
        return Readers(NO_READERS)
    rows = warehouse.frame(_COHORTS_SQL, [_COHORT_WEEKS]).to_pylist() if COHORTS in relations else []
    periods = sorted({(row["period"], row["period_number"]) for row in rows})
    shown = [day for day in days if day["is_complete"]] or days  # a young history has no complete day
    last = shown[-1]
    when = f"{last['date_day']}{'' if last['is_complete'] else ' (not complete)'}"
    return Readers(
        charts=[_active_chart(shown), _stickiness_chart(shown)],
        summary=f"On {when}: {last['daily_active_readers']:,} readers on the day, {last['weekly_active_readers']:,}"
        f" in 7 days, {last['monthly_active_readers']:,} in 30 days.",
        periods=[f"{period[0].upper()}{number}" for period, number in periods],
        cohorts=[_cohort(week, list(some), periods) for week, some in groupby(rows, itemgetter("cohort_week"))],
    )


def _active_chart(days: Sequence[Mapping[str, Any]]) -> Chart:
    names = (("30 days (MAU)", "monthly", "a"), ("7 days (WAU)", "weekly", "b"), ("day (DAU)", "daily", "c"))
    series = [Series(name, [day[f"{each}_active_readers"] for day in days], style) for name, each, style in names]  # type: ignore[arg-type]
    return line_chart("Active readers", [day["date_day"] for day in days], series, text=count_text)


def _stickiness_chart(days: Sequence[Mapping[str, Any]]) -> Chart:
    values = [_float_or_none(day["stickiness"]) for day in days]
    series = [Series("day ÷ 30 days", values, "a")]
    return line_chart("Stickiness: DAU ÷ MAU", [day["date_day"] for day in days], series, text="{:.0%}".format)


def _cohort(week: dt.date, rows: Sequence[Mapping[str, Any]], periods: Sequence[tuple[str, int]]) -> Cohort:
    by_period = {(row["period"], row["period_number"]): row for row in rows}
    found = [by_period.get(period) for period in periods]
    return Cohort(
        week,
        max(row["readers"] for row in rows),
        [_float_or_none(row["retention"]) if row else None for row in found],
        [bool(row and row["is_complete"] and not row["is_left_censored"]) for row in found],
    )


def count_text(value: float) -> str:
    """A count, in thousands or millions where it is large.

    >>> count_text(950), count_text(2_500_000), count_text(0.5)
    ('950', '2.5M', '0.5')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def _float_or_none(value: Any) -> float | None:
    return None if value is None else float(value)
