"""The DuckDB engine: one file, one writer at a time."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import stamina
from pydantic import ByteSize, TypeAdapter

from recsys_platform.common.errors import WarehouseError, WarehouseHeldError
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.decoding import unpacked
from recsys_platform.warehouse import ddl
from recsys_platform.warehouse.duckdb import loading, publishing
from recsys_platform.warehouse.duckdb import revalidation as replaying
from recsys_platform.warehouse.duckdb.interruptible import interruptible
from recsys_platform.warehouse.port import LoadReport, Progress, RecordId, ReplayReport
from recsys_platform.warehouse.salt import keep_salt

LOCK_WAIT = 30.0
_LOCKED = "Could not set lock"


@dataclass(frozen=True)
class DuckDBWarehouse:
    """A warehouse in a file; above `memory_limit` DuckDB spills to disk, up to `temp_limit` beside the file.

    One process at a time has the file: a writer waits for it, `lock_wait` seconds at most. A signal ends what it is waiting for.
    """

    path: Path
    memory_limit: str = "3GB"
    temp_limit: str = "10GB"
    chunk_objects: int = loading.CHUNK_OBJECTS
    lock_wait: float = LOCK_WAIT

    def prepare(self) -> None:
        """Create the file, its schemas and the tables that Python writes."""
        with self.connect() as con:
            for schema in ddl.SCHEMAS:
                con.execute(f"create schema if not exists {schema}")
            for table, columns in ddl.TABLES.items():
                con.execute(f"create table if not exists {table} ({columns})")
            for table, column in ddl.ADDED_COLUMNS:
                con.execute(f"alter table {table} add column if not exists {column}")
            for table, old, new in ddl.RENAMED_COLUMNS:
                if old in con.table(table).columns:
                    con.execute(f"alter table {table} rename column {old} to {new}")

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The answer to a query, read-only."""
        with self.connect(read_only=True) as con:
            try:
                return con.sql(sql, params=list(parameters)).to_arrow_table()
            except duckdb.CatalogException as error:
                raise WarehouseError(
                    f"{self.path} lacks a table: {str(error).splitlines()[0]} Run `recsys run` first."
                ) from error

    def row_counts(self, relations: Sequence[str]) -> dict[str, int]:
        """The number of rows of those relations, named `schema.table`, that are tables: counting a view would compute it."""
        sql = """select table_schema || '.' || table_name from information_schema.tables
            where table_type = 'BASE TABLE' and table_schema || '.' || table_name in (select unnest(?::varchar[]))"""
        with self.connect(read_only=True) as con:
            tables = [name for (name,) in con.execute(sql, [list(relations)]).fetchall()]
            return {name: con.execute(f"select count(*) from {name}").fetchall()[0][0] for name in tables}

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes; empty before the first load."""
        if not self.path.exists():
            return {}
        sql = """select object_key, etag from ops.load_ledger
            semi join (select unnest(?::varchar[]) as prefix) on starts_with(object_key, prefix)"""
        with self.connect(read_only=True) as con:
            return dict(con.execute(sql, [list(prefixes)]).fetchall())

    def load_events(self, hub: Hub, objects: Sequence[HubObject], *, progress: Progress | None = None) -> LoadReport:
        """Load landing objects in chunks of one source, each chunk with its ledger rows in one transaction."""
        report = LoadReport()
        with self.connect() as con:
            # A larger log before it is folded into the file: the next chunk would only pay for it again.
            con.execute("set wal_autocheckpoint = '256MB'")
            con.execute(f"set memory_limit = '{smaller_size(self.memory_limit, loading.MEMORY_LIMIT)}'")
            chunks = loading.chunks(loading.unknown(con, objects), self.chunk_objects)
            for records in unpacked(hub, chunks):
                with transaction(con):
                    report += loading.load_records(con, records)
                if progress:
                    progress(report.objects, len(objects))
        return report

    def judge(self, source: str, payloads: Sequence[str]) -> list[str | None]:
        """Why each text would be rejected as a record of a source, None where it would be accepted."""
        with duckdb.connect() as con:
            return replaying.judge(con, source, payloads)

    def replayable(self, *, reason: str | None = None) -> list[str]:
        """Keys of objects with rejected records that the present rules accept, or reject for another reason."""
        with self.connect(read_only=True) as con:
            return replaying.replayable(con, reason)

    def replay_rejected(self, *, reason: str | None = None) -> ReplayReport:
        """Judge rejected records again and move what is accepted now, in one transaction."""
        with self.connect() as con, transaction(con):
            return replaying.replay(con, reason)

    def mark_corrected(self, corrected: Mapping[RecordId, str]) -> None:
        """Note at rejected records which landing object corrects them, in one transaction."""
        with self.connect() as con, transaction(con):
            replaying.mark_corrected(con, corrected)

    def load_attributes(self, hub: Hub, kind: Attributes, day: dt.date, objects: Sequence[HubObject]) -> LoadReport:
        """Replace one snapshot day in one transaction."""
        with self.connect() as con, transaction(con):
            return loading.load_snapshot(con, hub, kind, day, objects)

    def keep_salt(self, salt: str | None) -> bool:
        """Put the secret salt of hashes where SQL reads it, in one transaction; whether that replaced another."""
        with self.connect() as con, transaction(con):
            return keep_salt(lambda sql, values: con.execute(sql, values).fetchall(), salt)

    def replace_rows(self, table: str, rows: pa.Table, *, key: str) -> None:
        """Put rows into an ops table in place of those with the same key, in one transaction."""
        with self.connect() as con, transaction(con):
            con.register("rows", rows)
            con.execute(f"delete from {table} where {key} in (select {key} from rows)")
            con.execute(f"insert into {table} by name select * from rows")

    def remove_rows(self, table: str, values: Sequence[str], *, key: str) -> None:
        """Remove the rows of an ops table with one of these keys."""
        with self.connect() as con:
            con.execute(f"delete from {table} where {key} in (select unnest(?::varchar[]))", [list(values)])

    def live_version(self) -> str | None:
        """The published version that readers see, None before the first."""
        found = self.frame("select max(version) as version from ops.publications where is_live")
        return str(found["version"][0].as_py()) if found["version"][0].is_valid else None

    def publish(
        self,
        version: str,
        tables: Mapping[str, Iterable[pa.RecordBatch]],
        *,
        promises: Mapping[str, str],
        given: Mapping[str, pa.Table],
    ) -> dict[str, int]:
        """Write, check and swap all tables of a version in one transaction; `PublishError` leaves the old one live."""
        with self.connect() as con, transaction(con):
            return publishing.publish(con, version, tables, promises, given)

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version, in one transaction; its name."""
        with self.connect() as con, transaction(con):
            return publishing.roll_back(con)

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that is closed whatever happens; `WarehouseError` if the file is locked, absent or not DuckDB."""
        try:
            con = self._open(read_only=read_only)
        except duckdb.Error as error:
            kind = WarehouseHeldError if _is_locked(error) else WarehouseError
            raise kind(_why_closed(self.path, str(error))) from error
        try:
            con.execute("set TimeZone = 'UTC'")
            yield con
        finally:
            con.close()

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Readers are told at once that the file is held; writers wait, for a loader is done sooner or later."""
        if read_only:
            return self._connect(self.path, read_only=True)
        for attempt in stamina.retry_context(
            on=_is_locked, attempts=None, timeout=self.lock_wait, wait_initial=0.1, wait_max=2
        ):
            with attempt:
                return self._connect(self.path)
        raise AssertionError("stamina ends with a value or an error")

    def connect_beside(self, path: Path) -> duckdb.DuckDBPyConnection:
        """A connection to another file within the same limits."""
        return self._connect(path)

    def _connect(self, path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        return interruptible(
            duckdb.connect(
                str(path),
                read_only=read_only,
                config={"memory_limit": self.memory_limit, "max_temp_directory_size": self.temp_limit},
            )
        )


def smaller_size(*sizes: str) -> str:
    """The smallest of some sizes, each such as `700MB`."""
    return min(sizes, key=TypeAdapter(ByteSize).validate_python)


def _is_locked(error: Exception) -> bool:
    return isinstance(error, duckdb.Error) and _LOCKED in str(error)


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


def _why_closed(path: Path, message: str) -> str:
    if _LOCKED in message:
        return f"{path} is held by another process: wait for the running job or close the other connection to it."
    if not path.exists():
        return (
            f"There is no warehouse at {path} yet: run `recsys run` first, or set RECSYS_HOME to a world that exists."
        )
    return f"{path} cannot be opened as a DuckDB file: {message.splitlines()[0]}"
