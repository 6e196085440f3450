"""A copy of marts and published lists in a DuckDB file of its own, for people and programs that read while a run writes.

DuckDB lets one process at a time into a file that is written. The copy is written beside the one that is there and takes its place
in one step: who reads goes on reading what was opened. It holds nothing of `raw`: no e-mail or IP address, no rejected payload.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from recsys_platform.common.errors import WarehouseError
from recsys_platform.warehouse import ddl
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

SCHEMAS = ("marts", "published")
_OPS = tuple(name.removeprefix("ops.") for name in ddl.TABLES if name.startswith("ops."))
_RELATIONS = """
    select table_schema, table_name from information_schema.tables
    where table_catalog = 'warehouse'
        and (table_schema in (select unnest(?)) or (table_schema = 'ops' and table_name in (select unnest(?))))
    order by all"""
_LISTS = """
    select versioned_table, is_live from warehouse.ops.publications where table_name = 'user_recommendations'"""
_REJECTED = """
    create table ops.rejected_reasons as
    select source, reason, count(*) as records from warehouse.raw.rejected_records group by all order by all"""


def write_reading_copy(warehouse: DuckDBWarehouse, target: Path) -> dict[str, int]:
    """Copy every mart, published list and ops table as it is now; rows by table. What fails leaves the copy before as it was."""
    draft = target.with_suffix(f".{os.getpid()}.draft")
    try:
        with _open_draft(warehouse, draft) as con:
            rows = dict(_copy_tables(con))
        draft.chmod(0o444)  # whoever opened it to write would leave a log that the next copy takes for its own
        target.with_name(f"{target.name}.wal").unlink(missing_ok=True)
        os.replace(draft, target)
    except (duckdb.Error, OSError) as error:
        words = str(error).splitlines()[0]
        raise WarehouseError(
            f"The copy for readers cannot be written to {target}: {words}. The one before stays."
        ) from error
    finally:
        for path in (draft, draft.with_name(f"{draft.name}.wal")):
            path.unlink(missing_ok=True)
    return rows


@contextmanager
def _open_draft(warehouse: DuckDBWarehouse, draft: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the draft that reads the warehouse, by the name under which its views were made."""
    con = warehouse.connect_beside(draft)
    try:
        con.execute(f"attach '{str(warehouse.path).replace(chr(39), chr(39) * 2)}' as warehouse (read_only)")
        yield con
    finally:
        con.close()


def _copy_tables(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, int]]:
    """Name and rows of each table, copied."""
    for schema in (*SCHEMAS, "ops"):
        con.execute(f"create schema {schema}")
    for schema, name in con.execute(_RELATIONS, [list(SCHEMAS), list(_OPS)]).fetchall():
        table = f'{schema}."{name}"'
        con.execute(f"create table {table} as from warehouse.{table}")
        yield f"{schema}.{name}", con.execute(f"select count(*) from {table}").fetchall()[0][0]
    con.execute(_REJECTED)
    _copy_earlier_lists(con)


def _copy_earlier_lists(con: duckdb.DuckDBPyConnection) -> None:
    """Make every kept version of the lists readable by its name: exposures are compared with the lists that were there then."""
    for table, is_live in con.execute(_LISTS).fetchall():
        if is_live:
            con.execute(f"create view {table} as from published.user_recommendations")
        else:
            con.execute(f"create table {table} as from warehouse.{table}")
