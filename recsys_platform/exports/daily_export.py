"""Export marts to the hub as Parquet, one file a day, writing only days whose rows changed.

Each run queries a fingerprint of every day (columns, row count, sum of row hashes) and compares it with the one in the file's footer.
A late event changes the day on which it happened. Files of days without rows are removed. A run that dies leaves complete files,
and the next run writes the rest. A day that is too large for memory is split by the hash of its rows' ids. Its old files are
removed first, and its first part, which holds the fingerprint, is written last: whoever reads meanwhile, or after a run that died, may
miss rows of that day, but sees none twice.
"""

import datetime as dt
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.hub import curated
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

ROWS_AT_ONCE = 500_000
"""Days are read in batches of up to so many rows, and larger days in parts of about as many: few queries, bounded memory."""


@dataclass(frozen=True)
class DailyTable:
    """A mart to export by day: `day` is the date column, `order` sorts the rows of a day, its last column is their key."""

    name: str
    day: str
    order: str

    @property
    def key(self) -> str:
        """The column that identifies a row."""
        return self.order.rpartition(" ")[-1]

    @property
    def relation(self) -> str:
        """Its name in the warehouse."""
        return f"marts.{self.name}"


DAILY_TABLES = (
    DailyTable("fct_events", day="occurred_on", order="occurred_at, event_id"),
    DailyTable("fct_sessions", day="started_on", order="started_at, session_id"),
)


@dataclass(frozen=True)
class DailyExport:
    """An export's result: days and rows in the hub now, days written and removed by this run."""

    days: int
    rows: int
    written: tuple[dt.date, ...]
    removed: tuple[dt.date, ...]


@dataclass(frozen=True)
class _DayState:
    day: dt.date
    rows: int
    fingerprint: str


def write_changed_days(hub: Hub, warehouse: Warehouse, table: DailyTable) -> DailyExport:
    """Bring the files of a table up to date with its rows."""
    schema = _public_schema(warehouse, table)
    days = _day_fingerprints(warehouse, table, schema)
    gone = sorted(set(curated.days_of_table(hub, table.name)) - {day.day for day in days})
    changed = [day for day in days if curated.fingerprint_of(hub, table.name, day.day) != day.fingerprint]
    for batch in _batch_days(changed):
        _write_days(hub, warehouse, table, schema.names, batch)
    for day in gone:
        curated.remove_day(hub, table.name, day)
    return DailyExport(len(days), sum(day.rows for day in days), tuple(day.day for day in changed), tuple(gone))


def _public_schema(warehouse: Warehouse, table: DailyTable) -> pa.Schema:
    schema = warehouse.frame(f"select * from {table.relation} limit 0").schema
    return pa.schema([schema.field(name) for name in curated.public_columns(schema.names)])


def _day_fingerprints(warehouse: Warehouse, table: DailyTable, schema: pa.Schema) -> list[_DayState]:
    """Every day with its row count and fingerprint, oldest first, from one scan of the table."""
    found = warehouse.frame(
        f"select {table.day} as day, count(*) as row_count, cast(sum(hash({', '.join(schema.names)})) as varchar) as hashes"
        f" from {table.relation} where {table.day} is not null group by 1 order by 1"
    ).to_pylist()
    # The schema is part of the fingerprint: a new column or type means new files, even if no value changed.
    shape = hashlib.sha256(str(schema).encode()).hexdigest()[:16]
    return [_DayState(row["day"], row["row_count"], f"{shape}-{row['row_count']}-{row['hashes']}") for row in found]


def _batch_days(days: Sequence[_DayState]) -> Iterator[list[_DayState]]:
    batch: list[_DayState] = []
    for day in days:
        if batch and sum(each.rows for each in batch) + day.rows > ROWS_AT_ONCE:
            yield batch
            batch = []
        batch.append(day)
    if batch:
        yield batch


def _write_days(
    hub: Hub, warehouse: Warehouse, table: DailyTable, columns: Sequence[str], days: Sequence[_DayState]
) -> None:
    """Write a batch of days that is read with one query, or one large day in parts."""
    if days[0].rows > ROWS_AT_ONCE:
        _write_parts(hub, warehouse, table, columns, days[0])
        return
    rows = warehouse.frame(
        f"select {', '.join(columns)} from {table.relation} where {table.day} between ? and ?"
        f" and {table.day} in ({marks(days)}) order by {table.day}, {table.order}",
        [days[0].day, days[-1].day, *(day.day for day in days)],
    )
    for day in days:
        of_day = rows.filter(pc.equal(rows[table.day], pa.scalar(day.day)))
        curated.remove_parts(hub, table.name, day.day, since=1)
        curated.put_day(hub, table.name, day.day, of_day, fingerprint=day.fingerprint)


def _write_parts(hub: Hub, warehouse: Warehouse, table: DailyTable, columns: Sequence[str], day: _DayState) -> None:
    """Write the parts of a day from the last to the first, each read by a query of its own."""
    parts = math.ceil(day.rows / ROWS_AT_ONCE)
    curated.remove_day(hub, table.name, day.day)
    for part in reversed(range(parts)):
        # `hash` is signed on Snowflake.
        rows = warehouse.frame(
            f"select {', '.join(columns)} from {table.relation} where {table.day} = ?"
            f" and abs(mod(hash({table.key}), ?)) = ? order by {table.order}",
            [day.day, parts, part],
        )
        curated.put_day(hub, table.name, day.day, rows, fingerprint=day.fingerprint, part=part)
