"""What rebuilding everything would cost, estimated from what runs cost so far.

dbt's models are built of records: their cost is that of a run plus so much a record, fitted to the runs that there were, and no less
than that of the dearest run. A line tells nothing far from what was measured: beyond that the dearest build is scaled by its records.
A build that read no records tells nothing about records: it repeated a failed one, or followed a change of code. All other steps
(training, evaluation, publishing, exports) read everything in each run, so their newest cost counts.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import linear_regression
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

_STEPS, _LOADS = (read_sql("recsys_platform.reports", name) for name in ("cost_of_steps", "records_by_load"))
NOT_ATTRIBUTED = "not attributed"
"""What the marts call the segment of costs that belong to none."""
_NOT_REBUILT = ("ingestion", NOT_ATTRIBUTED)
"""A rebuild loads nothing: `raw` is kept. What made nothing is not repeated."""
_RECENT = dt.timedelta(days=30)
"""A step that has not run for so long before the newest one is no part of a rebuild any more."""
_FARTHEST = 10
"""How many times the records of the largest measured build a line is continued."""


@dataclass(frozen=True)
class RebuildEstimate:
    """What `recsys run --all` would cost, in US dollars and seconds. `records`: those in the load ledger.

    `is_extrapolated`: no build that read everything was measured, so that of builds of new records is scaled by records.
    """

    usd: Decimal
    seconds: float
    records: int
    is_extrapolated: bool = False

    @property
    def note(self) -> str:
        """A sentence that follows the estimate if it is a rough one, with a blank before it; else nothing."""
        if not self.is_extrapolated:
            return ""
        return " This is rough: no build of everything was measured, so builds of new records are scaled by records."


@dataclass(frozen=True)
class _Build:
    """A measured build of dbt. `records`: those that it read, None if that is not known."""

    cost: float
    seconds: float
    records: int | None
    is_full: bool


def rebuild_estimate(warehouse: Warehouse) -> RebuildEstimate | None:
    """Estimate the cost of rebuilding everything; None before dbt's builds were measured."""
    if "marts.fct_costs" not in relation_names(warehouse):
        return None
    steps = [row for row in warehouse.frame(_STEPS).to_pylist() if row["stage"] not in _NOT_REBUILT]
    return estimate_of(steps, warehouse.frame(_LOADS).to_pylist())


def estimate_of(steps: Sequence[Mapping[str, Any]], loads: Sequence[Mapping[str, Any]]) -> RebuildEstimate | None:
    """Estimate from the steps that ran (those of cost_of_steps.sql) and loads (loaded_at, records); None if no build tells it."""
    builds = [_parse_build(row, loads) for row in steps if row["stage"] == "transformation"]
    known = [build for build in builds if build.records is not None]
    if not known:
        return None
    recent = max(row["started_at"] for row in steps) - _RECENT
    rest = [row for row in steps if row["stage"] != "transformation" and row["started_at"] >= recent]
    others = {row["step"]: row for row in sorted(rest, key=lambda row: row["started_at"])}
    total = sum(load["records"] for load in loads)
    usd, seconds = (
        max(
            _estimate_at(total, [(build.records, getattr(build, name)) for build in known if build.records]),
            *(getattr(build, name) for build in builds),
        )
        + sum(float(row[name] or 0) for row in others.values())
        for name in ("cost", "seconds")
    )
    is_extrapolated = not any(build.is_full for build in builds)
    return RebuildEstimate(Decimal(str(round(usd, 9))), seconds, total, is_extrapolated)


def _parse_build(row: Mapping[str, Any], loads: Sequence[Mapping[str, Any]]) -> _Build:
    """A build read what was loaded since the one before; a rebuild, and a first build that was measured with its loads, all."""
    before, until = row["previous_at"], row["started_at"]
    all_measured = all(load["loaded_at"] >= row["measured_since"] for load in loads)
    is_full = row["is_rebuild"] or (before is None and all_measured)
    is_known = is_full or before is not None
    records = _loaded(loads, None if is_full else before, until) if is_known else None
    return _Build(float(row["cost"] or 0), float(row["seconds"] or 0), records, is_full)


def _loaded(loads: Sequence[Mapping[str, Any]], since: Any, until: Any) -> int:
    return sum(
        load["records"] for load in loads if load["loaded_at"] <= until and (since is None or load["loaded_at"] > since)
    )


def _estimate_at(records: int, points: Sequence[tuple[int, float]]) -> float:
    """The value at a number of records, from (records, value) of builds; 0 without any."""
    if not points:
        return 0
    seen, values = zip(*points, strict=True)
    if len(set(seen)) > 1 and records <= _FARTHEST * max(seen):
        slope, intercept = linear_regression(seen, values)
        if slope > 0:
            return slope * records + intercept
    dearest, read = max(zip(values, seen, strict=True))
    return float(dearest * max(records / read, 1))
