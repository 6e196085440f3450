"""Curated Parquet: whole days, only those that changed, nothing private, readable with the usual tools."""

import datetime as dt
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_platform.exports import daily_export as curation
from recsys_platform.exports.daily_export import DAILY_TABLES, DailyExport, DailyTable, write_changed_days
from recsys_platform.hub.curated import put_day
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data import training_data as training
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

EVENTS, SESSIONS = DAILY_TABLES
FRIDAY, SATURDAY, SUNDAY = (dt.date(2026, 11, day) for day in (20, 21, 22))

Store = Callable[..., None]


@pytest.fixture
def store(warehouse: DuckDBWarehouse) -> Store:
    """Make marts.fct_events of (event id, day) pairs, with more columns on demand: `store(("e1", FRIDAY), ip_hash="'x'")`."""

    def fill(*events: tuple[str, dt.date], **more: str) -> None:
        extra = "".join(f", {value} as {name}" for name, value in more.items())
        rows = pa.table({"event_id": [e for e, _ in events], "occurred_on": [d for _, d in events]})
        with warehouse.connect() as con:
            con.register("given", rows)
            con.execute(
                f"create or replace table marts.fct_events as select event_id, 'u1' as user_id, {{'a': 1}} as nested,"
                f" ['x', 'y'] as tags, occurred_on::date as occurred_on, occurred_on::timestamp as occurred_at{extra} from given"
            )

    return fill


def written(hub: Hub) -> dict[str, str]:
    """Key → etag of everything curated."""
    return {item.key: item.etag for item in hub.objects("curated/")}


def events_of(hub: Hub, day: dt.date) -> list[str]:
    found: list[str] = pq.read_table(hub.path(f"curated/fct_events/dt={day}/part-00000.parquet"))[
        "event_id"
    ].to_pylist()
    return found


def test_every_event_is_in_the_file_of_the_day_it_happened_on(hub, warehouse, store):
    store(("e2", FRIDAY), ("e1", FRIDAY), ("e3", SUNDAY))
    assert write_changed_days(hub, warehouse, EVENTS) == DailyExport(2, 3, written=(FRIDAY, SUNDAY), removed=())
    assert (events_of(hub, FRIDAY), events_of(hub, SUNDAY)) == (["e1", "e2"], ["e3"])


def test_without_news_no_file_is_touched(hub, warehouse, store):
    store(("e1", FRIDAY), ("e2", SATURDAY))
    write_changed_days(hub, warehouse, EVENTS)
    before = written(hub)
    store(("e2", SATURDAY), ("e1", FRIDAY))  # the same rows, built anew in another order
    assert write_changed_days(hub, warehouse, EVENTS).written == ()
    assert written(hub) == before


def test_a_late_event_rewrites_its_day_and_no_other(hub, warehouse, store):
    store(("e1", FRIDAY), ("e3", SUNDAY))
    write_changed_days(hub, warehouse, EVENTS)
    before = written(hub)
    store(("e1", FRIDAY), ("late", FRIDAY), ("e3", SUNDAY))
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY,)
    assert events_of(hub, FRIDAY) == ["e1", "late"]
    assert {key for key, etag in written(hub).items() if before.get(key) != etag} == {
        "curated/fct_events/dt=2026-11-20/part-00000.parquet"
    }


def test_an_event_that_changes_while_the_count_stays_rewrites_its_day(hub, warehouse, store):
    store(("e1", FRIDAY), ("e2", FRIDAY))
    write_changed_days(hub, warehouse, EVENTS)
    store(("e1", FRIDAY), ("other", FRIDAY))
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY,)
    assert events_of(hub, FRIDAY) == ["e1", "other"]


def test_a_day_without_events_any_more_is_removed(hub, warehouse, store):
    store(("e1", FRIDAY), ("e2", SATURDAY))
    write_changed_days(hub, warehouse, EVENTS)
    store(("e1", FRIDAY))
    assert write_changed_days(hub, warehouse, EVENTS).removed == (SATURDAY,)
    assert hub.folders("curated/fct_events") == ["dt=2026-11-20"]


@pytest.mark.parametrize("columns", [{}, {"stars": "5"}, {"rating": "5", "stars": "null"}])
def test_a_column_that_is_new_or_called_otherwise_rewrites_every_day(hub, warehouse, store, columns):
    store(("e1", FRIDAY), ("e2", SATURDAY), rating="5")
    write_changed_days(hub, warehouse, EVENTS)
    store(("e1", FRIDAY), ("e2", SATURDAY), **columns)
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY, SATURDAY)


def test_a_damaged_file_is_written_again(hub, warehouse, store):
    store(("e1", FRIDAY))
    write_changed_days(hub, warehouse, EVENTS)
    hub.put("curated/fct_events/dt=2026-11-20/part-00000.parquet", b"not parquet")
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY,)
    assert events_of(hub, FRIDAY) == ["e1"]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path, warehouse, store):
    store(("e1", FRIDAY), ("e2", FRIDAY))
    write_changed_days(FolderHub(tmp_path / "one"), warehouse, EVENTS)
    store(("e2", FRIDAY), ("e1", FRIDAY))
    write_changed_days(FolderHub(tmp_path / "two"), warehouse, EVENTS)
    key = "curated/fct_events/dt=2026-11-20/part-00000.parquet"
    assert FolderHub(tmp_path / "one").get(key) == FolderHub(tmp_path / "two").get(key)


def test_days_are_read_in_batches_without_losing_any(hub, warehouse, store, monkeypatch):
    monkeypatch.setattr(curation, "ROWS_AT_ONCE", 7)
    days = [FRIDAY + dt.timedelta(days=number) for number in range(5)]
    store(*((f"e{number}", days[number // 3]) for number in range(15)))
    assert write_changed_days(hub, warehouse, EVENTS).rows == 15
    assert [len(events_of(hub, day)) for day in days] == [3] * 5


def parts_of(hub: Hub, day: dt.date) -> list[list[str]]:
    """The events of each file of a day."""
    paths = sorted(hub.path(f"curated/fct_events/dt={day}").glob("*.parquet"))
    return [pq.read_table(path)["event_id"].to_pylist() for path in paths]


def test_a_day_larger_than_memory_is_written_in_parts_that_hold_each_event_once(hub, warehouse, store, monkeypatch):
    monkeypatch.setattr(curation, "ROWS_AT_ONCE", 10)
    store(*((f"e{number:02}", FRIDAY) for number in range(35)), ("e99", SATURDAY))
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY, SATURDAY)
    parts = parts_of(hub, FRIDAY)
    assert len(parts) == 4
    assert sorted(chain.from_iterable(parts)) == [f"e{number:02}" for number in range(35)]
    assert all(part == sorted(part) for part in parts)
    before = written(hub)
    assert write_changed_days(hub, warehouse, EVENTS).written == ()
    assert written(hub) == before


def test_a_day_that_shrinks_loses_the_parts_that_it_has_no_more(hub, warehouse, store, monkeypatch):
    monkeypatch.setattr(curation, "ROWS_AT_ONCE", 10)
    for number, parts in ((35, 4), (15, 2), (5, 1), (25, 3)):
        store(*((f"e{each:02}", FRIDAY) for each in range(number)))
        write_changed_days(hub, warehouse, EVENTS)
        found = parts_of(hub, FRIDAY)
        assert (len(found), len([*chain.from_iterable(found)])) == (parts, number)


@pytest.mark.parametrize("before", [8, 15, 45])
def test_a_large_day_whose_export_died_shows_no_event_twice_and_is_written_again(
    hub, warehouse, store, monkeypatch, before
):
    monkeypatch.setattr(curation, "ROWS_AT_ONCE", 10)
    store(*((f"e{number:02}", FRIDAY) for number in range(before)))
    write_changed_days(hub, warehouse, EVENTS)
    store(*((f"e{number:02}", FRIDAY) for number in range(35)))
    put, puts = FolderHub.put, []

    def die_at_the_third(self: FolderHub, key: str, content: bytes) -> None:
        puts.append(key)
        if len(puts) == 3:
            raise OSError("the disk is full")
        put(self, key, content)

    with monkeypatch.context() as patch:
        patch.setattr(FolderHub, "put", die_at_the_third)
        with pytest.raises(OSError, match="the disk is full"):
            write_changed_days(hub, warehouse, EVENTS)
    seen = [*chain.from_iterable(parts_of(hub, FRIDAY))]
    assert len(seen) == len(set(seen)) > 0
    assert write_changed_days(hub, warehouse, EVENTS).written == (FRIDAY,)
    assert len([*chain.from_iterable(parts_of(hub, FRIDAY))]) == 35


def test_nothing_private_is_written_neither_by_day_nor_in_snapshots(hub, warehouse, store):
    private = {name: "'p'" for name in ("email", "user_email", "ip", "ip_hash", "email_hash", "content_hash", "phone")}
    store(("e1", FRIDAY), **private)
    write_changed_days(hub, warehouse, EVENTS)
    training.write_snapshot(hub, FRIDAY, {"dim_users": warehouse.frame("select * from marts.fct_events")})
    for item in hub.objects("curated/"):
        names = pq.read_schema(hub.path(item.key)).names
        assert names == ["event_id", "user_id", "nested", "tags", "occurred_on", "occurred_at"], item.key


@pytest.mark.parametrize("name", ["description", "tips", "script", "shipped_at", "iphone_model", "subscriptions"])
def test_harmless_columns_that_sound_like_private_ones_stay(hub, name):
    put_day(hub, "t", FRIDAY, pa.table({name: [1]}))
    assert pq.read_schema(hub.path("curated/t/dt=2026-11-20/part-00000.parquet")).names == [name]


def test_a_snapshot_is_written_again_only_if_it_changed(hub):
    tables = {"dim_books": pa.table({"book_id": ["b1"]}), "dim_users": pa.table({"user_id": ["u1"]})}
    assert training.write_snapshot(hub, FRIDAY, tables) == ["dim_books", "dim_users"]
    before = written(hub)
    assert training.write_snapshot(hub, FRIDAY, tables) == []
    assert written(hub) == before
    assert training.write_snapshot(hub, FRIDAY, tables | {"dim_books": pa.table({"book_id": ["b2"]})}) == ["dim_books"]


def test_pandas_reads_a_whole_table_from_its_folder(hub, warehouse, store):
    store(("e1", FRIDAY), ("e2", SUNDAY))
    write_changed_days(hub, warehouse, EVENTS)
    frame = pd.read_parquet(hub.path("curated/fct_events"))
    assert sorted(zip(frame["event_id"], frame["dt"].astype(str), strict=True)) == [
        ("e1", "2026-11-20"),
        ("e2", "2026-11-22"),
    ]
    one_day = pd.read_parquet(hub.path("curated/fct_events"), filters=[("dt", "=", "2026-11-22")])
    assert one_day["event_id"].tolist() == ["e2"]


def test_duckdb_reads_a_whole_table_with_its_days_as_a_column(hub, warehouse, store):
    store(("e1", FRIDAY), ("e2", SUNDAY))
    write_changed_days(hub, warehouse, EVENTS)
    with duckdb.connect() as con:
        found: list[Any] = con.execute(
            "select event_id, dt, tags from read_parquet(?, hive_partitioning = true) where dt = date '2026-11-22'",
            [str(hub.path("curated/fct_events/*/*.parquet"))],
        ).fetchall()
    assert found == [("e2", SUNDAY, ["x", "y"])]


def test_sessions_are_kept_by_the_day_they_began_on(hub, warehouse):
    with warehouse.connect() as con:
        con.execute(
            "create table marts.fct_sessions as select 's1' as session_id, timestamp '2026-11-20 23:50' as started_at,"
            " date '2026-11-20' as started_on, timestamp '2026-11-21 00:20' as ended_at"
        )
    assert write_changed_days(hub, warehouse, SESSIONS).written == (FRIDAY,)


def test_an_empty_table_has_no_days(hub, warehouse, store):
    store()
    assert write_changed_days(hub, warehouse, DailyTable("fct_events", "occurred_on", "event_id")) == DailyExport(
        0, 0, (), ()
    )
