"""What rebuilding everything would cost, estimated from what runs cost so far.

dbt's models are built of records: their cost is that of a run plus so much a record, fitted to the runs that there were. All other
steps (training, evaluation, publishing, exports) read everything in each run, so their newest cost counts.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import linear_regression
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

_STEPS, _LOADS = (read_sql("recsys_platform.reports", name) for name in ("cost_of_steps", "records_by_load"))
_NOT_REBUILT = ("ingestion", "not attributed")
"""A rebuild loads nothing: `raw` is kept. What made nothing is not repeated."""
_RECENT = dt.timedelta(days=30)
"""A step that has not run for so long before the newest one is no part of a rebuild any more."""


@dataclass(frozen=True)
class RebuildEstimate:
    """What `recsys run --all` would cost, in US dollars and seconds. `records`: those in the load ledger."""

    usd: Decimal
    seconds: float
    records: int


def rebuild_estimate(warehouse: Warehouse) -> RebuildEstimate | None:
    """Estimate the cost of rebuilding everything; None before the first run was collected."""
    if "marts.fct_costs" not in relation_names(warehouse):
        return None
    steps = [row for row in warehouse.frame(_STEPS).to_pylist() if row["stage"] not in _NOT_REBUILT]
    loads = warehouse.frame(_LOADS).to_pylist()
    return estimate_of(steps, loads) if steps else None


def estimate_of(steps: Sequence[Mapping[str, Any]], loads: Sequence[Mapping[str, Any]]) -> RebuildEstimate:
    """Estimate from the steps that ran (step, stage, is_rebuild, started_at, cost, seconds) and loads (loaded_at, records)."""
    builds = sorted((row for row in steps if row["stage"] == "transformation"), key=lambda row: row["started_at"])
    recent = max(row["started_at"] for row in steps) - _RECENT
    rest = [row for row in steps if row["stage"] != "transformation" and row["started_at"] >= recent]
    others = {row["step"]: row for row in sorted(rest, key=lambda row: row["started_at"])}
    total = sum(load["records"] for load in loads)
    records = records_of_builds(builds, loads)
    usd, seconds = (
        _at(total, records, [float(row[name] or 0) for row in builds])
        + sum(float(row[name] or 0) for row in others.values())
        for name in ("cost", "seconds")
    )
    return RebuildEstimate(Decimal(str(round(usd, 9))), seconds, total)


def records_of_builds(builds: Sequence[Mapping[str, Any]], loads: Sequence[Mapping[str, Any]]) -> list[int]:
    """How many records each build read: those loaded since the one before, or all for the first one and for a rebuild."""
    if not builds:
        return []
    ends = [row["started_at"] for row in builds]
    first = _loaded(loads, None, ends[0])
    new = [first, *(_loaded(loads, before, end) for before, end in pairwise(ends))]
    return [
        _loaded(loads, None, row["started_at"]) if row["is_rebuild"] else n for row, n in zip(builds, new, strict=True)
    ]


def _loaded(loads: Sequence[Mapping[str, Any]], since: Any, until: Any) -> int:
    return sum(
        load["records"] for load in loads if load["loaded_at"] <= until and (since is None or load["loaded_at"] > since)
    )


def _at(records: int, seen: Sequence[int], values: Sequence[float]) -> float:
    """The value at a number of records, on the line through what was seen; never less than the most seen for as many or fewer."""
    if not values:
        return 0
    least = max(value for value, n in zip(values, seen, strict=True) if n <= records)
    if len(set(seen)) < 2:
        return values[-1] * max(records / seen[-1], 1) if seen[-1] else least
    slope, intercept = linear_regression(seen, values)
    return max(slope * records + intercept, least)
