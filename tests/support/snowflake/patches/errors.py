"""Errors as Snowflake reports them.

Belongs here: what an error is called on the wire. Does not: which errors a transaction survives (transactions.py).
"""

import re
from typing import Any

import duckdb
import fakesnow.server as their_server
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import Error, OperationalError, ProgrammingError

from tests.support.snowflake.patches.replacing import around

_MISSING = re.compile(r"(?:Table|View) with name \"?(?P<name>[\w.$ ]+?)\"? does not exist")
_CONFLICT = "has locked table in transaction and this lock has not yet been released: the statement was aborted"


def install() -> None:
    """Every failure of a statement reaches the client as an answer.

    Snowflake answers a failed statement with a code. fakesnow does so for the errors it expects and gives HTTP 500 for
    all others, which the connector takes for a server that is away and asks again, for minutes.
    """
    around(FakeSnowflakeCursor, "execute", _told)
    around(FakeSnowflakeCursor, "_describe_last_sql", _told)
    around(their_server, "describe_as_rowtype", _told)


def _told(theirs: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return theirs(*args, **kwargs)
    except Exception as error:
        raise as_snowflake(error) from error


def as_snowflake(error: Exception) -> Error:
    """The same failure with the number, state and words that Snowflake has for it, as far as they are known."""
    message = str(getattr(error, "msg", None) or error)
    if isinstance(error, duckdb.TransactionException) or "write-write conflict" in message.lower():
        return ProgrammingError(msg=f"Another session {_CONFLICT}. ({message})", errno=625, sqlstate="57014")
    if isinstance(error, duckdb.ConversionException):
        return ProgrammingError(msg=message, errno=100038, sqlstate="22018")
    if isinstance(error, duckdb.ConstraintException):
        return ProgrammingError(msg=message, errno=100072, sqlstate="22000")
    if missing := _MISSING.search(message):
        return _does_not_exist(missing["name"])
    if isinstance(error, ProgrammingError | OperationalError):
        return error
    return ProgrammingError(msg=f"{type(error).__name__}: {message}", errno=1003, sqlstate="42000")


def _does_not_exist(name: str) -> ProgrammingError:
    """dbt and others look for these words."""
    message = f"SQL compilation error:\nObject '{name}' does not exist or not authorized."
    return ProgrammingError(msg=message, errno=2003, sqlstate="42S02")
