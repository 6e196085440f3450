"""What of a snapshot is missed: fields that are used, records, books on offer; and what it is compared with."""

import datetime as dt
import gzip
import json

import pytest

from recsys_platform.catalog.snapshot_drift import snapshot_drift
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import attributes_prefix
from recsys_platform.ingestion.loading import load_snapshot
from recsys_platform.sources.attributes import store_snapshot
from recsys_platform.sources.feed_losses import feed_in_use, losses, newest_feed, note_in_use

MONDAY, TUESDAY, WEDNESDAY = (dt.date(2025, 11, day) for day in (24, 25, 26))
BOOKS = [
    {
        "book_id": f"b{number}",
        "title": "A",
        "author": "B",
        "language": "en",
        "categories": ["c"],
        "published_at": "2026-01-01",
        "is_premium": False,
        "is_available": True,
        "isbn": "1",
    }
    for number in range(10)
]
READERS = [
    {"user_id": f"u{n}", "country": "NA", "language": "en", "tier": "free", "interests": ["c"]} for n in range(10)
]


def without(*names):
    return lambda record: {key: value for key, value in record.items() if key not in names}


def with_(**values):
    return lambda record: {**record, **values}


def lost(hub, kind, before, after, share=0.2):
    store_snapshot(hub, kind, MONDAY, before)
    store_snapshot(hub, kind, TUESDAY, after)
    return losses(feed_in_use(hub, kind), newest_feed(hub, kind), share=share)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("language"), "0% of the records have language, it was 100%"),
        (without("title"), "title"),
        (without("author"), "author"),
        (without("categories"), "categories"),
        (without("published_at"), "published_at"),
        (without("is_premium"), "is_premium"),
        (without("is_available"), "is_available"),
        (with_(language=None), "language"),
        (with_(language=" "), "language"),
        (with_(language="null"), "language"),
        (with_(categories=[]), "categories"),
        (with_(categories=[""]), "categories"),
        (with_(is_available=False), "0 of 10 books on offer are left"),
        (with_(is_available="false"), "books on offer"),
    ],
)
def test_a_catalogue_that_loses_what_features_or_rules_use_is_named(hub, change, said):
    [found] = lost(hub, "book_attributes", BOOKS, [change(book) for book in BOOKS])
    assert said in found


@pytest.mark.parametrize("name", ["country", "language", "tier", "interests"])
def test_so_are_readers_without_what_features_use(hub, name):
    [found] = lost(hub, "user_attributes", READERS, [without(name)(reader) for reader in READERS])
    assert name in found


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (without("isbn"), 10),
        (with_(pages=3), 10),
        (with_(language="de"), 10),
        (with_(), 8),
    ],
)
def test_what_nobody_uses_may_go_and_a_fifth_of_the_catalogue(hub, change, kept):
    assert lost(hub, "book_attributes", BOOKS, [change(book) for book in BOOKS[:kept]]) == []


def test_more_than_a_fifth_of_the_records_is_named_and_so_is_a_field_that_a_part_lost(hub):
    assert lost(hub, "book_attributes", BOOKS, BOOKS[:7]) == ["7 of 10 records are left"]
    partly = [without("language")(book) for book in BOOKS[:3]] + BOOKS[3:]
    assert lost(hub, "book_attributes", BOOKS, partly) == ["70% of the records have language, it was 100%"]
    assert lost(hub, "book_attributes", BOOKS, partly, share=0.3) == []
    assert lost(hub, "book_attributes", BOOKS, BOOKS[:1], share=1) == []


def test_a_loss_of_yesterday_is_not_forgotten_by_tomorrow(hub):
    """It is compared with the snapshot in use, not with the one of the day before."""
    store_snapshot(hub, "book_attributes", MONDAY, BOOKS)
    note_in_use(hub, "book_attributes", newest_feed(hub, "book_attributes"), who="check", why="")
    for day in (TUESDAY, WEDNESDAY):
        store_snapshot(hub, "book_attributes", day, BOOKS[:1])
        assert losses(feed_in_use(hub, "book_attributes"), newest_feed(hub, "book_attributes"), share=0.2)
    note_in_use(hub, "book_attributes", newest_feed(hub, "book_attributes"), who="ann", why="it is a small shop now")
    assert losses(feed_in_use(hub, "book_attributes"), newest_feed(hub, "book_attributes"), share=0.2) == []


def test_a_snapshot_of_a_day_to_come_is_not_looked_at_yet(hub):
    today = dt.datetime.now(dt.UTC).date()
    store_snapshot(hub, "book_attributes", today, BOOKS)
    store_snapshot(hub, "book_attributes", today + dt.timedelta(days=2), BOOKS[:1])
    assert newest_feed(hub, "book_attributes").records == 10


def test_the_first_snapshot_lost_nothing(hub):
    assert newest_feed(hub, "book_attributes") is None
    store_snapshot(hub, "book_attributes", MONDAY, BOOKS)
    assert feed_in_use(hub, "book_attributes") is None


LINES = b"\n".join(json.dumps(book).encode() for book in BOOKS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("part.jsonl", LINES),
        ("part.json", LINES),
        ("part.jsonl.gz", gzip.compress(b"\n".join(json.dumps(book, indent=2).encode() for book in BOOKS))),
        ("part.jsonl.gz", gzip.compress(LINES.replace(b"\n", b""))),
        ("part.jsonl.gz", gzip.compress(LINES[:300]) + gzip.compress(LINES[300:])),
        ("part.jsonl.gz", gzip.compress(b"\xef\xbb\xbf" + LINES)),
    ],
)
def test_a_snapshot_is_read_as_the_loader_reads_it(hub, warehouse, name, data):
    store_snapshot(hub, "book_attributes", MONDAY, BOOKS)
    folder = attributes_prefix("book_attributes", TUESDAY)
    hub.put(f"{folder}{name}", data)
    hub.put(f"{folder}README.txt", b"The catalogue, from our shop.")
    parts = [item for item in hub.objects(folder) if item.key.endswith(name)]
    loaded = load_snapshot(hub, warehouse, "book_attributes", TUESDAY, parts)
    assert newest_feed(hub, "book_attributes").records == loaded.accepted == 10
    assert losses(feed_in_use(hub, "book_attributes"), newest_feed(hub, "book_attributes"), share=0.2) == []
    assert not snapshot_drift(hub, "book_attributes").drift


def test_a_snapshot_that_nobody_could_load_is_named_and_none_to_compare_with(hub):
    store_snapshot(hub, "book_attributes", MONDAY, BOOKS)
    hub.put(attributes_prefix("book_attributes", TUESDAY) + "part.json", b'[{"book_id": "b1"}]')
    with pytest.raises(HubError, match=r"part.json cannot be read whole.*Deliver it again"):
        newest_feed(hub, "book_attributes")
    store_snapshot(hub, "book_attributes", WEDNESDAY, BOOKS)
    assert feed_in_use(hub, "book_attributes").day == MONDAY.isoformat()
