"""The port on Snowflake: every method opens its own session."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from recsys_platform.common.errors import WarehouseError
from recsys_platform.warehouse.port import PublishedVersion
from recsys_platform.warehouse.publications import VERSIONS
from recsys_platform.warehouse.salt import ensure_salt, kept_fingerprint
from recsys_platform.warehouse.snowflake import ddl, publishing, raw_writer
from recsys_platform.warehouse.snowflake.bulk_load import Stage
from recsys_platform.warehouse.snowflake.raw_writer import SnowflakeRawWriter
from recsys_platform.warehouse.snowflake.session import Account, Session, SnowflakeError
from recsys_platform.warehouse.snowflake.write_lock import with_write_lock
from recsys_platform.warehouse.sql import begins_with_any, marks

_NO_SUCH_OBJECT = 2003
_HAS_LEDGER = """
    select 1 from information_schema.tables where lower(table_schema) = 'ops' and lower(table_name) = 'load_ledger'"""
_SCHEMAS = "select lower(schema_name) from information_schema.schemata"


@dataclass(frozen=True)
class SnowflakeWarehouse:
    """A database in an account; `stage` is the external stage through which it reads the hub."""

    account: Account
    stage: Stage

    def prepare(self) -> None:
        """Create the schemas and the tables that Python writes; warehouses, roles and the stage are an administrator's."""
        with self.connect() as session:
            there = {str(name) for (name,) in session.execute(_SCHEMAS)}
            for statement in (*ddl.schemas(there), *ddl.statements()):
                session.execute(statement)
            if not session.execute("select 1 from ops.turns"):
                session.execute("insert into ops.turns (taken_at) values (current_timestamp())")

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The answer to a query."""
        with self.connect() as session:
            try:
                return session.frame(sql, parameters)
            except SnowflakeError as error:
                if error.errno == _NO_SUCH_OBJECT:
                    raise WarehouseError(
                        f"{self.account.database} lacks a table: {error} Run `recsys run` first."
                    ) from error
                raise

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes; empty before the first load."""
        below = begins_with_any("object_key", prefixes)
        with self.connect() as session:
            if not session.execute(_HAS_LEDGER):
                return {}
            return dict(session.execute(f"select object_key, etag from ops.load_ledger where {below}", prefixes))

    @contextmanager
    def raw_writer(self) -> Iterator[SnowflakeRawWriter]:
        """A session for what ingestion writes."""
        with self.connect() as session:
            yield SnowflakeRawWriter(session, self.stage)

    def rejected_records(self, *, reason: str | None = None) -> Iterator[pa.Table]:
        """Outstanding rejected records whose reason contains a text."""
        with self.connect() as session:
            yield from raw_writer.rejected_records(session, reason)

    def ensure_salt(self, salt: str | None, *, replace: bool = False) -> bool:
        """Put the secret salt of hashes where SQL reads it, in one transaction; whether that replaced another."""
        with self.connect() as session:
            return with_write_lock(session, lambda: ensure_salt(session.execute_discreetly, salt, replace=replace))

    def salt_fingerprint(self) -> str | None:
        """What tells the salt from others without showing it, None before there is one."""
        with self.connect() as session:
            return kept_fingerprint(session.execute_discreetly)

    def replace_rows(self, table: str, rows: pa.Table | None, *, key: str, values: Sequence[str]) -> None:
        """Put rows into an ops table in place of those whose key is one of the values, in one transaction."""
        columns = ", ".join(rows.column_names if rows is not None else ())

        def replace(staged: Iterable[str]) -> None:
            session.execute(f"delete from {table} where {key} in ({marks(values)})", values)
            for name in staged:
                session.execute(f"insert into {table} ({columns}) select {columns} from {name}")

        with self.connect() as session, self.stage.staged(session, {} if rows is None else {"rows": rows}) as names:
            with_write_lock(session, lambda: replace(names.values()))

    def published_versions(self, table: str) -> list[PublishedVersion]:
        """The versions of a published table that are kept, oldest first: all of them in one table."""
        return [
            PublishedVersion(row["version"], publishing.rows_of_version(table, row["version"]), row["is_live"])
            for row in self.frame(VERSIONS, [table]).to_pylist()
        ]

    def publish(
        self,
        version: str,
        tables: Mapping[str, Iterable[pa.RecordBatch]],
        *,
        checks: Mapping[str, str],
        inputs: Mapping[str, pa.Table],
    ) -> dict[str, int]:
        """Write, check and swap all tables of a version; `PublishError` leaves the old one live."""
        with self.connect() as session:
            return publishing.publish(session, self.stage, version, tables, checks, inputs)

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version; its name."""
        with self.connect() as session:
            return publishing.roll_back(session)

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """A session of one's own."""
        with self.account.connect() as session:
            yield session
