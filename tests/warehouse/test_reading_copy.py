"""Who reads the copy of marts and published lists is never kept waiting, sees nothing half done and nothing private."""

import datetime as dt
from pathlib import Path

import duckdb
import pytest

from recsys_platform.common.errors import WarehouseError
from recsys_platform.experiments.published_policies import evaluate_published
from recsys_platform.reports.overview import overview
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy
from tests.support.policy_worlds import EXPOSURES, MADE, insertion, publish, shown

LIVE = "20261120T000000_a"


@pytest.fixture
def filled(warehouse: DuckDBWarehouse) -> DuckDBWarehouse:
    """A mart, a published version behind its view, a ledger row and a rejected record."""
    with warehouse.connect() as con:
        con.execute("create table marts.dim_books as select 'b' || i as book_id from range(3) as t (i)")
        con.execute("create table marts.dim_users as select 'u1' as user_id")
        con.execute(f"""create table ops."popular_books__{LIVE}" as select 'b1' as book_id""")
        con.execute(f"""create view published.popular_books as select * from ops."popular_books__{LIVE}" """)
        con.execute("insert into ops.publications values (?, 'popular_books', 'x', 1, true, now()::timestamp)", [LIVE])
        con.execute("insert into ops.load_ledger values ('engagement_events/a', 'e', 1, 2, 1, 1, now()::timestamp)")
        con.execute(
            "insert into raw.rejected_records values"
            " ('segment', 'k', 1, now()::timestamp, now()::timestamp, 'ann@example.com', 'no message id', null)"
        )
        con.execute("insert into raw.pii_salt values ('a secret salt')")
    return warehouse


def books(con: duckdb.DuckDBPyConnection) -> int:
    return con.sql("select count(*) from marts.dim_books").fetchall()[0][0]


def test_marts_and_published_lists_are_copied_as_tables(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    rows = write_reading_copy(filled, tmp_path / "copy.duckdb")
    assert {name: rows[name] for name in ("marts.dim_books", "published.popular_books")} == {
        "marts.dim_books": 3,
        "published.popular_books": 1,
    }
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as con:
        assert con.sql("from published.popular_books").fetchall() == [("b1",)]
        views = con.sql(
            "from information_schema.tables select count(*) where table_type = 'VIEW' and table_schema = 'published'"
        )
        assert views.fetchall() == [(0,)]


def test_every_kept_version_of_the_lists_can_be_read_in_the_copy(warehouse: DuckDBWarehouse, tmp_path: Path) -> None:
    """Off-policy estimates compare exposures with the lists of their time."""
    with warehouse.connect() as con:
        con.execute(EXPOSURES)
        con.execute(insertion([shown("b", clicked=True), shown("b", user="u2", at=MADE + dt.timedelta(days=3))]))
    for version, days in (("v1", 0), ("v2", 2)):
        lists = {"m": {"u1": ["a", "b"], "u2": ["b", "b" if days else "a"]}}
        publish(warehouse, version, lists, made=MADE + dt.timedelta(days=days))
    write_reading_copy(warehouse, tmp_path / "copy.duckdb")
    report = evaluate_published(DuckDBWarehouse(tmp_path / "copy.duckdb"))
    assert report == evaluate_published(warehouse)
    assert [(each.agreeing, each.clicks) for each in report.models] == [(2, 1)]


def test_nothing_of_raw_is_in_the_copy(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    write_reading_copy(filled, tmp_path / "copy.duckdb")
    content = (tmp_path / "copy.duckdb").read_bytes()
    assert (b"ann@example.com" in content, b"a secret salt" in content) == (False, False)
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as con:
        schemas = con.sql("select distinct table_schema from information_schema.tables order by 1").fetchall()
        assert schemas == [("marts",), ("ops",), ("published",)]


def test_a_reader_goes_on_and_the_next_one_sees_what_is_new(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    write_reading_copy(filled, target)
    with duckdb.connect(str(target), read_only=True) as reader:
        assert books(reader) == 3
        with filled.connect() as con:
            con.execute("insert into marts.dim_books values ('b9')")
        write_reading_copy(filled, target)
        assert books(reader) == 3
    with duckdb.connect(str(target), read_only=True) as reader:
        assert books(reader) == 4


def test_the_copy_can_be_read_while_the_warehouse_is_written(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    write_reading_copy(filled, target)
    with filled.connect() as writer, duckdb.connect(str(target), read_only=True) as reader:
        writer.execute("delete from marts.dim_books")
        assert books(reader) == 3


def test_a_copy_that_fails_leaves_the_one_before(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    write_reading_copy(filled, target)
    with filled.connect() as con:
        con.execute("create view marts.broken as select error('no more space on the device')")
    with pytest.raises(WarehouseError, match=r"The copy for readers cannot be written to .*no more space"):
        write_reading_copy(filled, target)
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy.duckdb"]
    with duckdb.connect(str(target), read_only=True) as reader:
        assert books(reader) == 3


def test_the_figures_of_status_are_the_same_in_the_copy(filled: DuckDBWarehouse, tmp_path: Path) -> None:
    write_reading_copy(filled, tmp_path / "copy.duckdb")
    assert overview(DuckDBWarehouse(tmp_path / "copy.duckdb")) == overview(filled)
