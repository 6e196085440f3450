"""`COPY INTO` a table from an external stage.

Belongs here: the order of a `copy`, its files' history and its answer. Does not: what its options say (options.py), how
objects are fetched (staging.py), how files become rows (reading.py). fakesnow reads `s3://` through an extension of DuckDB
that is not there, and leaves a load half done when a file fails. What lies in stages inside Snowflake is left to it.

Not as in Snowflake: a file that changed under its name counts as loaded before; `on_error` can only abort.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection
from fakesnow import copy_into as theirs_of_copy
from fakesnow import cursor
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from tests.support.snowflake.patches.options import Copy, Target, parsed
from tests.support.snowflake.patches.reading import insert_of
from tests.support.snowflake.patches.replacing import around
from tests.support.snowflake.patches.staging import StagedFile, chosen, fetched

_NOTHING = "select 'Copy executed with 0 files processed.' as status"
_HISTORY = "_fs_information_schema._fs_load_history"


def install() -> None:
    """External stages are read with boto3; everything else as fakesnow does."""
    around(cursor, "copy_into", _copy)
    around(FakeSnowflakeCursor, "_execute", _forget_loads)
    around(FakeSnowflakeCursor, "check_db_and_schema", _check_target)


def _copy(
    theirs: Any,
    con: DuckDBPyConnection,
    database: str,
    schema: str,
    statement: exp.Copy,
    stages: Any,
    params: Any = None,
) -> str:
    """Do a `copy`; the query that answers it."""
    source = theirs_of_copy._from_source(_with_stage_as_name(statement))
    table = theirs_of_copy._extract_table(statement.this)
    if source.startswith("@"):
        source = theirs_of_copy.stage_url_from_var(source[1:], con, database, schema, stages, table)
    if not source.startswith("s3://"):
        return theirs(con, database, schema, statement, stages, params)
    copy = parsed(con, statement, database, schema)
    answer = _answer(_loaded(con, copy, source))
    con.execute(answer)
    return answer


def _with_stage_as_name(statement: exp.Copy) -> exp.Copy:
    """`from '@stage/…'` means the same as without quotes; fakesnow takes it for an address, or refuses it."""
    for table in statement.args["files"][0].find_all(exp.Table):
        if isinstance(table.this, exp.Literal) and table.name.startswith("@"):
            table.set("this", exp.Var(this=table.name))
    return statement


def _loaded(con: DuckDBPyConnection, copy: Copy, location: str) -> list[tuple[str, str, int, str | None]]:
    """Address, status, rows and what was wrong, for each file that the answer names.

    A file that was loaded before is passed over in silence unless the statement names it.
    """
    urls = chosen(location, copy.files, copy.pattern)
    before = set() if copy.force else _loaded_before(con, copy.target)
    with fetched([url for url in urls if url not in before]) as files:
        done = {file.url: _load(con, copy, file) for file in files}
    _remember(con, copy.target, done)
    return [
        (url, "LOADED", done[url], None) if url in done else (url, "LOAD_SKIPPED", 0, "File was loaded before.")
        for url in urls
        if url in done or copy.files
    ]


def _load(con: DuckDBPyConnection, copy: Copy, file: StagedFile) -> int:
    """Insert the rows of one file; how many they were."""
    try:
        return con.execute(insert_of(con, copy, file)).fetchall()[0][0]
    except duckdb.ConversionException as error:
        raise ProgrammingError(msg=f"{error} File '{file.key}'", errno=100038, sqlstate="22018") from error
    except duckdb.InvalidInputException as error:
        raise ProgrammingError(
            msg=f"Error parsing file '{file.key}': {error}", errno=100069, sqlstate="22P02"
        ) from error


def _loaded_before(con: DuckDBPyConnection, target: Target) -> set[str]:
    query = f"select file_name from {target.database}.{_HISTORY} where schema_name = ? and table_name = ?"
    return {url for (url,) in con.execute(query, [target.schema, target.table]).fetchall()}


def _remember(con: DuckDBPyConnection, target: Target, done: dict[str, int]) -> None:
    now = datetime.now(UTC)
    for url, rows in done.items():
        con.execute(
            f"""insert into {target.database}.{_HISTORY}
                (schema_name, file_name, table_name, last_load_time, status, row_count, row_parsed, error_count, error_limit)
            values (?, ?, ?, ?, 'LOADED', ?, ?, 0, 1)""",
            [target.schema, url, target.table, now, rows, rows],
        )


def _answer(files: Sequence[tuple[str, str, int, str | None]]) -> str:
    if not files:
        return _NOTHING
    names = "file, status, rows_parsed, rows_loaded, error_limit, errors_seen, first_error"
    rows = [(url, status, n, n, 1, 0 if wrong is None else 1, wrong) for url, status, n, wrong in files]
    values = exp.values(rows, alias="t", columns=names.split(", ")).sql(dialect="duckdb")
    return f"""select *, null::bigint as first_error_line, null::bigint as first_error_character,
        null::varchar as first_error_column_name from {values}"""


def _forget_loads(theirs: Any, at: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> None:
    """`truncate table` forgets which files were loaded; after `delete` they stay known. fakesnow forgets neither."""
    theirs(at, statement, *args)
    if isinstance(statement, exp.TruncateTable):
        for table in statement.expressions:
            database, schema = table.catalog or at._conn.database, table.db or at._conn.schema
            forget = f"delete from {database}.{_HISTORY} where schema_name = ? and table_name = ?"
            at._conn._duck_conn.cursor().execute(forget, [schema, table.name])


def _check_target(theirs: Any, at: FakeSnowflakeCursor, statement: exp.Expression) -> None:
    """fakesnow takes the stage in `from (select … from @stage)` for a table without a schema."""
    theirs(at, exp.Copy(this=statement.this.copy()) if isinstance(statement, exp.Copy) else statement)
