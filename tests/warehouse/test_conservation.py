"""Every record that landed is accounted for, however it came and however often it was loaded."""

import datetime as dt
import gzip
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_platform.hub.layout import SOURCES, landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.reconciliation import account, damaged_objects
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.port import LoadReport
from tests.support.days import DAY

LINE = st.sampled_from(
    [
        b'{"messageId":"m","timestamp":"t","userId":"u"}',
        b'{"event_type":"e","event_timestamp":1,"client":{"client_id":"c"}}',
        b'{"idsite":1,"cdt":1,"_id":"v"}',
        b"{}",
        b"[1]",
        b"x",
        b'{"a":',
        b'{"a":"\xff"}',
        rb'{"messageId":"\ud83d"}',
        b"",
    ]
)
OBJECT = st.tuples(
    st.sampled_from(SOURCES), st.lists(LINE, max_size=6), st.sampled_from([b"\n", b""]), st.integers(0, 60)
)
BALANCE = """
    select object_key, records, accepted, rejected,
        (select count(*) from raw.engagement_events as e where e.object_key = l.object_key),
        (select count(*) from raw.rejected_records as r where r.object_key = l.object_key)
    from ops.load_ledger as l"""
TABLES = "raw.engagement_events", "raw.rejected_records", "ops.load_ledger"


@pytest.mark.slow
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OBJECT, max_size=6), st.lists(st.integers(0, 6), max_size=3), st.integers(1, 4))
def test_records_are_accepted_or_rejected_whatever_lands_in_however_many_loads(
    tmp_path_factory, objects, splits, chunk
):
    home = tmp_path_factory.mktemp("world")
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "w.duckdb")
    warehouse.prepare()
    for number, (source, lines, delimiter, cut) in enumerate(objects):
        data = gzip.compress(delimiter.join(lines))
        hub.put(landing_key(source, dt.datetime.combine(DAY, dt.time(5)), f"{number}.gz"), data[: -cut or None])
    found = hub.objects("engagement_events/")
    bounds = sorted({0, *splits, len(found)})
    for start, stop in itertools.pairwise(bounds):
        load_events(hub, warehouse, found[start:stop], chunk_objects=chunk)
    rows = [tuple(row.values()) for row in warehouse.frame(BALANCE).to_pylist()]
    assert len(rows) == len(objects)
    assert all((records, accepted, rejected) == (a + r, a, r) for _, records, accepted, rejected, a, r in rows)
    assert account(warehouse).broken == ()
    before = contents(warehouse)
    assert load_events(hub, warehouse, found) == LoadReport()
    assert contents(warehouse) == before


def contents(warehouse):
    with warehouse.connect() as con:
        return [con.execute(f"select * from {table} order by all").fetchall() for table in TABLES]


NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def two_days(hub, warehouse, land, view):
    land("a.gz", view("m1"), b"oops")
    land("b.gz", view("m2"), view("m3"), day=NEXT)
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    return warehouse


def change(warehouse, sql):
    with warehouse.connect() as con:
        con.execute(sql)


def test_the_account_tells_the_numbers_of_the_days_asked_for(two_days):
    everything, one = account(two_days), account(two_days, (NEXT, NEXT))
    assert (everything.objects, everything.records, everything.accepted, everything.rejected) == (2, 4, 3, 1)
    assert (one.objects, one.records, one.accepted, one.rejected) == (1, 2, 2, 0)
    assert everything.broken == one.broken == ()


@pytest.mark.parametrize(
    "loss",
    [
        "delete from raw.engagement_events where object_key like '%a.gz'",
        "delete from raw.rejected_records",
        "delete from ops.load_ledger where object_key like '%a.gz'",
        "insert into raw.engagement_events from raw.engagement_events where object_key like '%a.gz'",
    ],
)
def test_a_row_too_few_or_too_many_is_found_on_its_day_and_not_looked_for_on_others(two_days, loss):
    change(two_days, loss)
    assert [row["object_key"][-4:] for row in account(two_days, (DAY, DAY)).broken] == ["a.gz"]
    assert [row["object_key"][-4:] for row in account(two_days).broken] == ["a.gz"]
    assert account(two_days, (NEXT, NEXT)).broken == ()


def test_a_ledger_line_that_does_not_add_up_is_found_whatever_the_days(two_days):
    change(two_days, "update ops.load_ledger set records = 9 where object_key like '%a.gz'")
    assert [row["records"] for row in account(two_days, (NEXT, NEXT)).broken] == [9]


def test_damaged_objects_are_told_on_their_day(hub, warehouse, land):
    key = land("a.gz", gzip.compress(b'{"a":1}' * 50)[:-4], packed=False)
    load_events(hub, warehouse, hub.objects("engagement_events/"))
    assert damaged_objects(warehouse) == damaged_objects(warehouse, (DAY, DAY)) == [f"{key}: truncated gzip"]
    assert damaged_objects(warehouse, (NEXT, NEXT)) == []
