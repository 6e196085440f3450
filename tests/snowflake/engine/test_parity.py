"""The same landing objects through both environments give the same tables, row by row."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console
from rich.table import Table

from recsys_platform.settings import load_settings, warehouse_of
from recsys_platform.warehouse.port import Warehouse
from tests.integration.conftest import recsys

WORLD = ("--readers", "100", "--books", "40", "--days", "1", "--seed", "5")
SCHEMAS = ("staging", "intermediate", "marts", "published")
WHEN = {"loaded_at", "changed_to", "model_version", "generated_at"}
"""Columns that say when something was done here, not what happened."""
Commands = Callable[..., None]


@pytest.fixture
def environments(tmp_path: Path, variables: dict[str, str]) -> dict[str, dict[str, str]]:
    """The variables of both."""
    local = {"RECSYS_HOME": str(tmp_path / "local"), "RECSYS_PII_SALT": variables["RECSYS_PII_SALT"]}
    return {"local": local, "aws": variables | {"RECSYS_HOME": str(tmp_path / "aws")}}


def in_environment(named: dict[str, str], *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        assert recsys(*arguments, patch=patch) == 0, arguments


def relations(warehouse: Warehouse) -> set[str]:
    """Every table and view of the schemas that dbt and publishing write."""
    sql = "select lower(table_schema) as s, lower(table_name) as t from information_schema.tables"
    return {f"{row['s']}.{row['t']}" for row in warehouse.frame(sql).to_pylist() if row["s"] in SCHEMAS}


def rows_of(table: pa.Table) -> list[str]:
    names = sorted(set(table.column_names) - WHEN)
    return sorted(repr(row) for row in table.select(names).to_pylist())


def differences(local: Warehouse, aws: Warehouse) -> Iterator[tuple[str, int, int]]:
    """Relation, its rows locally, and how many rows only one of both has."""
    assert relations(local) == relations(aws)
    for name in sorted(relations(local)):
        ours, theirs = (rows_of(each.frame(f"select * from {name}")) for each in (local, aws))
        yield name, len(ours), len(set(ours) ^ set(theirs)) + abs(len(ours) - len(theirs))


def show(title: str, found: list[tuple[str, int, int]]) -> None:
    table = Table("relation", "rows", "differences", title=title)
    for row in found:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in row))
    Console(width=80).print(table)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_daily_runs_and_one_rebuild_give_the_same_tables_in_both_environments(
    environments: dict[str, dict[str, str]],
) -> None:
    warehouses = {name: warehouse_of(load_settings(named)) for name, named in environments.items()}
    for named in environments.values():
        in_environment(named, "simulate", *WORLD, "--end", "2026-11-18")
        in_environment(named, "demo")
        for _ in range(2):
            in_environment(named, "simulate", "--more", "--days", "1")
            in_environment(named, "demo")
    daily = list(differences(**warehouses))
    show("three daily runs", daily)
    for named in environments.values():
        in_environment(named, "run", "--all")
    rebuilt = list(differences(**warehouses))
    show("one rebuild", rebuilt)
    told = {name: count for name, count, _ in daily}
    assert {name: found for name, _, found in daily + rebuilt if found} == {}
    assert {name: count for name, count, _ in rebuilt} == told
    assert told["intermediate.int_event_duplicates"] > 0
    assert warehouses["aws"].frame("select count(*) as n from raw.rejected_records")["n"][0].as_py() > 0
    late = "select count(*) as n from marts.fct_events where occurred_on < arrived_on"
    assert warehouses["aws"].frame(late)["n"][0].as_py() > 0
