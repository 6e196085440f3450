"""The catalog finds every table of the hub, from landing objects and from Parquet."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_platform.catalog import discovery
from recsys_platform.catalog.discovery import event_name, find_strays, find_tables
from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.tables import LocalCatalog, Partition
from recsys_platform.common.errors import HubError
from recsys_platform.hub.curated import days_of_table, put_day
from tests.support.catalog_records import BOOKS, FRIDAY, SEGMENT, books, day, said, shares, shelf, table


def test_every_landing_and_curated_table_is_found(hub, land, view):
    land("a.gz", view("m1"))
    land("b.gz", {"idsite": 1, "e_c": "Book", "e_a": "Viewed"}, source="matomo")
    books(hub, FRIDAY, *shelf(1))
    put_day(hub, "dim_books", FRIDAY, pa.table({"book_id": ["b1"]}))
    assert [each.name for each in find_tables(hub)] == [
        SEGMENT,
        "landing/engagement_events_matomo",
        BOOKS,
        "curated/dim_books",
    ]


def test_an_empty_hub_has_no_tables(hub):
    assert record_tables(hub, LocalCatalog(hub)) == []


def test_partitions_are_the_days_with_their_objects_and_bytes(hub, land, view):
    keys = [
        land("a.gz", view("m1")),
        land("b.gz", view("m2"), hour=23),
        land("c", view("m3"), day=day(2), packed=False),
    ]
    sizes = [len(hub.get(key)) for key in keys]
    found = table(hub, SEGMENT)
    assert found.partitions == (Partition(FRIDAY, 2, sizes[0] + sizes[1]), Partition(day(2), 1, sizes[2]))
    assert (found.objects, found.size_bytes) == (3, sum(sizes))
    assert found.location == "engagement_events/source=segment/"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("between", [b"", b"\n"])
def test_fields_are_discovered_however_the_records_are_framed(hub, land, view, packed, between):
    content = between.join(json.dumps(view(f"m{n}", rating=n)).encode() for n in range(4))
    land("a.gz", content, packed=packed)
    found = table(hub, SEGMENT)
    assert found.sample.records == 4
    assert found.columns == {
        "event": "string",
        "messageId": "string",
        "properties": "struct<book_id:string>",
        "rating": "bigint",
        "timestamp": "string",
        "type": "string",
        "userId": "string",
    }


def test_a_field_tells_the_share_of_records_that_have_it(hub, land, view):
    land("a.gz", view("m1", traits={"plan": "x"}), view("m2"), view("m3"), view("m4"))
    found = shares(table(hub, SEGMENT))
    assert (found["messageId"], found["traits.plan"]) == (1.0, 0.25)


def test_a_damaged_object_tells_what_can_be_read_of_it(hub, land, view):
    key = land("a.gz", *(view(f"m{n}") for n in range(500)))
    hub.put(key, hub.get(key)[:-100])
    assert 0 < table(hub, SEGMENT).sample.records < 500


def test_events_are_named_with_the_fields_that_only_some_have(hub, land, view):
    rated = view("m3", event="Book Rated") | {"properties": {"book_id": "b1", "rating": 5}}
    land("a.gz", view("m1"), view("m2"), rated)
    events = [(each.name, each.records, each.fields) for each in table(hub, SEGMENT).events]
    assert events == [("Book Viewed", 2, ()), ("Book Rated", 1, ("properties.rating",))]


@pytest.mark.parametrize(
    ("source", "record", "name"),
    [
        ("segment", {"type": "track", "event": "Book Viewed"}, "Book Viewed"),
        ("segment", {"type": "Identify", "event": "no"}, "identify"),
        ("segment", {"type": "track", "event": {"email": "x"}}, ""),
        ("pinpoint", {"event_type": "_session.start"}, "_session.start"),
        ("matomo", {"e_c": "Book", "e_a": "Viewed"}, "Book Viewed"),
        ("matomo", {"search": "ada"}, "Site Search"),
        ("segment", {"event": "Book Viewed"}, "Book Viewed"),
        ("matomo", {"e_c": "Book"}, "Book"),
        ("matomo", {"idgoal": 7, "revenue": 3}, "Goal 7"),
        ("matomo", {"download": "https://app.example/a.pdf"}, "Download"),
        ("matomo", {"link": "https://store.example/"}, "Outlink"),
        ("matomo", {"ping": 1}, "Ping"),
        ("matomo", {"action_name": "Home of Ada"}, "Page View"),
        ("", {"type": "track", "event": "x"}, ""),
    ],
)
def test_an_event_is_called_what_its_tracker_calls_it(source, record, name):
    assert event_name(source, record) == name


def test_a_few_objects_are_read_spread_over_all_with_the_newest(hub, land, view, monkeypatch):
    monkeypatch.setattr(discovery, "SAMPLE_OBJECTS", 4)
    for number in range(20):
        land(f"{number:02}.gz", view(f"m{number}", **{f"only_{number:02}": 1}))
    found = [path for path in shares(table(hub, SEGMENT)) if path.startswith("only")]
    assert found == ["only_04", "only_09", "only_14", "only_19"]


def test_days_are_added_until_there_is_enough_to_choose_from(hub, land, view, monkeypatch):
    monkeypatch.setattr(discovery, "SPREAD_OVER", 3)
    for number in range(5):
        land("a.gz", view(f"m{number}"), day=day(number))
    sample = table(hub, SEGMENT).sample
    assert (sample.first, sample.last, sample.records) == (day(2), day(4), 3)


def test_of_an_object_only_the_first_records_are_read(hub, land, view, monkeypatch):
    monkeypatch.setattr(discovery, "SAMPLE_RECORDS", 10)
    land("a.gz", *(view(f"m{n}") for n in range(100)))
    assert table(hub, SEGMENT).sample.records == 10


def test_bytes_are_capped_and_what_is_cut_in_two_is_not_taken_for_a_record(hub, land, monkeypatch):
    monkeypatch.setattr(discovery, "SAMPLE_BYTES", 300)
    long = {"type": "track", "event": "e", "messageId": "m2", "items": [{"inner": 1}, {"inner": 2}] * 30}
    pretty = json.dumps(long, indent=1).encode()
    land("a", json.dumps({"type": "track", "event": "e", "messageId": "m1"}).encode(), pretty, packed=False)
    found = table(hub, SEGMENT)
    assert found.sample.records == 1
    assert "inner" not in shares(found)


def test_of_attributes_the_newest_snapshot_is_read(hub):
    books(hub, FRIDAY, *shelf(3, old=1))
    books(hub, day(1), *shelf(5))
    found = table(hub, BOOKS)
    assert found.sample.records == 5
    assert "old" not in shares(found)
    assert [each.day for each in found.partitions] == [FRIDAY, day(1)]


def test_parquet_tells_its_types_and_what_its_footers_hold(hub):
    rows = pa.table(
        {
            "user_id": ["u1", None],
            "rating": [1.5, 4.0],
            "events": pa.array([3, 7], pa.int32()),
            "at": pa.array([dt.datetime(2026, 11, 20), dt.datetime(2026, 11, 21)], pa.timestamp("us")),
            "price": pa.array([None, None], pa.decimal128(18, 4)),
            "tags": [["a"], ["b"]],
        }
    )
    put_day(hub, "t", FRIDAY, rows)
    found = table(hub, "curated/t")
    assert found.columns == {
        "user_id": "string",
        "rating": "double",
        "events": "int",
        "at": "timestamp",
        "price": "decimal(18,4)",
        "tags": "array<string>",
    }
    figures = {each.path: (each.share, each.minimum, each.maximum) for each in found.fields}
    assert figures["rating"] == (1.0, "1.5", "4.0")
    assert figures["at"] == (1.0, "2026-11-20 00:00:00", "2026-11-21 00:00:00")
    assert figures["user_id"] == (0.5, None, None)
    assert figures["price"] == (0.0, None, None)


def test_a_column_that_left_parquet_is_told_at_once_even_of_one_row(hub):
    put_day(hub, "t", FRIDAY, pa.table({"a": [1], "b": [1]}))
    said(hub)
    put_day(hub, "t", day(1), pa.table({"a": ["1"], "c": [1]}))
    assert said(hub) == ["curated/t: added: c; removed: b; retyped: a (bigint, now string)"]


def test_the_newest_parquet_file_says_what_the_columns_are(hub):
    put_day(hub, "t", FRIDAY, pa.table({"old": [1], "a": [1]}))
    put_day(hub, "t", day(1), pa.table({"a": [5]}))
    found = table(hub, "curated/t")
    assert [each.path for each in found.fields] == ["a"]
    assert (found.fields[0].minimum, found.fields[0].maximum, found.sample.records) == ("1", "5", 2)


def test_what_is_not_parquet_is_named(hub):
    hub.put("curated/t/dt=2026-11-20/part-00000.parquet", b"PAR?")
    with pytest.raises(HubError, match=r"curated/t/dt=2026-11-20/part-00000\.parquet is not Parquet"):
        find_tables(hub)


STRAYS = (
    "README.md", "notes.txt", ".DS_Store", "_SUCCESS", "dt=2026-11-21/_SUCCESS", "dt=2026-11-21/.DS_Store",
    "dt=2026-11-22/.part-0.crc",
    "dt=2026-11-22/notes.csv", "dt=2026-11-22/deeper/part-00000.parquet", "dt=2026-11-22/deeper/part-00000.json.gz",
    "dt=2026-02-30/part-00000.parquet", "dt=2026-02-30/part-00000.json.gz", "dt=2026-11-23", "tmp/part-00000.parquet",
    "dt=2026-11-21_$folder$", "dt=__HIVE_DEFAULT_PARTITION__/part-00000.parquet",
)  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"what a program left"])
@pytest.mark.parametrize("name", STRAYS)
def test_strays_are_named_and_change_nothing(hub, name, content):
    books(hub, FRIDAY, *shelf(2))
    put_day(hub, "t", FRIDAY, pa.table({"a": [1]}))
    before = find_tables(hub)
    for folder in ("book_attributes", "curated/t", "curated/empty"):
        hub.put(f"{folder}/{name}", content)
    assert find_tables(hub) == before
    assert days_of_table(hub, "t") == [FRIDAY]
    hidden = name.rsplit("/", 1)[-1].startswith(".") or (not content and name.endswith("$folder$"))
    assert find_strays(hub) == (
        [] if hidden else sorted(f"{f}/{name}" for f in ("book_attributes", "curated/t", "curated/empty"))
    )


def test_a_curated_file_holds_no_pickle_of_pandas(hub):
    put_day(hub, "t", FRIDAY, pa.table({"a": [1]}), fingerprint="f")
    assert set(pq.read_metadata(hub.path("curated/t/dt=2026-11-20/part-00000.parquet")).metadata) == {
        b"recsys:fingerprint",
        b"ARROW:schema",
    }
