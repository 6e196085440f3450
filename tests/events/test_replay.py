"""Somebody's own file becomes landing objects and snapshots, or one clear sentence."""

import datetime as dt
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.sources.file_import import OBJECT_RECORDS, ImportSummary, import_files

DAY = dt.date(2026, 11, 21)
BOOKS = "book_id,title,categories,is_premium,reading_minutes,shelf\nb1,One,business|money,yes,15,A3\nb2,Two,,,,\n"


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def replayed(folder: Path, interactions: str | Path, *, books: str = BOOKS, **more: Any) -> tuple[Hub, ImportSummary]:
    hub = FolderHub(folder / "hub")
    given = interactions if isinstance(interactions, Path) else write(folder / "events.csv", interactions)
    return hub, import_files(hub, interactions=given, books=write(folder / "books.csv", books), date=DAY, **more)


def records(hub: Hub, prefix: str = "engagement_events/") -> list[dict[str, Any]]:
    texts = [gzip.decompress(hub.get(each.key)).decode() for each in hub.objects(prefix)]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_rating_becomes_book_rated_and_no_rating_book_finished(tmp_path: Path) -> None:
    hub, summary = replayed(tmp_path, "user_id,book_id,rating\nu1,b1,4\nu2,b2,\n")
    rated, finished = records(hub)
    assert (rated["event"], rated["userId"], rated["properties"]) == (
        "Book Rated",
        "u1",
        {"book_id": "b1", "rating": 4},
    )
    assert (finished["event"], finished["properties"]) == ("Book Finished", {"book_id": "b2"})
    assert (summary.events, summary.users, summary.books) == (2, 2, 2)


def test_without_times_everything_happens_at_one_moment_of_the_replays_day(tmp_path: Path) -> None:
    hub, summary = replayed(tmp_path, "user_id,book_id\nu1,b1\nu2,b2\n")
    assert {record["timestamp"] for record in records(hub)} == {"2026-11-21T00:00:00.000Z"}
    assert (summary.first_day, summary.last_day) == (DAY, DAY)


TEN = ["2026-03-01T10:00:00Z", "1772359200", "2026-03-01 12:00:00+02:00", "2026-03-01 10:00", "1772359200.0"]


@pytest.mark.parametrize("time", TEN)
def test_an_event_with_a_time_arrives_on_its_own_day(tmp_path: Path, time: str) -> None:
    hub, _ = replayed(tmp_path, f"user_id,book_id,timestamp\nu1,b1,{time}\n")
    [landed] = hub.objects("engagement_events/")
    assert landed.key.startswith("engagement_events/source=segment/2026/03/01/23/")
    assert records(hub)[0]["timestamp"] == "2026-03-01T10:00:00.000Z"


@pytest.mark.parametrize("event", ["Book Saved", "book_saved", "BOOK_SAVED"])
def test_an_event_may_be_named_in_either_way(tmp_path: Path, event: str) -> None:
    hub, _ = replayed(tmp_path, f"user_id,book_id,event\nu1,b1,{event}\n")
    assert records(hub)[0]["event"] == "Book Saved"


def test_replaying_twice_gives_the_same_objects(tmp_path: Path) -> None:
    rows = "user_id,book_id,timestamp\nu1,b1,2026-01-02\nu1,b2,2026-01-01\n"
    hub, _ = replayed(tmp_path, rows)
    before = hub.objects("engagement_events/")
    replayed(tmp_path, rows)
    assert hub.objects("engagement_events/") == before


def test_equal_rows_have_one_message_id_and_others_their_own(tmp_path: Path) -> None:
    hub, _ = replayed(tmp_path, "user_id,book_id,rating\nu1,b1,4\nu1,b1,4\nu1,b1,5\n")
    first, second, third = (record["messageId"] for record in records(hub))
    assert first == second != third


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    hub, _ = replayed(
        tmp_path, "user_id,book_id,rating\n007,1,4.0\n,\n".replace(",\n", "x,1,3.5\n"), books="book_id\n1\n"
    )
    assert {record["userId"] for record in records(hub)} == {"007", "x"}
    assert sorted(record["properties"]["rating"] for record in records(hub)) == [3.5, 4]


def test_parquet_with_integer_ids_and_real_times_is_read_as_well(tmp_path: Path) -> None:
    table = pa.table(
        {"user_id": [1, 2], "book_id": [1, 1], "rating": [5.0, None], "timestamp": [dt.datetime(2026, 1, 1, 5)] * 2}
    )
    pq.write_table(table, tmp_path / "events.parquet")
    hub, _ = replayed(tmp_path, tmp_path / "events.parquet", books="book_id\n1\n")
    assert [(record["userId"], record["event"]) for record in records(hub)] == [
        ("1", "Book Rated"),
        ("2", "Book Finished"),
    ]
    assert records(hub)[0]["timestamp"] == "2026-01-01T05:00:00.000Z"


def test_a_gzipped_csv_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    hub, _ = replayed(tmp_path, write(tmp_path / "events.csv.gz", "\ufeffuser_id,book_id\r\nu1,b1\r\n"))
    assert records(hub)[0]["userId"] == "u1"


def test_objects_hold_a_bounded_number_of_records(tmp_path: Path) -> None:
    rows = "".join(f"u{number},b1\n" for number in range(OBJECT_RECORDS + 1))
    hub, summary = replayed(tmp_path, f"user_id,book_id\n{rows}")
    assert (summary.objects, len(hub.objects("engagement_events/"))) == (2, 2)
    assert len({record["userId"] for record in records(hub)}) == OBJECT_RECORDS + 1


def test_book_attributes_get_their_types_and_extras_are_kept(tmp_path: Path) -> None:
    hub, _ = replayed(tmp_path, "user_id,book_id\nu1,b1\n")
    first, second = records(hub, "book_attributes/dt=2026-11-21/")
    assert first == {
        "book_id": "b1", "title": "One", "categories": ["business", "money"], "is_premium": True, "reading_minutes": 15,
        "shelf": "A3", "is_available": True,
    }  # fmt: skip
    assert second == {"book_id": "b2", "title": "Two", "is_available": True}


def test_books_may_name_their_columns_differently(tmp_path: Path) -> None:
    books = "id,book_id,authors\nb1,other,Ada\n"
    hub, summary = replayed(
        tmp_path, "user_id,book_id\nu1,b1\n", books=books, book_columns={"book_id": "id", "author": "authors"}
    )
    assert records(hub, "book_attributes/") == [{"book_id": "b1", "author": "Ada", "is_available": True}]
    assert summary.unknown_books == 0


def test_users_come_from_their_file_or_else_from_the_interactions(tmp_path: Path) -> None:
    hub, _ = replayed(tmp_path, "user_id,book_id\nu2,b1\nu1,b1\nu2,b2\n")
    assert records(hub, "user_attributes/") == [{"user_id": "u1"}, {"user_id": "u2"}]
    users = write(tmp_path / "users.csv", "user_id,interests\nu1,money | health\n")
    hub, summary = replayed(tmp_path, "user_id,book_id\nu2,b1\n", users=users)
    assert records(hub, "user_attributes/") == [{"user_id": "u1", "interests": ["money", "health"]}]
    assert summary.unknown_users == 1


def test_books_without_attributes_are_counted_and_no_error(tmp_path: Path) -> None:
    assert replayed(tmp_path, "user_id,book_id\nu1,b1\nu1,b9\nu2,b9\n")[1].unknown_books == 1


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("user,book_id\nu1,b1\n", "has no column user_id"),
        ("user_id,book_id\n", "has no rows"),
        ("", "is empty"),
        ("user_id,book_id,user_id\nu1,b1,u1\n", "line 1: column user_id appears twice"),
        ("user_id,book_id\nu1,b1\n,b1\n", "line 3, column user_id: empty"),
        ('user_id,book_id\n"u\n1",b1\n\nu2, \n', "line 5, column book_id: empty"),
        ("user_id,book_id\nu1,b1\nu2\n", "line 3: 1 values, but the header names 2 columns"),
        (
            "user_id,book_id,rating\nu1,b1,5\nu1,b2,6\nu1,b2,x\n",
            "line 3, column rating: '6' is not a number from 1 to 5",
        ),
        ("user_id,book_id,rating\nu1,b1,five\n", "line 2, column rating: 'five' is not a number"),
        ("user_id,book_id,rating\nu1,b1,nan\n", "line 2, column rating: 'nan' is not a number"),
        ("user_id,book_id,timestamp\nu1,b1,yesterday\n", "line 2, column timestamp: 'yesterday' is not a valid time"),
        ("user_id,book_id,timestamp\nu1,b1,177235920000000000000\n", "line 2, column timestamp"),
        ("user_id,book_id,timestamp\nu1,b1,\n", "line 2, column timestamp: no time"),
        ("user_id,book_id,timestamp\nu1,b1,2026-11-22\n", "is after the date of the import, 2026-11-21"),
        ("user_id,book_id,event\nu1,b1,Book Eaten\n", "line 2, column event: 'Book Eaten' cannot be imported"),
        ("user_id,book_id,event,rating\nu1,b1,Book Rated,\n", "line 2, column rating: empty"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_the_place(tmp_path: Path, rows: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        replayed(tmp_path, rows)
    assert told in str(error.value)
    assert "events.csv" in str(error.value)
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("books", "told"),
    [
        ("title\nOne\n", "has no column book_id"),
        ("book_id\nb1\nb2\nb1\n", "line 4, column book_id: 'b1' appears a second time"),
        ("book_id,title\nb1,One\n,Two\n", "line 3, column book_id: empty"),
        ("book_id,is_available\nb1,perhaps\n", "line 2, column is_available: 'perhaps' is not true or false"),
        ("book_id,reading_minutes\nb1,long\n", "line 2, column reading_minutes: 'long' is not a number"),
    ],
)
def test_a_bad_books_file_is_told_before_anything_is_written(tmp_path: Path, books: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", books=books)
    assert not (tmp_path / "hub").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.csv"):
        replayed(tmp_path, tmp_path / "nothing.csv")
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"user_id,book_id\n" + bytes(range(48, 90)) * 2000)[:60])
    with pytest.raises(InputError, match=r"Cannot read .*torn"):
        replayed(tmp_path, torn)
    latin = tmp_path / "latin.csv"
    latin.write_bytes("user_id,book_id\nü,b1\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        replayed(tmp_path, latin)
    pq.write_table(pa.table({"user_id": [{"a": 1}], "book_id": ["b1"]}), tmp_path / "nested.parquet")
    with pytest.raises(InputError, match="column user_id"):
        replayed(tmp_path, tmp_path / "nested.parquet")
