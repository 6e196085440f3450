"""Keep marts as Parquet in the hub, a file a day: only days whose rows changed are written.

Each run asks the warehouse once for a fingerprint of every day (columns, count and the sum of the rows' hashes) and compares it
with the one in the file's footer. Late events change the day they happened on; days without rows any more are removed. A
run that dies leaves whole files, and the next one writes the rest.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.hub import curated
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

ROWS_AT_ONCE = 500_000
"""Days are read together up to so many rows: few queries, bounded memory."""


@dataclass(frozen=True)
class DailyTable:
    """A mart with a row an event: the column with its day, and those that put the rows of a day in one order."""

    name: str
    day: str
    order: str

    @property
    def relation(self) -> str:
        """Its name in the warehouse."""
        return f"marts.{self.name}"


DAILY_TABLES = (
    DailyTable("fct_events", day="occurred_on", order="occurred_at, event_id"),
    DailyTable("fct_sessions", day="started_on", order="started_at, session_id"),
)


@dataclass(frozen=True)
class Curated:
    """What is in the hub now: days and rows of all days; days that were written and removed just now."""

    days: int
    rows: int
    written: tuple[dt.date, ...]
    removed: tuple[dt.date, ...]


@dataclass(frozen=True)
class _Day:
    day: dt.date
    rows: int
    fingerprint: str


def keep_days(hub: Hub, warehouse: Warehouse, table: DailyTable) -> Curated:
    """Make the files of a table equal to its rows."""
    schema = _public_schema(warehouse, table)
    days = _days(warehouse, table, schema)
    gone = sorted(set(curated.days_of_table(hub, table.name)) - {day.day for day in days})
    changed = [day for day in days if curated.fingerprint_of(hub, table.name, day.day) != day.fingerprint]
    for together in _batches(changed):
        _write(hub, warehouse, table, schema.names, together)
    for day in gone:
        curated.remove_day(hub, table.name, day)
    return Curated(len(days), sum(day.rows for day in days), tuple(day.day for day in changed), tuple(gone))


def _public_schema(warehouse: Warehouse, table: DailyTable) -> pa.Schema:
    schema = warehouse.frame(f"select * from {table.relation} limit 0").schema
    return pa.schema([schema.field(name) for name in curated.public_columns(schema.names)])


def _days(warehouse: Warehouse, table: DailyTable, schema: pa.Schema) -> list[_Day]:
    """Every day with its fingerprint, oldest first: one pass over the table."""
    found = warehouse.frame(
        f"select {table.day} as day, count(*) as row_count, cast(sum(hash({', '.join(schema.names)})) as varchar) as hashes"
        f" from {table.relation} where {table.day} is not null group by 1 order by 1"
    ).to_pylist()
    # Names and types belong to it: a column that is new or another type means new files, though all values be equal.
    shape = hashlib.sha256(str(schema).encode()).hexdigest()[:16]
    return [_Day(row["day"], row["row_count"], f"{shape}-{row['row_count']}-{row['hashes']}") for row in found]


def _batches(days: Sequence[_Day]) -> Iterator[list[_Day]]:
    batch: list[_Day] = []
    for day in days:
        if batch and sum(each.rows for each in batch) + day.rows > ROWS_AT_ONCE:
            yield batch
            batch = []
        batch.append(day)
    if batch:
        yield batch


def _write(hub: Hub, warehouse: Warehouse, table: DailyTable, columns: Sequence[str], days: Sequence[_Day]) -> None:
    """Read some days at once, write each to its file."""
    rows = warehouse.frame(
        f"select {', '.join(columns)} from {table.relation} where {table.day} between ? and ?"
        f" and {table.day} in ({marks(days)}) order by {table.day}, {table.order}",
        [days[0].day, days[-1].day, *(day.day for day in days)],
    )
    for day in days:
        of_day = rows.filter(pc.equal(rows[table.day], pa.scalar(day.day)))
        curated.put_day(hub, table.name, day.day, of_day, fingerprint=day.fingerprint)
