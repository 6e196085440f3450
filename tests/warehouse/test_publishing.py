import pyarrow as pa
import pytest

from recsys_platform.common.errors import PublishError
from recsys_platform.warehouse.publications import live_version

NO_NEGATIVES = {"no number is negative": "select count(*) from {popular_books} where n < 0"}


def publish(warehouse, version, numbers, checks=NO_NEGATIVES):
    tables = {"popular_books": [pa.record_batch({"n": numbers})]}
    return warehouse.publish(version, tables, checks=checks, inputs={})


def live(warehouse):
    return warehouse.frame("select n from published.popular_books order by 1")["n"].to_pylist()


def test_readers_see_the_new_version_and_the_one_before_is_kept(warehouse):
    for version, numbers in (("v1", [1]), ("v2", [2, 3]), ("v3", [4])):
        publish(warehouse, version, numbers)
        assert (live(warehouse), live_version(warehouse)) == (numbers, version)
    kept = warehouse.frame("select table_name from duckdb_tables() where table_name like 'popular%' order by 1")
    assert kept["table_name"].to_pylist() == ["popular_books__v2", "popular_books__v3"]


def test_a_version_that_breaks_a_promise_is_not_shown(warehouse):
    publish(warehouse, "v1", [1])
    with pytest.raises(PublishError, match=r"no number is negative \(1 rows do not\)"):
        publish(warehouse, "v2", [2, -1])
    assert (live(warehouse), live_version(warehouse)) == ([1], "v1")


def test_all_broken_promises_are_told_at_once(warehouse):
    promises = NO_NEGATIVES | {"there is a row": "select (count(*) = 2)::int from {popular_books}"}
    with pytest.raises(PublishError, match=r"no number is negative.*there is a row"):
        publish(warehouse, "v1", [2, -1], promises)
    assert live_version(warehouse) is None


def test_the_same_version_can_be_written_again(warehouse):
    publish(warehouse, "v1", [1])
    publish(warehouse, "v1", [1])
    assert warehouse.frame("select count(*) as n from ops.publications")["n"][0].as_py() == 1


def test_one_step_back_shows_what_was_live_before_and_one_more_leads_back(warehouse):
    for version, numbers in (("v1", [1]), ("v2", [2])):
        publish(warehouse, version, numbers)
    assert (warehouse.roll_back(), live(warehouse), live_version(warehouse)) == ("v1", [1], "v1")
    assert (warehouse.roll_back(), live(warehouse)) == ("v2", [2])


def test_the_version_that_was_gone_back_to_stays_when_the_next_one_comes(warehouse):
    for version, numbers in (("v1", [1]), ("v2", [2])):
        publish(warehouse, version, numbers)
    warehouse.roll_back()
    publish(warehouse, "v3", [3])
    assert (warehouse.roll_back(), live(warehouse)) == ("v1", [1])


def test_there_is_no_way_back_from_the_only_version(warehouse):
    publish(warehouse, "v1", [1])
    with pytest.raises(PublishError, match="no earlier version"):
        warehouse.roll_back()


def test_each_version_that_is_kept_can_be_queried_by_its_relation(warehouse):
    for version, numbers in (("v1", [1]), ("v2", [2, 3])):
        publish(warehouse, version, numbers)
    assert rows_of_versions(warehouse) == [("v1", False, [1]), ("v2", True, [2, 3])]
    assert warehouse.published_versions("similar_books") == []


def rows_of_versions(warehouse):
    """Version, whether it is live, and what its relation holds."""
    return [
        (each.version, each.is_live, warehouse.frame(f"select n from {each.relation} order by 1")["n"].to_pylist())
        for each in warehouse.published_versions("popular_books")
    ]
