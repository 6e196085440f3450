"""Queries in a session."""

from typing import Any

from snowflake.connector import SnowflakeConnection


def ask(session: SnowflakeConnection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.cursor().execute(sql, values or None).fetchall()]
