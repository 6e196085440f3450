"""Convert results of Snowflake to the types of the port, which are those of DuckDB."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from recsys_platform.common.json_text import read_json

# Type codes of the connector: https://docs.snowflake.com/en/developer-guide/python-connector/python-connector-api
_VARIANT = 5
_ARRAY = 10


def to_port_types(table: pa.Table, description: Sequence[Any]) -> pa.Table:
    """Names in lower case, whole numbers as 64 bits, moments in microseconds without zone, arrays as lists of strings."""
    columns = [
        _as_lists(column) if about.type_code in (_VARIANT, _ARRAY) else column.cast(_port_type(column.type))
        for column, about in zip(table.columns, description, strict=True)
    ]
    return pa.table(columns, names=[name.lower() for name in table.column_names])


def _port_type(kind: pa.DataType) -> pa.DataType:
    """Snowflake sends a whole number in as few bytes as the answer needs, or as a decimal without places."""
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    return kind


def _as_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Arrays come as JSON text, and leave as lists of what DuckDB makes texts of; text that is something else stays text."""
    values = [None if text is None else read_json(text) for text in column.to_pylist()]
    if not all(value is None or isinstance(value, list) for value in values):
        return column
    lists = [None if value is None else [_item_text(item) for item in value] for value in values]
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])


def _item_text(item: Any) -> str | None:
    return (
        item if item is None or isinstance(item, str) else json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    )
