"""Tables of the release before are read by this one, and tables of this one by the release before."""

import re
from pathlib import Path

import pytest

from recsys_platform.warehouse import ddl
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.release_0_1 import TABLES


def columns_of(text: str) -> dict[str, str]:
    """Name and type of each column of a table's definition."""
    return dict(each.strip().split(" ", 1) for each in re.sub(r"\s+", " ", text).split(","))


@pytest.mark.parametrize("table", TABLES)
def test_the_release_before_finds_its_columns_and_may_leave_out_those_of_this_one(table: str) -> None:
    old, new = columns_of(TABLES[table]), columns_of(ddl.TABLES[table])
    assert {name: new.get(name) for name in old} == old, (
        "a column is added beside another one, never renamed or changed"
    )
    added = {name: new[name] for name in new.keys() - old.keys()}
    assert [name for name, kind in added.items() if "not null" in kind] == []
    assert {(table, f"{name} {kind}") for name, kind in added.items()} <= set(ddl.ADDED_COLUMNS)


def test_tables_of_the_release_before_get_what_this_one_reads_and_keep_their_rows(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    with warehouse.connect() as con:
        for schema in ddl.SCHEMAS:
            con.execute(f"create schema {schema}")
        for table, columns in TABLES.items():
            con.execute(f"create table {table} ({columns})")
        con.execute("insert into ops.load_ledger values ('engagement_events/a', 'e', 1, 2, 1, 1, now()::timestamp)")
        con.execute("insert into raw.pii_salt values ('a salt of the release before')")
    warehouse.prepare()
    assert warehouse.ledger("engagement_events/") == {"engagement_events/a": "e"}
    assert not warehouse.ensure_salt(None)
    with warehouse.connect(read_only=True) as con:
        for table, columns in ddl.TABLES.items():
            assert set(con.table(table).columns) == set(columns_of(columns)), table


def test_a_migration_that_is_repeated_changes_nothing(warehouse: DuckDBWarehouse) -> None:
    def tables() -> list[tuple[str, ...]]:
        with warehouse.connect(read_only=True) as con:
            return con.execute("select schema_name, table_name, sql from duckdb_tables() order by all").fetchall()

    before = tables()
    warehouse.prepare()
    assert tables() == before
