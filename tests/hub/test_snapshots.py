"""Which snapshots there are, and how the newest differs from the one before."""

import datetime as dt

import pytest

from recsys_platform.catalog.json_schema import Drift
from recsys_platform.catalog.snapshot_drift import SAMPLE, snapshot_drift
from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import attributes_key
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.sources.attributes import store_snapshot

DAYS = [dt.date(2026, 11, day) for day in (18, 20, 21)]
BOOK = {"book_id": "b1", "title": "A\u2028B", "pages": 3}


def store(hub, *snapshots):
    for day, book in zip(DAYS, snapshots, strict=False):
        store_snapshot(hub, "book_attributes", day, [book])


def test_the_newest_snapshot_is_compared_with_the_one_before(hub):
    store(hub, BOOK, BOOK | {"pages": "3"}, {"book_id": "b1", "title": "A", "pages": "3", "isbn": "1"})
    found = snapshot_drift(hub, "book_attributes")
    assert found.drift == Drift(added=("isbn",))
    assert found.sentence() == "book_attributes of 2026-11-21 against 2026-11-20: added: isbn"


def test_an_older_day_is_compared_with_the_day_before_it(hub):
    store(hub, BOOK, {"book_id": "b1", "title": "A"}, BOOK)
    assert snapshot_drift(hub, "book_attributes", DAYS[1]).drift == Drift(removed=("pages",))


def test_the_same_fields_are_no_drift(hub):
    store(hub, BOOK, BOOK)
    assert snapshot_drift(hub, "book_attributes").sentence().endswith(": the same fields")


def test_a_first_snapshot_has_nothing_to_be_compared_with(hub):
    assert snapshot_drift(hub, "book_attributes") is None
    store(hub, BOOK)
    assert snapshot_drift(hub, "book_attributes").sentence().endswith("there is nothing to compare it with")


def test_a_snapshot_that_cannot_be_read_is_named(hub):
    store(hub, BOOK)
    hub.put(attributes_key("book_attributes", DAYS[1]), b"no gzip")
    with pytest.raises(HubError, match=r"book_attributes.dt=2026-11-20.* cannot be read whole"):
        snapshot_drift(hub, "book_attributes")


def test_only_folders_of_days_with_objects_are_snapshots(hub):
    store(hub, BOOK)
    hub.put("book_attributes/dt=someday/part-00000.json.gz", b"")
    hub.path("book_attributes/dt=2026-11-30").mkdir()
    assert snapshot_days(hub, "book_attributes") == DAYS[:1]


def test_a_new_field_of_the_newest_entities_is_found_in_a_large_snapshot(hub):
    store(hub, BOOK)
    old, new = {"book_id": "b"}, {"book_id": "b", "isbn": "1"}
    store_snapshot(hub, "book_attributes", DAYS[1], [old] * 2 * SAMPLE + [new] * 1000)
    assert snapshot_drift(hub, "book_attributes").drift.added == ("isbn",)
