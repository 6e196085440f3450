"""Values on their way to the client.

Belongs here: the type that a column is announced with, and its Arrow form. Does not: what a function computes.
"""

import json
from collections.abc import Sequence
from typing import Any

import fakesnow.server as their_server
import pyarrow as pa
import pyarrow.compute as pc
from fakesnow import arrow, info_schema, rowtype
from fakesnow.cursor import FakeSnowflakeCursor

from tests.support.snowflake.patches.replacing import around

_LIKE = {
    "TINYINT": "BIGINT",
    "SMALLINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "USMALLINT": "BIGINT",
    "UINTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}
"""Types of DuckDB that fakesnow does not announce, by what they are announced as."""

_INTEGERS = "('BIGINT', 'INTEGER', 'SMALLINT', 'TINYINT', 'HUGEINT', 'UBIGINT', 'UINTEGER')"
_UTC = 1440  # minutes, as Snowflake writes an offset of zero


def install() -> None:
    """Types that DuckDB has and fakesnow does not announce, NULL moments, and lists."""
    _describe_whole_numbers_alike()
    around(rowtype, "describe_as_rowtype", _known_types)
    their_server.describe_as_rowtype = rowtype.describe_as_rowtype
    around(arrow, "timestamp_to_sf_struct", _moments)
    around(FakeSnowflakeCursor, "execute", _lists_as_text)


def _describe_whole_numbers_alike() -> None:
    """fakesnow describes a column as DuckDB happens to store it, so dbt sees a change of schema between two builds.

    Not as in Snowflake: there `1 as a` is a number of one digit, and dbt may well see a change.
    """
    view = info_schema.SQL_CREATE_GLOBAL_INFORMATION_SCHEMA_COLUMNS_VIEW
    view = view.replace("columns.data_type='BIGINT'", f"columns.data_type in {_INTEGERS}")
    view = view.replace(
        "else columns.numeric_scale end", f"when columns.data_type in {_INTEGERS} then 0 else columns.numeric_scale end"
    )
    their_server.shared_fs.duck_conn.execute(view.replace("create view if not exists", "create or replace view"))


def _known_types(theirs: Any, described: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """fakesnow fails for a type that it has no name for."""
    nested = [_nested(kind) for _, kind, *_ in described]
    plain = [
        (name, "JSON" if kept else _LIKE.get(kind, kind), *rest)
        for (name, kind, *rest), kept in zip(described, nested, strict=True)
    ]
    return [info | ({"type": kept} if kept else {}) for info, kept in zip(theirs(plain), nested, strict=True)]


def _nested(kind: str) -> str | None:
    if kind.endswith("]"):
        return "array"
    return "object" if kind.startswith(("STRUCT", "MAP")) else None


def _moments(_: Any, column: pa.ChunkedArray | pa.Array) -> pa.StructArray:
    """Seconds and nanoseconds as Snowflake sends them. fakesnow sends NULL as 1970 and expects microseconds."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    since_1970 = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).fill_null(0)
    seconds = _floored(since_1970, 1_000_000)
    fraction = pc.multiply(pc.subtract(since_1970, pc.multiply(seconds, 1_000_000)), 1000).cast(pa.int32())
    parts = {"epoch": seconds, "fraction": fraction}
    if column.type.tz:
        parts["timezone"] = pa.array([_UTC] * len(column), pa.int32())
    fields = [pa.field(name, part.type, nullable=False) for name, part in parts.items()]
    return pa.StructArray.from_arrays(list(parts.values()), fields=fields, mask=column.is_null())


def _floored(numbers: pa.Array, by: int) -> pa.Array:
    """Whole quotients, downwards; Arrow's division of integers goes towards zero."""
    quotient = pc.divide(numbers, by)
    return pc.subtract(quotient, pc.greater(pc.multiply(quotient, by), numbers).cast(pa.int64()))


def _lists_as_text(theirs: Any, cursor: FakeSnowflakeCursor, *args: Any, **kwargs: Any) -> Any:
    """Snowflake sends arrays and objects as JSON text; DuckDB's lists and structs are no type that it knows."""
    answer = theirs(cursor, *args, **kwargs)
    table = cursor._arrow_table
    for number, field in enumerate(table.schema if table else ()):
        if pa.types.is_nested(field.type):
            table = table.set_column(number, field.name, _as_text(table.column(number)))
    cursor._arrow_table = table
    return answer


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())
