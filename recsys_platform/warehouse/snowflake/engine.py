"""The port on Snowflake: every method opens its own session."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from recsys_platform.common.errors import WarehouseError
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.decoding import unpacked
from recsys_platform.warehouse.duckdb import loading as shared
from recsys_platform.warehouse.duckdb import revalidation as judging
from recsys_platform.warehouse.port import LoadReport, Progress, RecordId, ReplayReport
from recsys_platform.warehouse.salt import keep_salt
from recsys_platform.warehouse.snowflake import ddl, loading, publishing
from recsys_platform.warehouse.snowflake import revalidation as replaying
from recsys_platform.warehouse.snowflake.bulk_load import Stage
from recsys_platform.warehouse.snowflake.session import Account, Session, SnowflakeError
from recsys_platform.warehouse.snowflake.staging_duckdb import scratch
from recsys_platform.warehouse.sql import begins_with_any

_NO_SUCH_OBJECT = 2003
_HAS_LEDGER = """
    select 1 from information_schema.tables where lower(table_schema) = 'ops' and lower(table_name) = 'load_ledger'"""
_SCHEMAS = "select lower(schema_name) from information_schema.schemata"


@dataclass(frozen=True)
class SnowflakeWarehouse:
    """A database in an account; `stage` is the external stage through which it reads the hub."""

    account: Account
    stage: Stage
    chunk_objects: int = shared.CHUNK_OBJECTS

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

    def row_counts(self, relations: Sequence[str]) -> dict[str, int]:
        """The number of rows of those relations, named `schema.table`, that are tables; Snowflake answers from what it noted."""
        sql = "select lower(table_schema || '.' || table_name) from information_schema.tables where table_type = 'BASE TABLE'"
        with self.connect() as session:
            tables = {str(name) for (name,) in session.execute(sql)}
            return {
                name: int(session.execute(f"select count(*) from {name}")[0][0]) for name in relations if name in tables
            }

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes; empty before the first load."""
        below = begins_with_any("object_key", prefixes)
        with self.connect() as session:
            if not session.execute(_HAS_LEDGER):
                return {}
            return dict(session.execute(f"select object_key, etag from ops.load_ledger where {below}", prefixes))

    def load_events(self, hub: Hub, objects: Sequence[HubObject], *, progress: Progress | None = None) -> LoadReport:
        """Load landing objects in chunks of one source, each chunk with its ledger rows in one transaction."""
        report = LoadReport()
        with self.connect() as session:
            chunks = shared.chunks(loading.unknown(session, objects), self.chunk_objects)
            for records in unpacked(hub, chunks):
                report += loading.load_records(session, self.stage, records)
                if progress:
                    progress(report.objects, len(objects))
        return report

    def judge(self, source: str, payloads: Sequence[str]) -> list[str | None]:
        """Why each text would be rejected as a record of a source, None where it would be accepted."""
        with scratch() as con:
            return judging.judge(con, source, payloads)

    def replayable(self, *, reason: str | None = None) -> list[str]:
        """Keys of objects with rejected records that the present rules accept, or reject for another reason."""
        with self.connect() as session:
            return replaying.replayable(session, reason)

    def replay_rejected(self, *, reason: str | None = None) -> ReplayReport:
        """Judge rejected records again and move what is accepted now, in one transaction."""
        with self.connect() as session:
            return replaying.replay(session, self.stage, reason)

    def mark_corrected(self, corrected: Mapping[RecordId, str]) -> None:
        """Note at rejected records which landing object corrects them, in one transaction."""
        with self.connect() as session:
            replaying.mark_corrected(session, self.stage, corrected)

    def load_attributes(self, hub: Hub, kind: Attributes, day: dt.date, objects: Sequence[HubObject]) -> LoadReport:
        """Replace one snapshot day in one transaction."""
        with self.connect() as session:
            return loading.load_snapshot(session, self.stage, hub, kind, day, objects)

    def keep_salt(self, salt: str | None) -> bool:
        """Put the secret salt of hashes where SQL reads it, in one transaction; whether that replaced another."""
        with self.connect() as session:
            return loading.in_turn(session, lambda: keep_salt(session.execute_discreetly, salt))

    def replace_rows(self, table: str, rows: pa.Table, *, key: str) -> None:
        """Put rows into an ops table in place of those with the same key, in one transaction."""
        columns = ", ".join(rows.column_names)

        def replace(names: Mapping[str, str]) -> None:
            session.execute(f"delete from {table} where {key} in (select {key} from {names['rows']})")
            session.execute(f"insert into {table} ({columns}) select {columns} from {names['rows']}")

        with self.connect() as session, self.stage.carried(session, {"rows": rows}) as names:
            loading.in_turn(session, lambda: replace(names))

    def remove_rows(self, table: str, values: Sequence[str], *, key: str) -> None:
        """Remove the rows of an ops table with one of these keys."""
        with self.connect() as session:
            for value in values:
                session.execute(f"delete from {table} where {key} = ?", [value])

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
        """Write, check and swap all tables of a version; `PublishError` leaves the old one live."""
        with self.connect() as session:
            return publishing.publish(session, self.stage, version, tables, promises, given)

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version; its name."""
        with self.connect() as session:
            return publishing.roll_back(session)

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """A session of one's own."""
        with self.account.connect() as session:
            yield session
