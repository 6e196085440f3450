"""The same landing objects through both environments give the same tables, row by row."""

import datetime as dt
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console
from rich.table import Table

from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.hub.layout import SOURCES, landing_key
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.port import Warehouse
from tests.support.commands import recsys
from tests.support.random_events import readers_and_devices, with_repetitions
from tests.support.small_variants import write_small_variants

# Days enough for all three trackers: the older ones are what old devices have.
WORLD = ("--readers", "80", "--books", "40", "--days", "3", "--seed", "5", "--end", "2026-11-15")
ODD_SEED = 11
RUNS = 2
"""Daily runs: one from nothing, and one that adds to what is there; a third would do what the second did."""
SCHEMAS = ("staging", "intermediate", "marts", "published")
PRICED = {"marts.fct_costs", "marts.rpt_cost_daily"}
"""Runs cost CPU here and Fargate there."""
WHEN = {"loaded_at", "changed_to", "model_version", "generated_at", "chosen_at"}
"""Columns that say when something was done here, not what happened."""


@pytest.fixture
def environments(tmp_path: Path, variables: dict[str, str]) -> dict[str, dict[str, str]]:
    """The variables of both."""
    for name in ("local", "aws"):
        write_small_variants(tmp_path / name)
    local = {"RECSYS_HOME": str(tmp_path / "local"), "RECSYS_PII_SALT": variables["RECSYS_PII_SALT"]}
    return {"local": local, "aws": variables | {"RECSYS_HOME": str(tmp_path / "aws")}}


def subscription_events() -> Iterator[tuple[str, dict[str, Any]]]:
    """Subscriptions: in three currencies, one of them without a rate; renewed, cancelled, begun before history, and lapsed."""
    for user, event, day, currency in (
        ("ann", "Started", "2026-11-14", "usd"),
        ("ben", "Renewed", "2026-11-13", "EUR"),
        ("ben", "Cancelled", "2026-11-15", None),
        ("cleo", "Started", "2026-09-01", "GBP"),
        ("cleo", "Renewed", "2026-10-01", "XYZ"),
        ("cleo", "Started", "2026-11-15", "GBP"),
    ):
        paid = {"price": 9.99, "currency": currency} if currency else {}
        envelope = {"type": "track", "event": f"Subscription {event}", "messageId": f"{user} {day}", "userId": user}
        yield "segment", {**envelope, "timestamp": f"{day}T10:00:00Z", "properties": {"plan": "monthly", **paid}}


def may_land(record: dict[str, Any]) -> bool:
    """A rating out of range makes a rating invalid; with any other event it is a column that the build stops at."""
    return record.get("properties", {}).get("rating") != 6 or record["event"] == "Book Rated"


def land_oddities(hub: Hub, run: int) -> None:
    """A share of the records of a few people who share devices, sign in and out, have aliases, repeat themselves and err."""
    chance = random.Random(ODD_SEED)
    records = [each for each in with_repetitions(chance, list(readers_and_devices(chance, 160))) if may_land(each[1])]
    records += subscription_events()
    chance.shuffle(records)
    for source in SOURCES:
        lines = [json.dumps(record) for tracker, record in records[run::RUNS] if tracker == source]
        key = landing_key(source, dt.datetime(2026, 11, 15 + run, 3), f"odd-{run}.gz")
        hub.put(key, gzip.compress("\n".join([*lines, "{"]).encode(), mtime=0))


def in_environment(named: dict[str, str], *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        assert recsys(*arguments, patch=patch) == 0, arguments


def relations(warehouse: Warehouse) -> set[str]:
    """Every table and view of the schemas that dbt and publishing write."""
    sql = "select lower(table_schema) as s, lower(table_name) as t from information_schema.tables"
    return {f"{row['s']}.{row['t']}" for row in warehouse.frame(sql).to_pylist() if row["s"] in SCHEMAS} - PRICED


def rows_of(table: pa.Table) -> list[str]:
    names = sorted(set(table.column_names) - WHEN)
    return sorted(repr(row) for row in table.select(names).to_pylist())


def differences(local: Warehouse, aws: Warehouse) -> Iterator[tuple[str, int, int]]:
    """Relation, its rows locally, and how many rows only one of both has."""
    assert relations(aws) <= relations(local)  # the server for tests leaves views out of its information schema
    for name in sorted(relations(local)):
        ours, theirs = (rows_of(each.frame(f"select * from {name}")) for each in (local, aws))
        yield name, len(ours), len(set(ours) ^ set(theirs)) + abs(len(ours) - len(theirs))


def show(title: str, found: list[tuple[str, int, int]]) -> None:
    table = Table("relation", "rows", "differences", title=title)
    for row in found:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in row))
    Console(width=80).print(table)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_daily_runs_and_one_rebuild_give_the_same_tables_in_both_environments(
    environments: dict[str, dict[str, str]],
) -> None:
    warehouses = {name: warehouse_of(load_settings(named)) for name, named in environments.items()}
    for named in environments.values():
        for run in range(RUNS):
            in_environment(named, "simulate", *(WORLD if run == 0 else ("--continue", "--days", "1")))
            land_oddities(hub_of(load_settings(named)), run)
            in_environment(named, "demo")
    daily = list(differences(**warehouses))
    show("two daily runs", daily)
    for named in environments.values():
        in_environment(named, "run", "--all")
    rebuilt = list(differences(**warehouses))
    show("one rebuild", rebuilt)
    assert {name: found for name, _, found in daily + rebuilt if found} == {}
    counts = {name: count for name, count, _ in daily}
    # What events were before is kept by daily runs alone.
    del counts["intermediate.int_event_sessions"]
    assert counts.items() <= {name: count for name, count, _ in rebuilt}.items()
    # Simulated attributes can all be read, and no reader is on the staff.
    assert [name for name, count in counts.items() if not count] == [
        "marts.rpt_unread_attributes",
        "staging.staff_readers",
    ]
    late = "select count(*) as n from marts.fct_events where occurred_on < arrived_on"
    for sql in (late, "select count(*) as n from raw.rejected_records"):
        assert warehouses["aws"].frame(sql)["n"][0].as_py() > 0
