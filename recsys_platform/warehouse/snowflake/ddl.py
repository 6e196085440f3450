"""The tables that Python writes, in Snowflake's types, from the one list of them."""

import re
from collections.abc import Collection, Iterator

from recsys_platform.warehouse.ddl import ADDED_COLUMNS, SCHEMAS, TABLES

LONG_TEXT = "varchar(134217728)"
"""Text of up to 128 MB, as much as Snowflake keeps; without a length it would be 16 MB, and one longer record would stop its chunk."""
_TYPES = {
    "json": "variant",
    "timestamp": "timestamp_ntz(6)",
    " using compression zstd": "",
    "payload varchar": f"payload {LONG_TEXT}",
}
WRITE_LOCK = "create table if not exists ops.turns (taken_at timestamp_ltz not null)"
# What loads delete by and staging reads by; the rest is small.
_CLUSTERED = {"raw.engagement_events": "cast(loaded_at as date), source"}


def schemas(there: Collection[str]) -> Iterator[str]:
    """Statements that create the schemas that are not there: `if not exists` would want the right to create them all the same."""
    yield from (f"create schema {schema}" for schema in SCHEMAS if schema not in there)


def statements() -> Iterator[str]:
    """Statements that create the tables that are missing, and the columns that older ones lack, in order."""
    for table, columns in TABLES.items():
        clustered = f" cluster by ({_CLUSTERED[table]})" if table in _CLUSTERED else ""
        yield f"create table if not exists {table} ({_in_snowflake(columns)}){clustered}"
    yield from (f"alter table {table} add column if not exists {column}" for table, column in ADDED_COLUMNS)
    yield WRITE_LOCK


def _in_snowflake(columns: str) -> str:
    return re.sub(
        r"\b(json|timestamp)\b|payload varchar| using compression zstd",
        lambda found: _TYPES[found[0]],
        " ".join(columns.split()),
    )
