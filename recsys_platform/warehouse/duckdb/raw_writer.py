"""Write `raw` and the load ledger on DuckDB.

Belongs here: the statements that append, replace and update. Does not: which records are accepted (ingestion), opening the file.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
from pydantic import ByteSize, TypeAdapter

from recsys_platform.hub.layout import ID_FIELDS, Attributes, attributes_prefix
from recsys_platform.warehouse.port import LoadReport, UpdateReport, ValidatedBatch
from recsys_platform.warehouse.sql import later_than

# What DuckDB may take while it appends: enough for a batch, and more would only be filled up.
APPEND_MEMORY = "700MB"


@dataclass(frozen=True)
class DuckDBRawWriter:
    """A connection that nobody else uses; above `memory_limit` DuckDB spills to disk."""

    con: duckdb.DuckDBPyConnection
    memory_limit: str

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Those of some object keys that the ledger has."""
        return {key for (key,) in self.con.execute(_KNOWN, [list(keys)]).fetchall()}

    def append(self, batch: ValidatedBatch) -> LoadReport:
        """Add the rows of those objects that the ledger does not have, and their lines of the ledger, in one transaction."""
        # A larger log before it is folded into the file: the next batch would only pay for it again.
        self.con.execute("set wal_autocheckpoint = '256MB'")
        self.con.execute(f"set memory_limit = '{_smaller_size(self.memory_limit, APPEND_MEMORY)}'")
        tables = {"accepted": _as_json(batch.accepted), "rejected": batch.rejected, "objects": batch.objects}
        with self._transaction_with(tables):
            [numbers] = self.con.execute(_REPORT).fetchall()
            values = {"loaded_at": next_loaded_at(self.con)}
            self.con.execute(_APPEND_ACCEPTED, values | {"source": batch.source})
            self.con.execute(_APPEND_REJECTED, values | {"source": batch.source})
            self.con.execute(_APPEND_LEDGER, values)
        return LoadReport(*numbers)

    def replace_snapshot(self, kind: Attributes, day: dt.date, rows: pa.Table, objects: pa.Table) -> None:
        """Put the attributes of a day in place of those that are there, in one transaction."""
        names = {"kind": kind, "id_column": ID_FIELDS[kind]}
        with self._transaction_with({"snapshot": _as_json(rows), "objects": objects}):
            loaded_at = next_loaded_at(self.con)
            self.con.execute(f"delete from raw.{kind} where snapshot_date = ?", [day])
            self.con.execute(_INSERT_SNAPSHOT.format(**names), {"day": day, "loaded_at": loaded_at})
            self.con.execute(
                "delete from ops.load_ledger where starts_with(object_key, ?)", [attributes_prefix(kind, day)]
            )
            self.con.execute(_APPEND_LEDGER, {"loaded_at": loaded_at})

    def update_rejected(self, rows: pa.Table) -> UpdateReport:
        """Bring outstanding rejected records into the state that `rows` says, in one transaction."""
        with self._transaction_with({"updates": rows}):
            [(moved, renamed)] = self.con.execute(_COUNT_UPDATES).fetchall()
            loaded_at = {"loaded_at": next_loaded_at(self.con)}
            self.con.execute(_MOVE_ACCEPTED, loaded_at)
            self.con.execute(_UPDATE_LEDGER, loaded_at)
            self.con.execute(_DELETE_MOVED)
            self.con.execute(_UPDATE_REJECTED)
        return UpdateReport(moved, renamed)

    @contextmanager
    def _transaction_with(self, tables: Mapping[str, pa.Table]) -> Iterator[None]:
        """A transaction in which some Arrow tables can be read by name."""
        for name, table in tables.items():
            self.con.register(name, table)
        with transaction(self.con):
            yield
        for name in tables:
            self.con.unregister(name)


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block, or nothing of it."""
    con.begin()
    try:
        yield
    except BaseException:
        con.rollback()
        raise
    con.commit()


def rejected_records(con: duckdb.DuckDBPyConnection, reason: str | None) -> Iterator[pa.Table]:
    """Outstanding rejected records whose reason contains a text, some rows at a time."""
    reader = con.sql(_OUTSTANDING, params=[reason or ""]).to_arrow_reader(_ROWS_AT_ONCE)
    yield from (pa.Table.from_batches([batch]) for batch in reader)


def next_loaded_at(con: duckdb.DuckDBPyConnection) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load: readers take `loaded_at` as their high-water mark."""
    [(last,)] = con.execute("select max(loaded_at) from ops.load_ledger").fetchall()
    return later_than(last)


def _smaller_size(*sizes: str) -> str:
    """The smallest of some sizes, each such as `700MB`."""
    return min(sizes, key=TypeAdapter(ByteSize).validate_python)


def _as_json(table: pa.Table) -> pa.Table:
    """The column `record` marked as JSON, so that DuckDB does not parse it once more."""
    at = table.column_names.index("record")
    kind = pa.json_(table["record"].type)
    parts: list[Any] = [pa.ExtensionArray.from_storage(kind, part) for part in table["record"].chunks]
    return table.set_column(at, "record", pa.chunked_array(parts, kind))


_ROWS_AT_ONCE = 10_000
_KNOWN = """
    select object_key from ops.load_ledger
    semi join (select unnest(?::varchar[]) as object_key) using (object_key)"""
# This condition also keeps DuckDB from inserting in batches of its own, which would be as small as the objects and cost twice as much.
_IS_NEW = "object_key not in (select object_key from ops.load_ledger semi join objects using (object_key))"
_REPORT = f"""
    select count(*), coalesce(sum(records), 0)::bigint, coalesce(sum(accepted), 0)::bigint, coalesce(sum(rejected), 0)::bigint
    from objects where {_IS_NEW}"""
_APPEND_ACCEPTED = f"""
    insert into raw.engagement_events
    select $source, object_key, record_index, landed_at, $loaded_at::timestamp, record from accepted where {_IS_NEW}"""
_APPEND_REJECTED = f"""
    insert into raw.rejected_records by name
    select $source as source, object_key, record_index, landed_at, $loaded_at::timestamp as loaded_at, payload, reason
    from rejected where {_IS_NEW}"""
_APPEND_LEDGER = f"""
    insert into ops.load_ledger
    select object_key, etag, size_bytes, records, accepted, rejected, $loaded_at::timestamp from objects where {_IS_NEW}"""
_INSERT_SNAPSHOT = """
    insert into raw.{kind}
    select $day::date, {id_column}, object_key, $loaded_at::timestamp, record from snapshot order by {id_column}"""
_OUTSTANDING = """
    select source, object_key, record_index, payload, reason from raw.rejected_records
    where corrected_by is null and contains(lower(reason), lower(?))"""
_STILL_OUTSTANDING = """
    raw.rejected_records as r
    inner join updates as u on u.object_key = r.object_key and u.record_index = r.record_index
    where r.corrected_by is null"""
_COUNT_UPDATES = f"""
    select count(*) filter (u.reason is null), count(*) filter (u.reason <> r.reason) from {_STILL_OUTSTANDING}"""
_MOVE_ACCEPTED = f"""
    insert into raw.engagement_events
    select r.source, r.object_key, r.record_index, r.landed_at, $loaded_at::timestamp, r.payload::json
    from {_STILL_OUTSTANDING} and u.reason is null order by r.object_key, r.record_index"""
_UPDATE_LEDGER = f"""
    update ops.load_ledger as l set accepted = accepted + m.n, rejected = rejected - m.n, loaded_at = $loaded_at::timestamp
    from (select r.object_key, count(*) as n from {_STILL_OUTSTANDING} and u.reason is null group by 1) as m
    where l.object_key = m.object_key"""
_DELETE_MOVED = """
    delete from raw.rejected_records as r using updates as u
    where r.object_key = u.object_key and r.record_index = u.record_index and r.corrected_by is null and u.reason is null"""
_UPDATE_REJECTED = """
    update raw.rejected_records as r set reason = u.reason, corrected_by = u.corrected_by from updates as u
    where r.object_key = u.object_key and r.record_index = u.record_index and r.corrected_by is null
        and u.reason is not null"""
