"""What fakesnow does twice for every statement, done once: about a quarter of the server's time went there.

Belongs here: ways that are shorter and end at the same place. Does not: other answers.
"""

from typing import Any

import fakesnow.cursor as their_cursor
import fakesnow.server as their_server
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

from tests.support.snowflake.patches.replacing import around

_read: dict[str, exp.Expression] = {}
"""Statements that the server has parsed, for their kind alone, until the cursor takes them to run."""
_AT_MOST = 100


def install() -> None:
    """A statement is parsed once and planned once: its result is described as DuckDB did when it was executed."""
    around(their_server, "parse_one", _kept)
    around(their_cursor, "parse_one", _taken)
    around(FakeSnowflakeCursor, "_execute", _with_description)
    around(FakeSnowflakeCursor, "_describe_last_sql", _described)


def _kept(theirs: Any, command: str) -> exp.Expression:
    if len(_read) >= _AT_MOST:
        _read.clear()
    _read[command] = theirs(command)
    return _read[command]


def _taken(theirs: Any, command: str) -> exp.Expression:
    return _read.pop(command, None) or theirs(command)


def _with_description(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> None:
    """Keep what DuckDB says of the result: whatever is executed next overwrites it. `result_scan` executes nothing."""
    theirs(cursor, statement, *args)
    kept = None if statement.args.get("result_scan_sfqid") else cursor._duck_conn.description
    cursor.kept_description = kept


def _described(theirs: Any, cursor: FakeSnowflakeCursor) -> list[Any]:
    """Rows as those of `describe`: a name, a type, and what nobody reads."""
    if cursor.kept_description is None:
        described: list[Any] = theirs(cursor)
        return described
    return [(name, str(kind), None, None, None, None) for name, kind, *_ in cursor.kept_description]
