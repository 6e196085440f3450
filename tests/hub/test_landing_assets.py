"""The landing assets: what a fetch stores, what it tells, and that a failed one changes nothing."""

import datetime as dt

import dagster as dg
import duckdb
import pytest

from recsys_platform.config.settings import load_settings
from recsys_platform.defs.ingestion import landing as assets
from recsys_platform.defs.ingestion import schema_drift as drift
from recsys_platform.defs.ingestion.raw import raw_book_attributes
from recsys_platform.hub.layout import attributes_key
from recsys_platform.sources.attributes import store_snapshot
from tests.support.rest_server import BOOKS, Answer, book_page

KEY = dg.AssetKey(["landing", "book_attributes"])


@pytest.fixture
def today():
    return dt.datetime.now(dt.UTC).date()


@pytest.fixture
def materialize(tmp_path, hub, warehouse):
    """Fetch books from a URL, check and load them; the finished run."""

    def run(url, partition, *more):
        given = {"RECSYS_HOME": str(tmp_path), "RECSYS_ATTRIBUTES_PER_PAGE": "2", "RECSYS_HTTP_ATTEMPTS": "1"}
        resources = {"hub": hub, "warehouse": warehouse, "settings": load_settings(given | {"RECSYS_BOOKS_URL": url})}
        chosen = [assets.book_attributes, drift.book_attributes_fields, *more]
        return dg.materialize(chosen, partition_key=str(partition), resources=resources, raise_on_error=False)

    return run


def metadata(result):
    entries = result.asset_materializations_for_node("landing__book_attributes")[0].metadata
    return {name: entry.value for name, entry in entries.items()}


def answering(shelf):
    def answer(asked):
        etag = f'"{hash(str(shelf))}"'
        known = asked.headers.get("if-none-match") == etag
        return Answer(b"" if known else book_page(asked.page, books=shelf), 304 if known else 200, {"ETag": etag})

    return answer


def test_a_fetch_tells_what_it_took_and_a_second_one_what_it_spared(serve, hub, materialize, today):
    url = serve(answering(BOOKS)).endpoint.url
    first, again = metadata(materialize(url, today)), metadata(materialize(url, today))
    assert (first["dagster/row_count"], first["unchanged"], first["pages"], first["bytes_saved"]) == (5, False, 3, 0)
    assert (again["dagster/row_count"], again["unchanged"], again["pages_unchanged"]) == (5, True, 3)
    assert again["bytes_saved"] == first["bytes_fetched"] > 0
    assert len(hub.objects(f"book_attributes/dt={today}/")) == 1


def test_a_day_fetched_twice_is_replaced_whole_in_the_hub_and_in_raw(serve, materialize, warehouse, today):
    shelf = list(BOOKS)
    url = serve(answering(shelf)).endpoint.url
    assert materialize(url, today, raw_book_attributes).success
    shelf[:] = [BOOKS[0] | {"title": "renamed"}, {"book_id": "new"}]
    assert materialize(url, today, raw_book_attributes).success
    with duckdb.connect(str(warehouse.path), read_only=True) as con:
        rows = con.execute("select book_id, record ->> '$.title' from raw.book_attributes order by 1").fetchall()
    assert rows == [("b0", "renamed"), ("new", None)]


@pytest.mark.slow
def test_an_endpoint_that_dies_half_way_leaves_the_hub_as_it_was(serve, hub, materialize, today):
    store_snapshot(hub, "book_attributes", today, BOOKS)
    before = hub.get(attributes_key("book_attributes", today))
    served = serve(lambda asked: Answer(book_page(asked.page)) if asked.page < 3 else Answer(status=404))
    result = materialize(f"{served.endpoint.url}?api_key=sesame".replace("//", "//me:word@"), today)
    assert not result.success
    assert hub.get(attributes_key("book_attributes", today)) == before
    assert [item.key for item in hub.objects("")] == [attributes_key("book_attributes", today)]
    told = "".join(str(event) for event in result.all_events)
    assert "/books answered 404" in told
    assert "sesame" not in told
    assert "me:word" not in told


def test_drift_is_reported_by_the_asset_and_by_a_check_that_warns_and_blocks_nothing(serve, hub, materialize, today):
    store_snapshot(hub, "book_attributes", today - dt.timedelta(days=3), [{"book_id": "b1", "author": "A", "title": 7}])
    result = materialize(serve(answering(BOOKS)).endpoint.url, today, raw_book_attributes)
    said = f"book_attributes of {today} against {today - dt.timedelta(days=3)}: removed: author; retyped: title (integer, now string)"
    check = result.get_asset_check_evaluations()[0]
    assert result.success
    assert metadata(result)["schema_drift"] == said
    assert (check.passed, check.blocking, check.severity, check.description) == (
        False, False, dg.AssetCheckSeverity.WARN, said,
    )  # fmt: skip
    assert check.metadata["removed"].value == ["author"]
    assert result.asset_materializations_for_node("raw__book_attributes")


def test_the_same_fields_pass_the_check(serve, hub, materialize, today):
    store_snapshot(hub, "book_attributes", today - dt.timedelta(days=1), BOOKS)
    result = materialize(serve(answering(BOOKS)).endpoint.url, today)
    assert result.get_asset_check_evaluations()[0].passed


def test_a_snapshot_before_that_cannot_be_read_stops_no_fetch(serve, hub, materialize, today):
    hub.put(attributes_key("book_attributes", today - dt.timedelta(days=1)), b"no gzip")
    result = materialize(serve(answering(BOOKS)).endpoint.url, today)
    assert result.success
    assert "cannot be read whole" in metadata(result)["schema_drift"]
    assert not result.get_asset_check_evaluations()[0].passed
