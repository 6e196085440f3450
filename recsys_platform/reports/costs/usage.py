"""What steps of runs and stored objects use, as rows of `ops.cost_of_runs`.

Belongs here: quantities and whom they belong to. Does not: measuring (defs/reports/step_meter.py), prices (dbt).
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
from pydantic import TypeAdapter

from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse

COSTS = "ops.cost_of_runs"
Env = Literal["local", "aws"]
DAYS_OF_MONTH = 30
"""Days of a month of storage: a day of a GB is a thirtieth of its price."""
GB = 1024**3
STORAGE_CLASSES = ((60, "s3_standard_gb_month"), (365, "s3_ia_gb_month"))
"""Days until which a landing object is in a storage class; `infra/` has the same rule."""
LAST_STORAGE_CLASS = "s3_glacier_ir_gb_month"
_LANDED = "landing/engagement_events"
_OVERLAP = dt.timedelta(hours=1)
_SCHEMA = pa.schema(
    [
        ("usage_id", pa.string()),
        ("run_id", pa.string()),
        ("job", pa.string()),
        ("step", pa.string()),
        ("asset", pa.string()),
        ("is_rebuild", pa.bool_()),
        ("resource", pa.string()),
        ("quantity", pa.float64()),
        ("used_on", pa.date32()),
        ("started_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
    ]
)
_COLLECTED = "select max(ended_at) as until from ops.cost_of_runs where run_id is not null"
_STORED = "select max(used_on) as day from ops.cost_of_runs where usage_id like 'storage %'"
_LANDED_BY_DAY, _CREDITS = (read_sql("recsys_platform.reports", name) for name in ("landed_by_day", "credits_of_steps"))


@dataclass(frozen=True)
class StepUsage:
    """What a step used; `step`: None for a run's time outside of steps. Times are UTC without a zone.

    `used`: resource → quantity. `shares`: asset → its share of the step; empty if that is not known.
    """

    step: str | None
    started_at: dt.datetime
    ended_at: dt.datetime
    used: Mapping[str, float]
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RunUsage:
    """What a run reports at one time; `number`: which of its reports this is."""

    run_id: str
    number: int
    job: str
    is_rebuild: bool
    steps: Sequence[StepUsage]

    @property
    def usage_id(self) -> str:
        """What the rows of this report are replaced by."""
        return f"{self.run_id}/{self.number}"


_JSON = TypeAdapter(RunUsage)


def usage_to_json(usage: RunUsage) -> dict[str, Any]:
    """The report as plain JSON values."""
    found: dict[str, Any] = _JSON.dump_python(usage, mode="json")
    return found


def usage_from_json(values: Mapping[str, Any]) -> RunUsage:
    """The report that `usage_to_json` wrote."""
    return _JSON.validate_python(values)


def resources_used(
    env: Env, *, seconds: float, cpu_seconds: float, cores: float, memory_gb: float, requests: Mapping[str, int]
) -> dict[str, float]:
    """Resource → quantity of some time on a machine: CPU is paid for locally, the whole task on AWS."""
    paid = (
        {"local_cpu_second": cpu_seconds}
        if env == "local"
        else {"fargate_vcpu_second": seconds * cores, "fargate_gb_second": seconds * memory_gb}
    )
    sent = {name: float(count) for name, count in requests.items() if count}
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, **paid, **sent}


def shares_of_assets(seconds: Mapping[str, float | None]) -> dict[str, float]:
    """Distribute a step over its assets: by the seconds that each says it took, equally if one does not say.

    >>> shares_of_assets({"marts/a": 3.0, "marts/b": 1.0}), shares_of_assets({"published/a": None, "published/b": None})
    ({'marts/a': 0.75, 'marts/b': 0.25}, {'published/a': 0.5, 'published/b': 0.5})
    """
    told = {asset: taken or 0 for asset, taken in seconds.items()}
    total = sum(told.values())
    if None in seconds.values() or not total:
        return dict.fromkeys(seconds, 1 / len(seconds)) if seconds else {}
    return {asset: taken / total for asset, taken in told.items()}


def usage_rows(reports: Iterable[RunUsage]) -> list[dict[str, Any]]:
    """A row for each report, step, asset and resource. A step without known assets has rows without an asset."""
    return [row for report in reports for step in report.steps for row in _step_rows(report, step)]


def _step_rows(report: RunUsage, step: StepUsage) -> Iterator[dict[str, Any]]:
    of_step = {
        "usage_id": report.usage_id,
        "run_id": report.run_id,
        "job": report.job,
        "step": step.step,
        "is_rebuild": report.is_rebuild,
        "used_on": step.started_at.date(),
        "started_at": step.started_at,
        "ended_at": step.ended_at,
    }
    shares: list[tuple[str | None, float]] = [*step.shares.items()] or [(None, 1.0)]
    for asset, share in shares:
        for resource, quantity in step.used.items():
            yield {**of_step, "asset": asset, "resource": resource, "quantity": quantity * share}


def replace_usage(warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write rows in place of those of the same reports; returns how many."""
    if rows:
        ids = list(dict.fromkeys(str(row["usage_id"]) for row in rows))
        table = pa.Table.from_pylist([{"is_rebuild": False, **row} for row in rows], schema=_SCHEMA)
        warehouse.replace_rows(COSTS, table, key="usage_id", values=ids)
    return len(rows)


def collected_until(warehouse: Warehouse) -> dt.datetime | None:
    """The time (UTC) since which reports may be new; None if none was collected. Reports of the last hour are collected again."""
    until = warehouse.frame(_COLLECTED)["until"][0].as_py()
    return until - _OVERLAP if until else None


def collect_storage(warehouse: Warehouse, env: Env, today: dt.date, keep_days: int | None = None) -> int:
    """Write what landing objects cost on each day since the last collection, by age, from the load ledger; returns the rows.

    `keep_days`: age in days at which the bucket deletes an object, which costs nothing from then on; None if it deletes none.
    """
    landed = {row["day"]: row for row in warehouse.frame(_LANDED_BY_DAY).to_pylist()}
    if not landed:
        return 0
    first = warehouse.frame(_STORED)["day"][0].as_py() or min(landed)
    days = [first + dt.timedelta(days=n) for n in range((today - first).days + 1)]
    return replace_usage(warehouse, [row for day in days for row in _storage_rows(landed, env, day, keep_days)])


def _storage_rows(
    landed: Mapping[dt.date, Mapping[str, Any]], env: Env, day: dt.date, keep_days: int | None
) -> Iterator[dict[str, Any]]:
    used: Counter[str] = Counter()
    for landed_on, found in landed.items():
        age = (day - landed_on).days
        if age >= 0 and (keep_days is None or age < keep_days):
            used[_storage_resource(env, age)] += found["bytes"] / GB / DAYS_OF_MONTH
    if env == "aws" and day in landed:
        used["s3_put"] = landed[day]["objects"]
    for resource, quantity in used.items():
        yield {
            "usage_id": f"storage {day}",
            "asset": _LANDED,
            "resource": resource,
            "quantity": quantity,
            "used_on": day,
        }


def _storage_resource(env: Env, age: int) -> str:
    if env == "local":
        return "local_disk_gb_month"
    return next((name for until, name in STORAGE_CLASSES if age < until), LAST_STORAGE_CLASS)


def collect_credits(warehouse: Warehouse, virtual_warehouses: Sequence[str], since: dt.date) -> int:
    """Write the credits of three virtual warehouses of Snowflake for each day from `since` on; returns the rows.

    Credits of our queries (by query tag) belong to the step that ran at that time, those of a step to its assets by their seconds; all
    others, such as those of an idle warehouse, belong to nobody. Snowflake's views are up to eight hours late. Credits of cloud
    services are left out: Snowflake bills them only above a tenth of a day's compute.
    Raises `WarehouseError` if the role may not read them.
    """
    names = [name.upper() for name in virtual_warehouses]
    day_before = since - dt.timedelta(days=1)  # its last step may have gone on after midnight
    parameters = [*names, since, day_before, *names, since]
    rows = warehouse.frame(_CREDITS, parameters).to_pylist()
    return replace_usage(warehouse, [{**row, "usage_id": f"credits {row['used_on']}"} for row in rows])
