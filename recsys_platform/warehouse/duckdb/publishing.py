"""Put new versions of published tables behind their views in one step; the version before stays for a rollback.

Each version is a table `ops.<name>__<version>`; the view `published.<name>` reads the live one.
"""

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from recsys_platform.common.errors import PublishError
from recsys_platform.warehouse.publications import EARLIER, KEPT_VERSIONS, NO_EARLIER


def publish(
    con: duckdb.DuckDBPyConnection,
    version: str,
    tables: Mapping[str, Iterable[pa.RecordBatch]],
    checks: Mapping[str, str],
    inputs: Mapping[str, pa.Table],
) -> dict[str, int]:
    """Write all tables, run the checks, swap the views; the caller holds the transaction. Rows by table.

    `checks`: sentence → SQL that counts the offending rows, with `{name}` for the new version of each table
    and for each of the tables in `inputs`, what the checks compare with.
    """
    rows = {name: _write_version(con, versioned(name, version), batches) for name, batches in tables.items()}
    for name, table in inputs.items():
        _keep_for_checks(con, f"input_{name}", table)
    names = {name: versioned(name, version) for name in tables} | {name: f"input_{name}" for name in inputs}
    _refuse_broken(con, names, checks)
    for name, count in rows.items():
        con.execute(f"create or replace view published.{name} as select * from {versioned(name, version)}")
        con.execute("delete from ops.publications where version = ? and table_name = ?", [version, name])
        con.execute("update ops.publications set is_live = false where table_name = ?", [name])
        con.execute(
            "insert into ops.publications values (?, ?, ?, ?, true, now()::timestamp)",
            [version, name, versioned(name, version), count],
        )
        _drop_old(con, name)
    return rows


def roll_back(con: duckdb.DuckDBPyConnection) -> str:
    """Show readers again what they saw before the live version; its name. The caller holds the transaction.

    `PublishError` if there is none. Once more leads back: what counts is what was live last.
    """
    earlier = con.execute(EARLIER).fetchall()
    if not earlier:
        raise PublishError(NO_EARLIER)
    [(version,)] = earlier
    tables = con.execute(
        "select table_name, versioned_table from ops.publications where version = ?", [version]
    ).fetchall()
    for name, table in tables:
        con.execute(f"create or replace view published.{name} as select * from {table}")
    con.execute("update ops.publications set is_live = false")
    con.execute(
        "update ops.publications set is_live = true, published_at = now()::timestamp where version = ?", [version]
    )
    return str(version)


def versioned(name: str, version: str) -> str:
    """The table that holds one version."""
    return f'ops."{name}__{version}"'


def _write_version(con: duckdb.DuckDBPyConnection, table: str, batches: Iterable[pa.RecordBatch]) -> int:
    con.execute(f"drop table if exists {table}")
    total = 0
    for number, batch in enumerate(batches):
        con.register("batch", batch)
        verb = f"create table {table} as" if number == 0 else f"insert into {table}"
        con.execute(f"{verb} select * from batch")
        con.unregister("batch")
        total += batch.num_rows
    return total


def _keep_for_checks(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """A temporary table: of a registered one DuckDB knows no statistics, and plans the checks badly."""
    con.register("batch", table)
    con.execute(f"create or replace temp table {name} as select * from batch")
    con.unregister("batch")


def _refuse_broken(con: duckdb.DuckDBPyConnection, names: Mapping[str, str], checks: Mapping[str, str]) -> None:
    """Collect every check that fails, then raise one error."""
    counts = {sentence: con.execute(sql.format_map(names)).fetchone() for sentence, sql in checks.items()}
    broken = [f"{sentence} ({count[0]} rows do not)" for sentence, count in counts.items() if count and count[0]]
    if broken:
        raise PublishError(f"Not published, the version before stays live: {'; '.join(broken)}.")


def _drop_old(con: duckdb.DuckDBPyConnection, name: str) -> None:
    sql = "select versioned_table from ops.publications where table_name = ? order by is_live desc, published_at desc"
    for (table,) in con.execute(sql, [name]).fetchall()[KEPT_VERSIONS:]:
        con.execute(f"drop table if exists {table}")
        con.execute("delete from ops.publications where versioned_table = ?", [table])
