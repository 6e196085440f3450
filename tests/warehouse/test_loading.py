import datetime as dt
import gzip
import json
import shutil
import threading

import pytest

from recsys_platform.common.errors import HubError, InputError, SaltError, WarehouseError
from recsys_platform.hub.layout import attributes_prefix
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.arrivals import Arrivals, all_arrivals, arrivals, by_day, new_snapshots
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.port import LoadReport
from recsys_platform.warehouse.salt import fingerprint
from tests.support.days import DAY


def load(hub, warehouse, day=DAY):
    return load_events(hub, warehouse, arrivals(hub, warehouse, day).new)


def rows(warehouse, sql):
    return [tuple(row.values()) for row in warehouse.frame(sql).to_pylist()]


def test_records_are_numbered_in_the_order_in_which_they_stand(hub, warehouse, land, view):
    land("a.gz", *(view(f"m{n}") for n in range(5000)))
    land("b.gz", *(view(f"n{n}") for n in range(3)))
    assert load(hub, warehouse) == LoadReport(objects=2, records=5003, accepted=5003, rejected=0)
    wrong = "select record_index from raw.engagement_events where record ->> '$.messageId' <> object_key[-4:-4] || record_index"
    assert rows(warehouse, "select max(record_index) from raw.engagement_events") == [(4999,)]
    assert rows(warehouse, wrong.replace("object_key[-4:-4]", "if(object_key like '%a.gz', 'm', 'n')")) == []


def test_the_same_day_again_loads_nothing(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    load(hub, warehouse)
    assert load(hub, warehouse) == LoadReport()


def test_only_objects_that_the_ledger_does_not_know_are_loaded(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    load(hub, warehouse)
    land("b.gz", view("m2"), hour=6)
    assert load(hub, warehouse).records == 1
    assert rows(warehouse, "select count(*) from raw.engagement_events") == [(2,)]


def test_every_load_is_later_than_the_one_before(hub, warehouse, land, view):
    for number in range(4):
        land(f"{number}.gz", view(f"m{number}"))
        load(hub, warehouse)
    assert rows(warehouse, "select count(distinct loaded_at) from ops.load_ledger") == [(4,)]


def test_a_record_without_id_time_or_user_is_rejected_with_its_reason(hub, warehouse, land, view):
    land("a.gz", view(""), view("m", timestamp=None), view("m", userId=None), view("m", userId=None, anonymousId="x"))
    report = load(hub, warehouse)
    assert (report.accepted, report.rejected) == (1, 3)
    found = rows(warehouse, "select record_index, reason from raw.rejected_records order by 1")
    assert found == [(0, "no message id"), (1, "no timestamp"), (2, "no user or anonymous id")]


def test_older_trackers_have_their_own_envelope(hub, warehouse, land):
    pinpoint = {"event_type": "book_viewed", "event_timestamp": 1, "client": {"client_id": "c"}}
    land("p.gz", pinpoint, pinpoint | {"client": {}}, source="pinpoint")
    matomo = {"idsite": "1", "cdt": "1", "_id": "v"}
    land("m.gz", matomo, matomo | {"cdt": ""}, {"idsite": "1", "cdt": "1"}, source="matomo")
    assert (load(hub, warehouse).accepted, rows(warehouse, "select reason from raw.rejected_records order by 1")) == (
        2,
        [("no client or user id",), ("no timestamp (cdt)",), ("no user or visitor id (uid, _id, cid)",)],
    )


def test_a_damaged_object_costs_no_other_object_anything(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    land(
        "broken.gz",
        gzip.compress(b"\n".join(json.dumps(view(f"x{n}")).encode() for n in range(3000)))[:-900],
        packed=False,
    )
    land("c.gz", view("m2"), b"no json", view("m3"))
    land("plain", view("m4"), packed=False)
    land("empty.gz", packed=False)
    report = load(hub, warehouse)
    assert report.objects == 5
    assert report.records == report.accepted + report.rejected
    assert report.rejected == 2
    assert rows(warehouse, "select reason from raw.rejected_records order by 1") == [
        ("not JSON: expecting value",),
        ("truncated gzip",),
    ]
    assert rows(warehouse, "select records from ops.load_ledger where object_key like '%empty.gz'") == [(0,)]


def test_a_character_cut_in_half_costs_one_record(hub, warehouse, land, view):
    land("a.gz", view("m1"), rb'{"messageId":"m2","timestamp":"t","userId":"\ud83d"}', view("m3"))
    assert (load(hub, warehouse).accepted, rows(warehouse, "select reason from raw.rejected_records")) == (
        2,
        [("not JSON: half a character (an unpaired \\u surrogate)",)],
    )


def test_names_with_wildcards_are_names(hub, warehouse, land, view):
    for name in ("a*.gz", "ab.gz", "[a]?.gz"):
        land(name, view(name))
    assert load(hub, warehouse).records == 3
    assert rows(warehouse, "select count(distinct object_key) from raw.engagement_events") == [(3,)]


def test_a_load_that_fails_half_way_leaves_nothing_behind(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    vanished = land("b.gz", view("m2"))
    found = arrivals(hub, warehouse, DAY).new
    hub.path(vanished).unlink()
    with pytest.raises(HubError, match=r"Cannot read .*b\.gz"):
        load_events(hub, warehouse, found)
    counts = "select (select count(*) from raw.engagement_events), (select count(*) from ops.load_ledger)"
    assert rows(warehouse, counts) == [(0, 0)]
    assert load(hub, warehouse).accepted == 1


def test_a_loaded_object_that_changes_is_named_and_not_loaded_again(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    load(hub, warehouse)
    key = land("a.gz", view("m1"), view("m2"))
    found = arrivals(hub, warehouse, DAY)
    assert ([item.key for item in found.changed], found.new) == ([key], ())


def test_a_copied_world_has_nothing_new_and_nothing_changed(hub, warehouse, land, view, tmp_path):
    land("a.gz", view("m1"))
    land("b.gz", view("m2"))
    load(hub, warehouse)
    shutil.copytree(hub.root, tmp_path / "copy", copy_function=shutil.copyfile)
    assert arrivals(FolderHub(tmp_path / "copy"), warehouse, DAY) == Arrivals()


def test_what_an_older_version_loaded_has_not_changed_unless_its_size_has(hub, warehouse, land, view):
    """It noted the time of the last change, in nanoseconds and hexadecimal, where a hash stands now."""
    same, grown = land("a.gz", view("m1")), land("b.gz", view("m2"))
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": "b1"}])
    load(hub, warehouse)
    load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(attributes_prefix("book_attributes", DAY)))
    with warehouse.connect() as con:
        con.execute("update ops.load_ledger set etag = printf('%x', size_bytes) || '-18b2f0d5a1c3e400'")
    land("b.gz", view("m2"), view("m3"))
    found = arrivals(hub, warehouse, DAY)
    assert (found.new, [item.key for item in found.changed]) == ((), [grown])
    assert new_snapshots(hub, warehouse, "book_attributes") == []
    with warehouse.connect() as con:
        con.execute("update ops.load_ledger set etag = printf('%x', size_bytes) || '-' || repeat('0', 32)")
    assert same in [item.key for item in arrivals(hub, warehouse, DAY).changed]


def test_days_with_news_are_found_and_strange_keys_are_told(hub, warehouse, land, view):
    land("a.gz", view("m1"))
    land("b.gz", view("m2"), day=DAY + dt.timedelta(days=1))
    load(hub, warehouse)
    assert list(by_day(all_arrivals(hub, warehouse).new)) == [DAY + dt.timedelta(days=1)]
    hub.put("engagement_events/source=segment/oops.gz", b"")
    found = all_arrivals(hub, warehouse)
    assert list(by_day(found.new)) == [DAY + dt.timedelta(days=1)]
    assert found.strangers == ("engagement_events/source=segment/oops.gz",)


def test_ids_of_a_snapshot_are_trimmed(hub, warehouse):
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": " b1\u00a0"}, {"book_id": "b2\t\u3000"}, {"book_id": 3}])
    load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(attributes_prefix("book_attributes", DAY)))
    assert rows(warehouse, "select book_id from raw.book_attributes order by 1") == [("3",), ("b1",), ("b2",)]


def test_a_snapshot_is_replaced_whole(hub, warehouse):
    for names in (["b1", "b2"], ["b2", "b3", "b4"]):
        store_snapshot(hub, "book_attributes", DAY, [{"book_id": name} for name in names])
        assert new_snapshots(hub, warehouse, "book_attributes") == [DAY]
        load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(attributes_prefix("book_attributes", DAY)))
    assert rows(warehouse, "select book_id from raw.book_attributes order by 1") == [("b2",), ("b3",), ("b4",)]
    assert new_snapshots(hub, warehouse, "book_attributes") == []


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"book_id": "b1"}, {"book_id": "b1"}], "book_id b1 2 times"),
        ([{"title": "x"}], "1 records without book_id"),
        *(([{"book_id": word}], "which names nobody and nothing") for word in ("undefined", "${id}", "\u3000Null")),
        *(([{"book_id": each}], "neither text nor a whole number") for each in (["b1"], {"id": "b1"}, True, 1.5)),
    ],
)
def test_a_snapshot_with_bad_ids_is_refused_and_the_one_before_stays(hub, warehouse, records, message):
    store_snapshot(hub, "book_attributes", DAY, [{"book_id": "b0"}])
    load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(attributes_prefix("book_attributes", DAY)))
    store_snapshot(hub, "book_attributes", DAY, records)
    with pytest.raises(InputError, match=message):
        load_snapshot(hub, warehouse, "book_attributes", DAY, hub.objects(attributes_prefix("book_attributes", DAY)))
    assert rows(warehouse, "select book_id from raw.book_attributes") == [("b0",)]


def test_a_warehouse_that_is_not_there_or_not_duckdb_is_said_in_one_sentence(tmp_path):
    with pytest.raises(WarehouseError, match="There is no warehouse at"):
        DuckDBWarehouse(tmp_path / "none.duckdb").frame("select 1")
    (tmp_path / "text.duckdb").write_text("hello, this is no database" * 100)
    with pytest.raises(WarehouseError, match="cannot be opened"):
        DuckDBWarehouse(tmp_path / "text.duckdb").frame("select 1")


def test_a_gzip_with_another_checksum_is_told_as_damaged(hub, warehouse, land, view):
    key = land("a.gz", view("m1"), view("m2"))
    packed = bytearray(hub.get(key))
    packed[-8] ^= 1
    hub.put(key, bytes(packed))
    report = load_events(hub, warehouse, hub.objects("engagement_events/"))
    assert (report.accepted, report.rejected) == (2, 1)
    [(reason,)] = warehouse.frame("select reason from raw.rejected_records").to_pandas().itertuples(index=False)
    assert reason.startswith("damaged gzip")


def test_a_warehouse_makes_up_a_salt_and_keeps_it_until_another_replaces_it_on_purpose(warehouse):
    def kept() -> str:
        [(salt,)] = rows(warehouse, "select salt from raw.pii_salt")
        return salt

    assert not warehouse.ensure_salt(None)
    first = kept()
    assert len(first) == 64
    assert not warehouse.ensure_salt(None)
    assert kept() == first
    with pytest.raises(
        SaltError, match=f"but hashes of this warehouse are made with the salt {fingerprint(first)}:"
    ) as told:
        warehouse.ensure_salt("a salt that was set by somebody")
    assert first not in str(told.value)
    assert kept() == first
    assert warehouse.ensure_salt("a salt that was set by somebody", replace=True)
    assert not warehouse.ensure_salt(None)
    assert not warehouse.ensure_salt("a salt that was set by somebody")
    assert kept() == "a salt that was set by somebody"


def test_a_load_that_is_given_up_says_why_and_leaves_no_thread(hub, warehouse, land, view):
    for hour in range(6):
        land(f"{hour}.gz", *(view(f"{hour}-{n}") for n in range(2000)))

    def stop(done: int, total: int) -> None:
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        load_events(hub, warehouse, arrivals(hub, warehouse, DAY).new, chunk_objects=1, progress=stop)
    assert [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name] == []
