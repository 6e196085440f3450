"""Model quality of the page: NDCG of each evaluation, what is live and why.

Belongs here: which models are drawn how. Does not: the metrics (recommender/evaluation), the gate (recommender/registry).
"""

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.choosers import chooser_text
from recsys_platform.reports.kpi_page.charts import Chart, Series, Style, line_chart
from recsys_platform.reports.kpi_page.content import ModelRow, Quality
from recsys_platform.warehouse.port import Warehouse

EVALUATIONS, ROLES = "ops.model_evaluations", "published.model_roles"
_QUALITY_SQL = read_sql("recsys_platform.reports", "quality_over_time")
_ROLES_SQL = """
    select model_version, role, is_live, chosen_by, chosen_at, why
    from published.model_roles order by is_live desc, role"""
_EVALUATIONS = 60
"""Evaluations drawn at most."""
NOT_EVALUATED = (
    "No model was evaluated yet: load events of signed-in readers and a book snapshot, and run `recsys run`."
)
_STYLES: Mapping[str, Style] = {"live": "a", "challenger": "c", "baseline": "b"}
Row = Mapping[str, Any]


def quality_section(warehouse: Warehouse, relations: set[str]) -> Quality:
    """The evaluations of the models. `relations`: the tables and views that there are."""
    found = warehouse.frame(_QUALITY_SQL, [_EVALUATIONS]).to_pylist() if EVALUATIONS in relations else []
    rows = [row for row in found if _is_known(row["value"])]
    roles = warehouse.frame(_ROLES_SQL).to_pylist() if ROLES in relations else []
    if not rows:
        return Quality(NOT_EVALUATED, decisions=[_decision(each) for each in roles])
    role_of = {str(each["model_version"]).rpartition("-v")[0]: _role_name(each) for each in reversed(roles)}
    newest = [row for row in rows if row["evaluated_at"] == rows[-1]["evaluated_at"]]
    return Quality(
        summary=_summary(newest, role_of),
        chart=_ndcg_chart(rows, role_of),
        measured=_measured(newest),
        rows=_model_rows(newest, role_of),
        decisions=[_decision(each) for each in roles],
    )


def _is_known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _role_name(role: Row) -> str:
    return "live" if role["is_live"] else str(role["role"])


def _decision(role: Row) -> tuple[str, str]:
    since = f" on {role['chosen_at']:%Y-%m-%d %H:%M} UTC" if role["chosen_at"] else ""
    return (
        f"{role['model_version']} ({_role_name(role)})",
        f"Chosen by {chooser_text(role['chosen_by'])}{since}: {role['why']}",
    )


def _measured(newest: Sequence[Row]) -> str:
    row = newest[0]
    how = f" ({row['held_out']})" if row["held_out"] else ""
    return (
        f"NDCG@{row['k']} on what {row['users']:,} readers with history {row['verb']} next{how}, evaluated"
        f" {row['evaluated_at']:%Y-%m-%d %H:%M} UTC."
    )


def _summary(newest: Sequence[Row], role_of: Mapping[str, str]) -> str:
    ndcg = {row["model"]: row["value"] for row in newest if row["metric"] == "ndcg"}
    live = next((name for name in ndcg if role_of.get(name) == "live"), None)
    baseline = next((name for name in ndcg if role_of.get(name) == "baseline"), None)
    if live is None:
        return "No evaluated model is live."
    if live == baseline or not baseline or not ndcg[baseline]:
        return f"{live} is live, with an NDCG of {ndcg[live]:.4f} in the newest evaluation."
    return (
        f"{live} is live, with {ndcg[live] / ndcg[baseline]:.1f} times the NDCG of {baseline} in the newest evaluation."
    )


def _ndcg_chart(rows: Sequence[Row], role_of: Mapping[str, str]) -> Chart:
    times: list[dt.datetime] = sorted({row["evaluated_at"] for row in rows})
    found = {(row["model"], row["evaluated_at"]): row for row in rows if row["metric"] == "ndcg"}
    order = {role: place for place, role in enumerate(("live", "challenger", "baseline"))}
    names = sorted({model for model, _ in found}, key=lambda name: (order.get(role_of.get(name, ""), len(order)), name))
    series = [_ndcg_series(name, [found.get((name, time)) for time in times], role_of.get(name)) for name in names]
    return line_chart("NDCG by evaluation", times, series, text="{:.3g}".format)


def _ndcg_series(name: str, rows: Sequence[Row | None], role: str | None) -> Series:
    shown = f"{name} ({role})" if role else name
    values = [row["value"] if row else None for row in rows]
    if role != "live":
        return Series(shown, values, _STYLES.get(role or "", "quiet"))
    low, high = ([row[end] if row else None for row in rows] for end in ("low", "high"))
    return Series(shown, values, "a", low, high)


def _model_rows(newest: Sequence[Row], role_of: Mapping[str, str]) -> list[ModelRow]:
    coverage = {row["model"]: row["value"] for row in newest if row["metric"] == "coverage"}
    ndcg = sorted((row for row in newest if row["metric"] == "ndcg"), key=lambda row: -row["value"])
    return [_model_row(row, coverage.get(row["model"]), role_of.get(row["model"], "")) for row in ndcg]


def _model_row(row: Row, coverage: float | None, role: str) -> ModelRow:
    interval = f"{row['low']:.4f} to {row['high']:.4f}" if _is_known(row["low"]) else ""
    return ModelRow(row["model"], f"{row['value']:.4f}", interval, "" if coverage is None else f"{coverage:.0%}", role)
