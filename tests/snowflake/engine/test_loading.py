"""Loads on Snowflake: the same verdicts, ledger and account as on DuckDB, each object once."""

import datetime as dt
import gzip
import json

import pyarrow as pa
import pytest

from recsys_platform.common.errors import InputError, SaltError, WarehouseError
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.arrivals import arrivals
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.ingestion.quarantine import correct, export, groups, revalidate_rejected
from recsys_platform.ingestion.reconciliation import account
from recsys_platform.ingestion.revalidation import revalidate
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.port import UNREADABLE
from recsys_platform.warehouse.queries import row_counts
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse
from tests.support.days import DAY
from tests.support.snowflake.loads import OBJECTS, state


@pytest.fixture
def on_a_laptop(tmp_path) -> DuckDBWarehouse:
    made = DuckDBWarehouse(tmp_path / "laptop.duckdb")
    made.prepare()
    return made


def test_a_load_gives_the_tables_that_it_gives_on_duckdb(
    hub: Hub, warehouse: SnowflakeWarehouse, on_a_laptop: DuckDBWarehouse, land, view
) -> None:
    land("good.gz", view("m1"), view("m2", user="ü", note="it's"))
    land("bad.gz", view("m3"), b"oops", b'{"messageId":"m4"}', b'["m5"]', b'{"messageId":"\xff"}')
    land("cut.gz", gzip.compress(json.dumps(view("m6")).encode() + b"\n" + b"x" * 200)[:-12], packed=False)
    land("empty.gz")
    land(
        "pin.gz",
        {"event_type": "_session.start", "event_timestamp": 1, "client": {"client_id": "c"}},
        source="pinpoint",
    )
    for each in (warehouse, on_a_laptop):
        report = load_events(hub, each, hub.objects(OBJECTS))
        assert report.records == report.accepted + report.rejected
    assert state(warehouse) == state(on_a_laptop)
    assert account(warehouse).broken == ()
    assert account(warehouse).records == account(on_a_laptop).records > 8


def test_objects_are_loaded_once_however_often_they_are_asked_for(
    hub: Hub, warehouse: SnowflakeWarehouse, land, view
) -> None:
    land("a.gz", view("m1"))
    objects = hub.objects(OBJECTS)
    assert load_events(hub, warehouse, [*objects, *objects]).objects == 1
    assert load_events(hub, warehouse, objects).objects == 0
    assert arrivals(hub, warehouse, DAY).new == ()
    land("b.gz", view("m2"))
    assert load_events(hub, warehouse, hub.objects(OBJECTS)).records == 1
    assert [row["loaded_at"] for row in warehouse.frame("select loaded_at from ops.load_ledger").to_pylist()] == sorted(
        {row["loaded_at"] for row in warehouse.frame("select loaded_at from raw.engagement_events").to_pylist()}
    )


def test_what_only_duckdb_reads_is_rejected_there_and_stays_so(
    hub: Hub, warehouse: SnowflakeWarehouse, land, view
) -> None:
    comma_too_many = json.dumps(view("m1")).encode()[:-1] + b",}"
    land("a.gz", comma_too_many, view("m2"))
    report = load_events(hub, warehouse, hub.objects(OBJECTS))
    assert (report.records, report.accepted, report.rejected) == (2, 1, 1)
    assert [(group.reason, group.records) for group in groups(warehouse)] == [(UNREADABLE, 1)]
    assert account(warehouse).broken == ()
    assert len(revalidate(warehouse).changed) == 0
    assert revalidate_rejected(hub, warehouse).moved == 0


def test_a_turn_that_nobody_can_take_stops_a_writer(hub: Hub, warehouse: SnowflakeWarehouse, land, view) -> None:
    land("a.gz", view("m1"))
    with warehouse.connect() as session:
        session.execute("delete from ops.turns")
    with pytest.raises(WarehouseError, match=r"^ops\.turns has 0 rows and not one"):
        load_events(hub, warehouse, hub.objects(OBJECTS))
    assert warehouse.ledger(OBJECTS) == {}


def test_arrays_leave_as_lists_of_texts(warehouse: SnowflakeWarehouse) -> None:
    found = warehouse.frame(
        'select parse_json(\'[1, "a", null, {"b": 2}]\') as mixed, parse_json(\'{"a": 1}\') as other'
    )
    assert found.to_pylist() == [{"mixed": ["1", "a", None, '{"b":2}'], "other": '{"a":1}'}]


def test_nothing_is_left_in_the_hub_of_tables_on_their_way(hub: Hub, warehouse: SnowflakeWarehouse, land, view) -> None:
    land("a.gz", view("m1"))
    load_events(hub, warehouse, hub.objects(OBJECTS))
    assert hub.objects("loading/") == []


@pytest.mark.slow
def test_corrected_records_are_loaded_and_rules_that_changed_are_applied_as_on_duckdb(
    hub: Hub, warehouse: SnowflakeWarehouse, land, view, tmp_path
) -> None:
    land("a.gz", view("m1"), b"oops", b'{"messageId":"m2"}')
    load_events(hub, warehouse, hub.objects(OBJECTS))
    with warehouse.connect() as session:  # as if rejected by a rule that is gone
        session.execute(
            "update raw.rejected_records set payload = ?, reason = 'an old rule' where record_index = 2",
            [json.dumps(view("m2"))],
        )
    assert {group.reason for group in groups(warehouse)} == {"an old rule", "not JSON: expecting value"}
    report = revalidate_rejected(hub, warehouse)
    assert (report.moved, report.kept) == (1, 1)
    assert revalidate_rejected(hub, warehouse).moved == 0
    file = tmp_path / "wrong.jsonl"
    assert export(warehouse, file) == 1
    line = json.loads(file.read_text())
    file.write_text(json.dumps(line | {"payload": json.dumps(view("m3"))}))
    assert correct(hub, warehouse, file).corrected == 1
    assert correct(hub, warehouse, file).done_before == 1
    records = warehouse.frame("select record from raw.engagement_events").to_pylist()
    assert sorted(json.loads(row["record"])["messageId"] for row in records) == ["m1", "m2", "m3"]
    assert account(warehouse).broken == ()
    assert groups(warehouse) == []


def test_a_snapshot_replaces_its_day_whole_or_not_at_all(hub: Hub, warehouse: SnowflakeWarehouse) -> None:
    def deliver(*books: dict[str, str]) -> None:
        lines = "".join(json.dumps(book) + "\n" for book in books)
        hub.put(f"book_attributes/dt={DAY}/part-0.json.gz", gzip.compress(lines.encode(), mtime=0))

    def load() -> int:
        return load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(f"book_attributes/dt={DAY}/")).records

    deliver({"book_id": "b1"}, {"book_id": "b2"})
    assert load() == 2
    deliver({"book_id": "b3"})
    assert load() == 1
    deliver({"book_id": "b4"}, {"book_id": "b4"})
    with pytest.raises(InputError, match="holds book_id b4 2 times"):
        load()
    found = warehouse.frame("select snapshot_date, book_id from raw.book_attributes").to_pylist()
    assert found == [{"snapshot_date": DAY, "book_id": "b3"}]


def test_a_salt_is_kept_and_another_one_is_refused_but_on_purpose(warehouse: SnowflakeWarehouse) -> None:
    assert warehouse.salt_fingerprint() is None
    assert not warehouse.ensure_salt(None)
    assert not warehouse.ensure_salt(None)
    first = warehouse.salt_fingerprint()
    with pytest.raises(SaltError, match=f"made with the salt {first}:"):
        warehouse.ensure_salt("another salt of ours")
    assert warehouse.salt_fingerprint() == first
    assert warehouse.ensure_salt("another salt of ours", replace=True)
    assert not warehouse.ensure_salt("another salt of ours")
    assert row_counts(warehouse, ["raw.pii_salt", "marts.nothing"]) == {"raw.pii_salt": 1}


def test_rows_take_the_place_of_those_with_their_key(warehouse: SnowflakeWarehouse) -> None:
    row = {
        "data_hash": "h", "evaluated_at": dt.datetime(2026, 11, 20), "model": "m", "segment": "all", "metric": "ndcg",
        "k": 10, "users": 3, "value": 0.5, "low": None, "high": 1.0,
    }  # fmt: skip
    for value in (0.5, 0.25):
        rows = pa.Table.from_pylist([row | {"value": value}])
        warehouse.replace_rows("ops.model_evaluations", rows, key="data_hash", values=["h"])
    assert [found["value"] for found in warehouse.frame("select * from ops.model_evaluations").to_pylist()] == [0.25]
    warehouse.replace_rows("ops.model_evaluations", None, key="data_hash", values=["other"])
    assert row_counts(warehouse, ["ops.model_evaluations"]) == {"ops.model_evaluations": 1}
    warehouse.replace_rows("ops.model_evaluations", None, key="data_hash", values=["other", "h"])
    assert row_counts(warehouse, ["ops.model_evaluations"]) == {"ops.model_evaluations": 0}
