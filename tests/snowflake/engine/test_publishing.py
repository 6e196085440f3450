"""Published tables on Snowflake: all new or all old, and back again by one step."""

import pyarrow as pa
import pytest

from recsys_platform.common.errors import PublishError, WarehouseError
from recsys_platform.warehouse.publications import live_version
from recsys_platform.warehouse.snowflake.engine import SnowflakeWarehouse


def publish(warehouse: SnowflakeWarehouse, version: str, *books: str) -> dict[str, int]:
    rows = pa.table({"book_id": pa.array(books, pa.string()), "rank": pa.array(range(1, len(books) + 1), pa.int64())})
    promises = {
        "no book is called x": "select count(*) from {popular_books} where book_id in (select book_id from {bad})"
    }
    tables = {"popular_books": iter(rows.to_batches(max_chunksize=1)), "similar_books": iter(rows.to_batches())}
    return warehouse.publish(version, tables, checks=promises, inputs={"bad": pa.table({"book_id": ["x"]})})


def seen(warehouse: SnowflakeWarehouse) -> list[list[str]]:
    """What readers see in both tables."""
    return [
        warehouse.frame(f"select book_id from published.{name} order by rank")["book_id"].to_pylist()
        for name in ("popular_books", "similar_books")
    ]


def test_readers_see_the_newest_version_and_one_step_back_the_one_before(warehouse: SnowflakeWarehouse) -> None:
    assert live_version(warehouse) is None
    assert publish(warehouse, "v1", "a", "b") == {"popular_books": 2, "similar_books": 2}
    publish(warehouse, "v2", "c")
    assert (live_version(warehouse), seen(warehouse)) == ("v2", [["c"], ["c"]])
    assert warehouse.roll_back() == "v1"
    assert (live_version(warehouse), seen(warehouse)) == ("v1", [["a", "b"], ["a", "b"]])
    publish(warehouse, "v3", "d")
    assert warehouse.roll_back() == "v1"


def test_a_column_may_come_and_columns_may_change_places_but_none_may_go(warehouse: SnowflakeWarehouse) -> None:
    def of(version: str, **columns: list[str]) -> None:
        batches = {"popular_books": iter(pa.table(columns).to_batches())}
        warehouse.publish(version, batches, checks={}, inputs={})

    of("v1", segment=["all"], book_id=["b1"])
    of("v2", book_id=["b2"], segment=["all"], language=["en"])
    found = warehouse.frame("select book_id, segment, language from published.popular_books").to_pylist()
    assert found == [{"book_id": "b2", "segment": "all", "language": "en"}]
    assert warehouse.roll_back() == "v1"
    assert warehouse.frame("select segment from published.popular_books")["segment"].to_pylist() == ["all"]
    with pytest.raises(PublishError, match=r"published\.popular_books would lose the columns language"):
        of("v3", book_id=["b3"], segment=["all"])


def test_a_table_without_any_batch_is_refused_in_one_sentence(warehouse: SnowflakeWarehouse) -> None:
    with pytest.raises(WarehouseError, match=r"^popular_books has no rows and no columns"):
        warehouse.publish("v1", {"popular_books": iter([])}, checks={}, inputs={})


def test_a_version_that_breaks_a_promise_is_not_seen(warehouse: SnowflakeWarehouse) -> None:
    publish(warehouse, "v1", "a")
    with pytest.raises(PublishError, match=r"the version before stays live: no book is called x \(1 rows do not\)"):
        publish(warehouse, "v2", "b", "x")
    assert (live_version(warehouse), seen(warehouse)) == ("v1", [["a"], ["a"]])


@pytest.mark.slow
def test_only_versions_that_one_can_go_back_to_are_kept(warehouse: SnowflakeWarehouse) -> None:
    for version in ("v1", "v2", "v3"):
        publish(warehouse, version, version)
    kept = warehouse.frame("select distinct publication from ops.popular_books order by 1")["publication"].to_pylist()
    assert kept == ["v2", "v3"]


def test_going_back_from_the_only_version_is_refused(warehouse: SnowflakeWarehouse) -> None:
    publish(warehouse, "v1", "a")
    with pytest.raises(PublishError, match="no earlier version"):
        warehouse.roll_back()


def test_each_version_that_is_kept_can_be_queried_by_its_relation(warehouse: SnowflakeWarehouse) -> None:
    publish(warehouse, "v1", "a", "b")
    publish(warehouse, "v2", "c")
    found = warehouse.published_versions("popular_books")
    books = [warehouse.frame(f"select book_id from {each.relation} order by rank")["book_id"] for each in found]
    assert [(each.version, each.is_live) for each in found] == [("v1", False), ("v2", True)]
    assert [column.to_pylist() for column in books] == [["a", "b"], ["c"]]
