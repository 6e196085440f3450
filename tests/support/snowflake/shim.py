"""Shared by the tests of the patches."""

import datetime as dt
from typing import Any

from snowflake.connector import SnowflakeConnection

from tests.support.snowflake.queries import ask

NOON = dt.datetime(2026, 11, 20, 12, 0, 0, 123456)


def answer(session: SnowflakeConnection, expression: str, text: str | None) -> Any:
    """What an expression of `x` gives for a text in a table: sqlglot computes some of those over literals itself."""
    ask(session, "create or replace table ops.given (x varchar)")
    literal = "null" if text is None else f"$${text}$$"
    ask(session, f"insert into ops.given values ({literal})")
    return ask(session, f"select {expression} from ops.given")[0][0]
