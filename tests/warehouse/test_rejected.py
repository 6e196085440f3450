"""What was rejected is listed, and what a mended rule or a corrected payload accepts is loaded once."""

import gzip
import json
import stat

import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.hub.layout import arrival_of
from recsys_platform.ingestion.arrivals import all_arrivals, loaded_after
from recsys_platform.ingestion.loading import load_events
from recsys_platform.ingestion.quarantine import (
    Corrected,
    Group,
    RevalidationReport,
    correct,
    export,
    groups,
    listing,
    mirror_key,
    mirror_rejected,
    revalidate_rejected,
)
from recsys_platform.ingestion.reconciliation import account
from tests.support.days import DAY

GOOD = '{"messageId":"m9","timestamp":"2026-11-20T05:00:00Z","userId":"u"}'


def rows(warehouse, sql):
    return [tuple(row.values()) for row in warehouse.frame(sql).to_pylist()]


def load(hub, warehouse):
    load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    mirror_rejected(hub, warehouse, "engagement_events/")


@pytest.fixture
def loaded(hub, warehouse, land, view):
    """Key of an object with two accepted and three rejected records, loaded."""
    key = land("a.gz", view("m1"), b'{"oops"', view("", email="a@example.org"), view("m2"), view("m3", userId=None))
    load(hub, warehouse)
    return key


def age(warehouse, key, at, reason):
    """As if an older version had rejected an accepted record for a reason that is none any more."""
    with warehouse.connect() as con:
        con.execute(
            "insert into raw.rejected_records by name select source, object_key, record_index, landed_at, loaded_at,"
            " record::varchar as payload, ? as reason from raw.engagement_events where object_key = ? and record_index = ?",
            [reason, key, at],
        )
        con.execute("delete from raw.engagement_events where object_key = ? and record_index = ?", [key, at])
        con.execute(
            "update ops.load_ledger set accepted = accepted - 1, rejected = rejected + 1 where object_key = ?", [key]
        )


def mirrored(hub, key):
    return [json.loads(line) for line in gzip.decompress(hub.get(mirror_key(key))).splitlines()]


def test_rejected_records_are_grouped_by_gate_source_and_reason(warehouse, loaded):
    assert groups(warehouse) == [
        Group("load", "segment", "no message id", 1, f"{loaded} #2"),
        Group("load", "segment", "no user or anonymous id", 1, f"{loaded} #4"),
        Group("load", "segment", "not JSON: expecting ':' delimiter", 1, f"{loaded} #1"),
    ]
    assert [group.reason for group in groups(warehouse, reason="MESSAGE")] == ["no message id"]
    assert groups(warehouse, gate="contract") == []


def test_invalid_events_of_the_contract_gate_are_listed_beside_them(warehouse, loaded, tmp_path):
    with warehouse.connect() as con:
        con.execute(
            "create table marts.rpt_invalid_events as select object_key, record_index, source, landed_at,"
            " 'book_id_missing' as invalid_reason from raw.engagement_events where record_index = 3"
        )
    assert groups(warehouse)[-1] == Group("contract", "segment", "book_id_missing", 1, f"{loaded} #3")
    assert [row["gate"] for row in listing(warehouse, limit=9)] == ["load", "load", "load", "contract"]
    assert export(warehouse, tmp_path / "c.jsonl", gate="contract") == 1
    assert json.loads(json.loads((tmp_path / "c.jsonl").read_text())["payload"])["messageId"] == "m2"


def test_a_listing_names_records_and_never_shows_what_they_hold(warehouse, loaded):
    found = listing(warehouse, limit=2)
    assert [(row["object_key"], row["record_index"]) for row in found] == [(loaded, 1), (loaded, 2)]
    assert "payload" not in found[0]
    assert "example.org" not in str(listing(warehouse, limit=9))


def test_an_export_holds_payloads_is_for_its_owner_only_and_overwrites_nothing(warehouse, loaded, tmp_path):
    file = tmp_path / "rejected.jsonl"
    assert export(warehouse, file, reason="no message") == 1
    line = json.loads(file.read_text())
    assert "a@example.org" in line.pop("payload")
    assert line == {
        "gate": "load",
        "source": "segment",
        "reason": "no message id",
        "object_key": loaded,
        "record_index": 2,
    }
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="is there already"):
        export(warehouse, file)


def test_the_hub_mirrors_rejected_records_with_their_reasons(hub, warehouse, loaded):
    assert [(line["record_index"], line["reason"]) for line in mirrored(hub, loaded)] == [
        (1, "not JSON: expecting ':' delimiter"),
        (2, "no message id"),
        (4, "no user or anonymous id"),
    ]
    assert mirrored(hub, loaded)[0]["payload"] == '{"oops"'
    assert mirror_rejected(hub, warehouse, "engagement_events/") == 0


def test_a_line_of_the_mirror_is_json_as_it_is_written_elsewhere(hub, warehouse, land):
    odd = '"\\ \x01 é 😀 \u2028'
    key = land("a.gz", odd.encode() + b"\n")
    load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    mirror_rejected(hub, warehouse, "engagement_events/")
    text = gzip.decompress(hub.get(mirror_key(key))).decode()
    assert [line + "\n" for line in text.split("\n")[:-1]] == [
        f"{json.dumps(line, ensure_ascii=False)}\n" for line in mirrored(hub, key)
    ]
    assert [line["payload"] for line in mirrored(hub, key)] == [odd]


@pytest.mark.parametrize("left_behind", [None, b""])
def test_a_mirror_that_a_crash_left_in_arrears_is_written_by_the_next_load_of_its_day(
    hub, warehouse, loaded, left_behind
):
    complete = hub.get(mirror_key(loaded))
    hub.path(mirror_key(loaded)).unlink()
    if left_behind is not None:
        hub.put(mirror_key(loaded), left_behind)
    assert mirror_rejected(hub, warehouse, f"engagement_events/source=segment/{DAY:%Y/%m/%d}/") == 1
    assert hub.get(mirror_key(loaded)) == complete


def test_what_the_present_rules_accept_moves_once_and_is_news(hub, warehouse, loaded):
    before = rows(warehouse, "from raw.engagement_events where record_index = 0")[0]
    age(warehouse, loaded, 0, "no book id")
    [(last,)] = rows(warehouse, "select max(loaded_at) from ops.load_ledger")
    report = revalidate_rejected(hub, warehouse)
    assert report == RevalidationReport(moved=1, renamed=0, kept=3)
    after = rows(warehouse, "from raw.engagement_events where record_index = 0")[0]
    assert (after[:4], after[5]) == (before[:4], before[5])
    assert after[4] > last
    assert loaded_after(warehouse, last) == [DAY]
    assert rows(warehouse, "select records, accepted, rejected from ops.load_ledger") == [(5, 2, 3)]
    assert account(warehouse).broken == ()
    assert [line["record_index"] for line in mirrored(hub, loaded)] == [1, 2, 4]
    assert revalidate_rejected(hub, warehouse) == RevalidationReport(moved=0, renamed=0, kept=3)
    assert len(rows(warehouse, "from raw.engagement_events")) == 2


def test_only_records_of_the_reason_asked_for_are_judged_again(hub, warehouse, loaded):
    age(warehouse, loaded, 0, "no book id")
    age(warehouse, loaded, 3, "no price")
    assert revalidate_rejected(hub, warehouse, reason="Book ID") == RevalidationReport(moved=1)
    assert [group.reason for group in groups(warehouse, reason="price")] == ["no price"]


def test_a_record_that_is_rejected_for_another_reason_now_gets_it(hub, warehouse, loaded):
    with warehouse.connect() as con:
        con.execute("update raw.rejected_records set reason = 'no message' where record_index = 2")
    assert revalidate_rejected(hub, warehouse) == RevalidationReport(moved=0, renamed=1, kept=2)
    assert mirrored(hub, loaded)[1]["reason"] == "no message id"


@pytest.mark.parametrize("reason", ["truncated gzip", "damaged gzip: invalid block type", "not UTF-8"])
def test_damaged_bytes_stay_rejected_whatever_the_rules(hub, warehouse, loaded, reason):
    age(warehouse, loaded, 0, reason)
    assert revalidate_rejected(hub, warehouse).moved == 0
    assert groups(warehouse, reason=reason)[0].records == 1


def corrections(tmp_path, warehouse, change, name="c.jsonl"):
    """An exported file with some payloads changed."""
    file = tmp_path / name
    export(warehouse, file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line["payload"] = change.get(line["record_index"], line["payload"])
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def everything(hub, warehouse):
    with warehouse.connect() as con:
        tables = [
            con.execute(f"from {table} order by all").fetchall()
            for table in ("raw.engagement_events", "raw.rejected_records", "ops.load_ledger")
        ]
    return tables, [(item.key, hub.get(item.key)) for item in hub.objects("")]


def test_corrected_payloads_land_in_new_objects_of_the_same_hour_and_load_once(hub, warehouse, loaded, tmp_path):
    file = corrections(tmp_path, warehouse, {1: GOOD, 4: json.loads(GOOD)})
    assert correct(hub, warehouse, file) == Corrected(corrected=2, unchanged=1, done_before=0, refused=())
    new = [item.key for item in hub.objects("engagement_events/") if item.key != loaded]
    assert [arrival_of(key) for key in new] == [arrival_of(loaded)] * 2
    sql = "select record ->> '$.messageId', object_key from raw.engagement_events order by 2"
    assert [row for row in rows(warehouse, sql) if row[1] in new] == [("m9", key) for key in sorted(new)]
    marked = dict(rows(warehouse, "select record_index, corrected_by from raw.rejected_records"))
    assert marked.pop(2) is None
    assert sorted(marked.values()) == sorted(new)
    assert [group.reason for group in groups(warehouse)] == ["no message id"]
    assert [line["record_index"] for line in mirrored(hub, loaded)] == [2]
    assert account(warehouse).broken == ()
    before = everything(hub, warehouse)
    assert correct(hub, warehouse, file) == Corrected(corrected=0, unchanged=1, done_before=2, refused=())
    assert everything(hub, warehouse) == before


def test_a_record_that_was_corrected_before_a_crash_is_not_corrected_again_by_an_edited_file(
    hub, warehouse, loaded, tmp_path
):
    file = corrections(tmp_path, warehouse, {1: GOOD})
    correct(hub, warehouse, file)
    file.unlink()
    with warehouse.connect() as con:  # died before the marks
        con.execute("update raw.rejected_records set corrected_by = null")
    edited = {**json.loads(GOOD), "messageId": "m10"}
    correct(hub, warehouse, corrections(tmp_path, warehouse, {1: edited, 4: edited}))
    sql = (
        "select record ->> '$.messageId' from raw.engagement_events where contains(object_key, 'corrected-') order by 1"
    )
    assert rows(warehouse, sql) == [("m10",), ("m9",)]


def test_a_correction_that_died_half_way_is_finished_by_the_same_file(hub, warehouse, loaded, tmp_path, monkeypatch):
    file = corrections(tmp_path, warehouse, {1: GOOD})
    correct(hub, warehouse, file)
    complete, objects = everything(hub, warehouse)
    with warehouse.connect() as con:  # died before the marks
        con.execute("update raw.rejected_records set corrected_by = null")
    assert correct(hub, warehouse, file).corrected == 1
    assert everything(hub, warehouse) == (complete, objects)
    with warehouse.connect() as con:  # died before the load
        con.execute("update raw.rejected_records set corrected_by = null")
        for table in ("raw.engagement_events", "ops.load_ledger"):
            con.execute(f"delete from {table} where object_key like '%corrected%'")
    assert correct(hub, warehouse, file).corrected == 1
    assert everything(hub, warehouse)[1] == objects
    assert [row[:3] for row in everything(hub, warehouse)[0][0]] == [row[:3] for row in complete[0]]


def test_a_correction_that_would_be_rejected_again_is_told_and_does_not_land(hub, warehouse, loaded, tmp_path):
    file = corrections(tmp_path, warehouse, {1: "{}", 2: GOOD + GOOD, 4: GOOD})
    done = correct(hub, warehouse, file)
    assert done.corrected == 1
    assert done.refused == (
        "line 1: still rejected, no message id",
        "line 2: still rejected, not JSON: the warehouse cannot read it",
    )
    assert [group.reason for group in groups(warehouse)] == ["no message id", "not JSON: expecting ':' delimiter"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("oops", "Line 1 of .* is not a line of"),
        ('{"object_key": "k", "record_index": 0}', "Line 1 of .* is not a line of"),
        ('{"object_key": "k", "record_index": 0, "payload": "{}"}', "there is no record 0 of k"),
        ('{"gate": "contract", "object_key": "k", "record_index": 0, "payload": "{}"}', "of the contract gate"),
        ('{"object_key": "k", "record_index": 0, "payload": "{}"}\n' * 2, "names a record twice"),
    ],
)
def test_a_file_that_is_no_export_is_refused_in_one_sentence(hub, warehouse, loaded, tmp_path, line, message):
    file = tmp_path / "c.jsonl"
    file.write_text(line)
    before = everything(hub, warehouse)
    with pytest.raises(InputError, match=message):
        correct(hub, warehouse, file)
    assert everything(hub, warehouse) == before


def test_a_warehouse_of_an_older_version_gets_the_new_column(warehouse, loaded):
    with warehouse.connect() as con:
        con.execute("alter table raw.rejected_records drop column corrected_by")
    warehouse.prepare()
    assert len(groups(warehouse)) == 3
