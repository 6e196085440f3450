"""The canary of the page: the share of the visitors that new models had, step by step.

Belongs here: the steps as a table and a chart. Does not: who decides them (experiments/canary.py, serving/rollout).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.recommender.registry.promotion import AUTOMATIC, CANARY_AUTHOR
from recsys_platform.reports.kpi_page.charts import Chart, Series, line_chart
from recsys_platform.reports.kpi_page.content import Canary, CanaryStep
from recsys_platform.warehouse.port import Warehouse

STEPS = "ops.canary_steps"
_STEPS_SQL = read_sql("recsys_platform.reports", "canary_steps")
_MOST_STEPS = 20
Row = Mapping[str, Any]


def canary_section(warehouse: Warehouse, relations: set[str], now: dt.datetime) -> Canary | None:
    """The newest steps; None if there never was a canary. `now`: UTC without offset."""
    rows = warehouse.frame(_STEPS_SQL, [_MOST_STEPS]).to_pylist() if STEPS in relations else []
    if not rows:
        return None
    newest = rows[-1]
    status = "" if newest["reason"].startswith(newest["status"]) else f" ({newest['status']})"
    summary = f"{newest['label']} has {newest['percent']}% of the visitors{status}: {newest['reason']}."
    same = [row for row in rows if row["experiment"] == newest["experiment"]]
    return Canary(summary, [_step(row) for row in reversed(rows)], _chart(same, now))


def _step(row: Row) -> CanaryStep:
    automatic = "the tests" if row["changed_by"] == CANARY_AUTHOR else "the gate"
    decided_by = automatic if row["changed_by"] in AUTOMATIC else "a person"
    return CanaryStep(row["changed_at"], row["label"], f"{row['percent']}%", row["status"], decided_by, row["reason"])


def _chart(rows: Sequence[Row], now: dt.datetime) -> Chart:
    """Steps last until the next one, so that each value is drawn twice."""
    until = [row["changed_at"] for row in rows[1:]] + [max(now, rows[-1]["changed_at"])]
    times = [time for row, end in zip(rows, until, strict=True) for time in (row["changed_at"], end)]
    values = [row["percent"] / 100 for row in rows for _ in range(2)]
    title = f"Share of the visitors of {rows[-1]['label']}"
    return line_chart(title, times, [Series("canary", values, "a")], text="{:.0%}".format, limits=(0.0, 1.0))
