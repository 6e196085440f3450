"""Tiny warehouses of hand-written records, and dbt run over them in this process, writing nowhere but under tmp."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.adapters.factory import reset_adapters
from dbt.artifacts.schemas.run import RunExecutionResult
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest

from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

PROJECT = Path(__file__).parents[2] / "dbt_project"
FIRST_LOAD = datetime(2026, 11, 22, 12)
BUILT_SCHEMAS = ("staging", "intermediate", "marts")
# The journal of places that events had: what was and when it changed tells of the runs, not of the records.
WHAT = {"intermediate.int_event_sessions": "* exclude (changed_to)"}
WHICH = {"intermediate.int_event_sessions": "where is_current"}

Rows = list[tuple[Any, ...]]


@dataclass
class World:
    """One warehouse and the dbt project over it; `load` and `snapshot` write what the Python loader would write."""

    home: Path
    manifest: Manifest | None
    project: Path = PROJECT
    loads: int = 0
    objects: dict[str, int] = field(default_factory=dict)

    def prepare(self) -> "World":
        """The empty raw tables."""
        DuckDBWarehouse(self.home / "warehouse.duckdb").prepare()
        return self

    def load(self, source: str, *records: dict[str, Any], hour: str = "2026/11/22/10") -> str:
        """One landing object of these records, loaded in a transaction of its own; returns its key."""
        self.loads += 1
        key = f"engagement_events/source={source}/{hour}/part-{self.loads:03}.gz"
        landed_at, loaded_at = datetime.strptime(hour, "%Y/%m/%d/%H"), self._now()
        rows = [(source, key, index, landed_at, loaded_at, json.dumps(record)) for index, record in enumerate(records)]
        with self.connect() as con:
            con.executemany("insert into raw.engagement_events values (?, ?, ?, ?, ?, ?)", rows)
            ledger = (key, "etag", 1, len(rows), len(rows), 0, loaded_at)
            con.execute("insert into ops.load_ledger values (?, ?, ?, ?, ?, ?, ?)", ledger)
        return key

    def snapshot(self, kind: str, day: str, *records: dict[str, Any]) -> None:
        """One complete snapshot of `user` or `book` attributes."""
        self.loads += 1
        key = f"{kind}_attributes/dt={day}/part-0.json.gz"
        rows = [(day, record[f"{kind}_id"], key, self._now(), json.dumps(record)) for record in records]
        with self.connect() as con:
            con.executemany(f"insert into raw.{kind}_attributes values (?, ?, ?, ?, ?)", rows)

    def dbt(self, *arguments: str) -> dbtRunnerResult:
        """Run dbt on this world; the file is free again afterwards."""
        paths = [
            *_option("project-dir", self.project),
            *_option("profiles-dir", self.project),
            *_option("target-path", self.target),
        ]
        quiet = ["--quiet", "--log-path", str(self.home / "logs"), "--log-level-file", "none"]
        reset_adapters()  # type: ignore[no-untyped-call]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RECSYS_HOME", str(self.home))
            result = dbtRunner(manifest=self.manifest).invoke([*quiet, *arguments, *paths])
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        return result

    def build(self, *arguments: str) -> "World":
        """All seeds and models, without the tests; dbt's log is not even formatted, which would take a twentieth of the time."""
        only_relations = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
        result = self.dbt("--no-write-json", "--log-level", "none", "build", *only_relations, *arguments)
        assert result.success, failures(result)
        return self

    def rows(self, sql: str) -> Rows:
        """The answer to a query."""
        with self.connect() as con:
            return con.execute(sql).fetchall()

    def tables(self) -> dict[str, Rows]:
        """Every relation that dbt built, with its rows in a fixed order."""
        names = self.rows(
            f"select table_schema || '.' || table_name from information_schema.tables where table_schema in {BUILT_SCHEMAS}"
        )
        with self.connect() as con:
            return {
                name: con.execute(
                    f"select {WHAT.get(name, '*')} from {name} {WHICH.get(name, '')} order by all"
                ).fetchall()
                for (name,) in sorted(names)
            }

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that closes."""
        con = duckdb.connect(self.home / "warehouse.duckdb")
        try:
            con.execute("set TimeZone = 'UTC'")
            yield con
        finally:
            con.close()

    @property
    def target(self) -> Path:
        """Where dbt writes its artefacts."""
        return self.home / "target"

    def _now(self) -> datetime:
        return FIRST_LOAD + timedelta(minutes=self.loads)


def _option(name: str, value: Path) -> list[str]:
    return [f"--{name}", str(value)]


def failures(result: dbtRunnerResult) -> list[str]:
    """What failed, one sentence each."""
    if result.exception is not None:
        return [str(result.exception)]
    assert isinstance(result.result, RunExecutionResult)
    return [f"{run.node.name}: {run.message}" for run in result.result.results if run.status in {"error", "fail"}]
