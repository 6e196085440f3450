"""The DuckDB engine: one file, one writer at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import stamina

from recsys_platform.common.errors import WarehouseError, WarehouseHeldError
from recsys_platform.warehouse import ddl
from recsys_platform.warehouse.duckdb import publishing, raw_writer
from recsys_platform.warehouse.duckdb.interruptible import interruptible
from recsys_platform.warehouse.duckdb.raw_writer import DuckDBRawWriter, transaction
from recsys_platform.warehouse.port import PublishedVersion
from recsys_platform.warehouse.publications import VERSIONS
from recsys_platform.warehouse.salt import ensure_salt, kept_fingerprint

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

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes; empty before the first load."""
        if not self.path.exists():
            return {}
        sql = """select object_key, etag from ops.load_ledger
            semi join (select unnest(?::varchar[]) as prefix) on starts_with(object_key, prefix)"""
        with self.connect(read_only=True) as con:
            return dict(con.execute(sql, [list(prefixes)]).fetchall())

    @contextmanager
    def raw_writer(self) -> Iterator[DuckDBRawWriter]:
        """A connection for what ingestion writes; it waits for another writer, `lock_wait` seconds at most."""
        with self.connect() as con:
            yield DuckDBRawWriter(con, self.memory_limit)

    def rejected_records(self, *, reason: str | None = None) -> Iterator[pa.Table]:
        """Outstanding rejected records whose reason contains a text, some rows at a time."""
        with self.connect(read_only=True) as con:
            yield from raw_writer.rejected_records(con, reason)

    def ensure_salt(self, salt: str | None, *, replace: bool = False) -> bool:
        """Put the secret salt of hashes where SQL reads it, in one transaction; whether that replaced another."""
        with self.connect() as con, transaction(con):
            return ensure_salt(lambda sql, values: con.execute(sql, values).fetchall(), salt, replace=replace)

    def salt_fingerprint(self) -> str | None:
        """What tells the salt from others without showing it, None before there is one."""
        with self.connect(read_only=True) as con:
            return kept_fingerprint(lambda sql, values: con.execute(sql, values).fetchall())

    def replace_rows(self, table: str, rows: pa.Table | None, *, key: str, values: Sequence[str]) -> None:
        """Put rows into an ops table in place of those whose key is one of the values, in one transaction."""
        with self.connect() as con, transaction(con):
            con.execute(f"delete from {table} where {key} in (select unnest(?::varchar[]))", [list(values)])
            if rows is not None:
                con.register("rows", rows)
                con.execute(f"insert into {table} by name select * from rows")

    def published_versions(self, table: str) -> list[PublishedVersion]:
        """The versions of a published table that are kept, oldest first: a table each."""
        rows = self.frame(VERSIONS, [table]).to_pylist()
        return [PublishedVersion(row["version"], row["versioned_table"], row["is_live"]) for row in rows]

    def publish(
        self,
        version: str,
        tables: Mapping[str, Iterable[pa.RecordBatch]],
        *,
        checks: Mapping[str, str],
        inputs: Mapping[str, pa.Table],
    ) -> dict[str, int]:
        """Write, check and swap all tables of a version in one transaction; `PublishError` leaves the old one live."""
        with self.connect() as con, transaction(con):
            return publishing.publish(con, version, tables, checks, inputs)

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version, in one transaction; its name."""
        with self.connect() as con, transaction(con):
            return publishing.roll_back(con)

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that is closed whatever happens; `WarehouseError` if the file is locked, absent or not DuckDB."""
        try:
            con = self._open_file(read_only=read_only)
        except duckdb.Error as error:
            kind = WarehouseHeldError if _is_locked(error) else WarehouseError
            raise kind(_why_closed(self.path, str(error))) from error
        try:
            con.execute("set TimeZone = 'UTC'")
            yield con
        finally:
            con.close()

    def _open_file(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        """Open the file: a reader fails at once if another process holds it, a writer waits."""
        if read_only:
            return self._connect_file(self.path, read_only=True)
        for attempt in stamina.retry_context(
            on=_is_locked, attempts=None, timeout=self.lock_wait, wait_initial=0.1, wait_max=2
        ):
            with attempt:
                return self._connect_file(self.path)
        raise AssertionError("stamina ends with a value or an error")

    def connect_beside(self, path: Path) -> duckdb.DuckDBPyConnection:
        """A connection to another file within the same limits."""
        return self._connect_file(path)

    def _connect_file(self, path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        return interruptible(
            duckdb.connect(
                str(path),
                read_only=read_only,
                config={"memory_limit": self.memory_limit, "max_temp_directory_size": self.temp_limit},
            )
        )


def _is_locked(error: Exception) -> bool:
    return isinstance(error, duckdb.Error) and _LOCKED in str(error)


def _why_closed(path: Path, message: str) -> str:
    if _LOCKED in message:
        return f"{path} is held by another process: wait for the running job or close the other connection to it."
    if not path.exists():
        return (
            f"There is no warehouse at {path} yet: run `recsys run` first, or set RECSYS_HOME to a world that exists."
        )
    return f"{path} cannot be opened as a DuckDB file: {message.splitlines()[0]}"
