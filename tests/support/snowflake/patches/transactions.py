"""Transactions as Snowflake has them, on connections of DuckDB.

Belongs here: when a transaction begins and ends, what becomes of it after an error. Does not: what errors are called
(errors.py), how a session ends (sessions.py).

Not as in Snowflake: a transaction sees what was committed before it began, not before each of its statements; two writers
conflict at once where one would wait for the other.
"""

from contextlib import suppress
from typing import Any

import duckdb
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError
from sqlglot import exp

from tests.support.snowflake.patches.errors import as_snowflake
from tests.support.snowflake.patches.replacing import around

_DDL = (exp.Alter, exp.Comment, exp.Create, exp.Drop)
_DML = (exp.DML, exp.TruncateTable)
_SEVERAL = (exp.Copy,)
"""Statements that take several of DuckDB's, which must be done all or not at all."""
_DDL_MARKS = ("create_stage_name", "create_file_format_name", "create_db_name", "table_comment")
_NOTHING = exp.select(exp.Literal.string("Statement executed successfully.").as_("status"))
_LOST = "The transaction was lost with its failed statement (Snowflake would keep what went before): roll back first."


def install() -> None:
    """`begin` … `commit` is a transaction whatever the session's autocommit says, and DDL ends it.

    Snowflake commits an open transaction before DDL and runs the DDL by itself. fakesnow does so only with autocommit
    off; after an explicit `begin` its DDL would be rolled back with the rest, and a loader that relies on that passes.
    """
    around(FakeSnowflakeCursor, "_execute", _in_its_transaction)


def roll_back(session: FakeSnowflakeConnection) -> None:
    """End the transaction of a session, if there is one; DuckDB may have ended it already."""
    with suppress(duckdb.TransactionException):
        session._duck_conn.rollback()
    session._in_transaction = False
    session.is_lost = False


def _in_its_transaction(theirs: Any, cursor: FakeSnowflakeCursor, statement: exp.Expression, *args: Any) -> None:
    session = cursor._conn
    statement = _begun_or_ended(session, statement)
    by_itself = isinstance(statement, _SEVERAL) and not session._in_transaction
    if by_itself:
        _begin(session)
    try:
        theirs(cursor, statement, *args)
    except (duckdb.Error, ProgrammingError) as error:
        if by_itself:
            roll_back(session)
        _after_error(session)
        raise as_snowflake(error) from error
    if by_itself:
        _commit(session)


def _begun_or_ended(session: FakeSnowflakeConnection, statement: exp.Expression) -> exp.Expression:
    """Begin or end what the statement begins or ends; the statement that is left to run."""
    if isinstance(statement, exp.Rollback):
        roll_back(session)
        return _NOTHING.copy()
    if getattr(session, "is_lost", False):
        raise ProgrammingError(msg=_LOST, errno=90232, sqlstate="25000")
    if isinstance(statement, exp.Transaction):
        _begin(session)
        return _NOTHING.copy()
    if isinstance(statement, exp.Commit) or _is_ddl(statement):
        _commit(session)
    elif not session._autocommit and isinstance(statement, _DML):
        _begin(session)
    return _NOTHING.copy() if isinstance(statement, exp.Commit) else statement


def _begin(session: FakeSnowflakeConnection) -> None:
    """A second `begin` inside a transaction does nothing, as in Snowflake; DuckDB would fail."""
    if not session._in_transaction:
        session._duck_conn.begin()
        session._in_transaction = True


def _commit(session: FakeSnowflakeConnection) -> None:
    if not session._in_transaction:
        return
    try:
        session._duck_conn.commit()
    except duckdb.Error as error:
        raise as_snowflake(error) from error
    finally:
        session._in_transaction = False


def _is_ddl(statement: exp.Expression) -> bool:
    return isinstance(statement, _DDL) or any(statement.args.get(mark) for mark in _DDL_MARKS)


def _after_error(session: FakeSnowflakeConnection) -> None:
    """Snowflake undoes the failed statement and keeps the transaction; DuckDB may lose all of it.

    There are no savepoints to undo one statement by, so what would silently be half a transaction is refused instead.
    """
    try:
        session._duck_conn.execute("select 1").fetchall()
    except duckdb.Error:
        was_open = session._in_transaction
        roll_back(session)
        session.is_lost = was_open
