"""Put a new version of the published tables before readers in one step; the version before stays for a rollback.

All versions of a table stand in `ops.<name>`, distinguished by `publication`; the view `published.<name>` shows the one that
`ops.publications` calls live. So a swap is an update of that one table: all published tables change in the same moment,
which a statement that defines a view could not do, since Snowflake commits each by itself.
"""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from recsys_platform.common.errors import PublishError
from recsys_platform.warehouse.publications import EARLIER, KEPT_VERSIONS, NO_EARLIER
from recsys_platform.warehouse.snowflake.bulk_load import Stage, snowflake_type
from recsys_platform.warehouse.snowflake.session import Session
from recsys_platform.warehouse.snowflake.write_lock import with_write_lock


def publish(
    session: Session,
    stage: Stage,
    version: str,
    tables: Mapping[str, Iterable[pa.RecordBatch]],
    checks: Mapping[str, str],
    inputs: Mapping[str, pa.Table],
) -> dict[str, int]:
    """Bulk load all tables, run the checks, swap all tables together; rows by table."""
    with stage.staged(session, {**tables, **inputs}) as names:
        _refuse_broken(session, names, checks)
        for name in tables:
            _create_table_and_view(session, name, names[name])
        return with_write_lock(
            session, lambda: {name: _go_live(session, version, name, names[name]) for name in tables}
        )


def roll_back(session: Session) -> str:
    """Show readers again what they saw before the live version; its name. `PublishError` if there is none."""
    return with_write_lock(session, lambda: _swap_back(session))


def _swap_back(session: Session) -> str:
    earlier = session.execute(EARLIER)
    if not earlier:
        raise PublishError(NO_EARLIER)
    [(version,)] = earlier
    session.execute("update ops.publications set is_live = false")
    session.execute(
        "update ops.publications set is_live = true, published_at = cast(current_timestamp() as timestamp_ntz)"
        " where version = ?",
        [version],
    )
    return str(version)


def _refuse_broken(session: Session, names: Mapping[str, str], checks: Mapping[str, str]) -> None:
    """Collect every check that fails, then raise one error."""
    counts = {sentence: session.execute(sql.format_map(names)) for sentence, sql in checks.items()}
    broken = [f"{sentence} ({rows[0][0]} rows do not)" for sentence, rows in counts.items() if rows and rows[0][0]]
    if broken:
        raise PublishError(f"Not published, the version before stays live: {'; '.join(broken)}.")


def _create_table_and_view(session: Session, name: str, like: str) -> None:
    """The table of all versions and its view; a column that is new is added to both."""
    session.execute(versions_table(name, like))
    kept, new = (session.frame(f"select * from {table} limit 0").schema for table in (f"ops.{name}", like))
    if gone := sorted(set(kept.names) - {"publication"} - set(new.names)):
        raise PublishError(
            f"published.{name} would lose the columns {', '.join(gone)}, which readers may rely on: keep them."
        )
    for column in (field for field in new if field.name not in kept.names):
        session.execute(f"alter table ops.{name} add column {column.name} {snowflake_type(column.type)}")
    session.execute(live_view(name, new.names))


def versions_table(name: str, like: str) -> str:
    """The statement that makes the table of all versions with the columns of another."""
    return (
        f"create table if not exists ops.{name} cluster by (publication) as"
        f" select cast(null as varchar) as publication, rows_of.* from {like} as rows_of where false"
    )


def live_view(name: str, columns: Sequence[str]) -> str:
    """The statement that makes the view of the live version; secure, since only such views can be shared."""
    return (
        f"create or replace secure view published.{name} copy grants as select {', '.join(columns)} from ops.{name}"
        f" where publication = (select max(version) from ops.publications where table_name = '{name}' and is_live)"
    )


def rows_of_version(name: str, version: str) -> str:
    """What stands for the rows of one version in the `from` of a query."""
    literal = version.replace("'", "''")
    return f"(select * from ops.{name} where publication = '{literal}')"


def _go_live(session: Session, version: str, name: str, staged: str) -> int:
    """Insert the rows of a version, make it live, and delete versions that are no longer kept. Number of rows."""
    session.execute(f"delete from ops.{name} where publication = ?", [version])
    columns = ", ".join(session.frame(f"select * from {staged} limit 0").column_names)
    session.execute(f"insert into ops.{name} (publication, {columns}) select ?, {columns} from {staged}", [version])
    [(rows,)] = session.execute(f"select count(*) from {staged}")
    session.execute("delete from ops.publications where version = ? and table_name = ?", [version, name])
    session.execute("update ops.publications set is_live = false where table_name = ?", [name])
    session.execute(
        "insert into ops.publications (version, table_name, versioned_table, row_count, is_live, published_at)"
        " select ?, ?, ?, ?, true, cast(current_timestamp() as timestamp_ntz)",
        [version, name, f"ops.{name}", rows],
    )
    _drop_old(session, name)
    return int(rows)


def _drop_old(session: Session, name: str) -> None:
    sql = "select version from ops.publications where table_name = ? order by is_live desc, published_at desc"
    for (version,) in session.execute(sql, [name])[KEPT_VERSIONS:]:
        session.execute(f"delete from ops.{name} where publication = ?", [version])
        session.execute("delete from ops.publications where table_name = ? and version = ?", [name, version])
