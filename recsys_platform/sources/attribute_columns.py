"""Convert the columns of your own users or books file to the records of an attribute snapshot.

Belongs here: the type of each column, and reporting unreadable values. Does not: reading the file (tabular.py), storing the
snapshot (attributes.py).
"""

import ast
import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.placeholders import is_missing, is_no_id
from recsys_platform.sources.tabular import TextTable
from recsys_platform.sources.timestamps import detect_time_format

LISTS = ("categories", "interests")
JOINED = {"author": ", ", "description": " "}  # the separator by which several values become one
BOOLEANS = ("is_premium", "is_available")
NUMBERS = ("reading_minutes",)
DATES = ("published_at", "created_at")
_TRUE, _FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
_MOST = 2**31 - 1

Values = list[Any]


@dataclass(frozen=True)
class UnreadableValues:
    """The values of a column that could not be read and were left empty; `first` is the first of them, at `place`."""

    path: str
    column: str
    count: int
    total: int
    first: str
    place: str

    def sentence(self) -> str:
        """A description for people."""
        return (
            f"{self.path}, column {self.column}: {self.count:,} of {self.total:,} values could not be read and were left empty, "
            f"the first {self.first!r} ({self.place})"
        )


def attribute_records(
    table: TextTable, *, key: str, time_formats: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[UnreadableValues]]:
    """One record for each row, without empty values, and the values that could not be read. Ids are present and unique.

    Raises InputError for an invalid id, and for an invalid number or boolean: left empty, they would get a default.
    """
    check_ids(table, key)
    columns: dict[str, Values] = {}
    unread: list[UnreadableValues] = []
    for name in table.rows.column_names:
        given = [_drop_missing(name, value) for value in table.rows.column(name).to_pylist()]
        columns[name] = _parse_column(table, name, given, time_formats)
        unread += _unread_values(table, name, given, columns[name])
    rows = zip(*columns.values(), strict=True)
    records = [
        {name: value for name, value in zip(columns, row, strict=True) if value is not None and value != []}
        for row in rows
    ]
    return records, unread


def check_ids(table: TextTable, key: str) -> None:
    """Raise InputError for the first id that is empty, a placeholder or a duplicate."""
    ids = table.rows.column(key)
    refuse_floating_ids(table, key)
    seen: set[str] = set()
    for row, each in enumerate(ids.to_pylist()):
        if each is None:
            raise table.error_at(row, key, "empty. Every row needs one: fill it in or drop the row.")
        if is_no_id(each):
            raise table.error_at(
                row, key, f"{each!r} is a placeholder. Every row needs an id: fill it in or drop the row."
            )
        if each in seen:
            raise table.error_at(row, key, f"{each!r} appears a second time. Keep one row for each.")
        seen.add(each)


def refuse_floating_ids(table: TextTable, key: str) -> None:
    """Raise InputError if all ids end in `.0`: a program converted them to floats."""
    ids = pc.drop_null(table.rows.column(key))
    if len(ids) and pc.all(pc.match_substring_regex(ids, r"^\d+\.0+$")).as_py():
        row = pc.index(pc.is_valid(table.rows.column(key)), True).as_py()
        whole = ids[0].as_py().split(".")[0]
        raise table.error_at(
            row,
            key,
            f"{ids[0].as_py()!r} is an id with a decimal point, as programs write integers in a column with gaps. Write {whole}.",
        )


def _drop_missing(name: str, value: Any) -> Any:
    """The value, or None if it is missing."""
    if isinstance(value, list):
        return [each for each in value if each is not None and not is_missing(each)]
    return None if value is None or is_missing(value, column=name) else value


def _parse_column(table: TextTable, name: str, given: Values, time_formats: Mapping[str, str]) -> Values:
    if name in DATES:
        return _parse_dates(table, name, given, time_formats.get(name))
    values = [_parse_value(name, value) for value in given]
    if name in (*BOOLEANS, *NUMBERS):
        _refuse_unread(table, name, given, values)
    return values


def _parse_dates(table: TextTable, name: str, given: Values, time_format: str | None) -> Values:
    texts = pa.chunked_array([pa.array(given, pa.string())])
    where = f"{table.path}, column {table.theirs(name)}"
    detected = detect_time_format(texts, given=time_format, name=name, where=where, dates=True)
    return [None if moment is None else _iso_timestamp(moment) for moment in detected.moments(texts).to_pylist()]


def _iso_timestamp(moment: dt.datetime) -> str:
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _refuse_unread(table: TextTable, name: str, given: Values, values: Values) -> None:
    rows = list(_rows_unread(given, values))
    if rows:
        wanted = "a number" if name in NUMBERS else "true or false"
        many = f" ({len(rows):,} such values)" if len(rows) > 1 else ""
        raise table.error_at(rows[0], name, f"{given[rows[0]]!r} is not {wanted}{many}. Correct it or leave it empty.")


def _unread_values(table: TextTable, name: str, given: Values, values: Values) -> list[UnreadableValues]:
    rows = list(_rows_unread(given, values))
    if not rows:
        return []
    total = sum(value is not None for value in given)
    return [
        UnreadableValues(str(table.path), table.theirs(name), len(rows), total, given[rows[0]], table.place(rows[0]))
    ]


def _rows_unread(given: Values, values: Values) -> Iterable[int]:
    pairs = enumerate(zip(given, values, strict=True))
    return (row for row, (before, after) in pairs if before is not None and after is None)


def _parse_value(name: str, value: Any) -> Any:
    """A text converted to the attribute's type; None if that is not possible."""
    if isinstance(value, list) and name in JOINED:
        return JOINED[name].join(value) or None
    if not isinstance(value, str):
        return value
    read: Callable[[str], Any] = str
    if name in LISTS:
        read = _parse_list
    elif name in BOOLEANS:
        read = _parse_boolean
    elif name in NUMBERS:
        read = _parse_number
    elif name == "language":
        read = primary_subtag
    return read(value)


def _parse_list(text: str) -> list[str]:
    """The values of `a|b`, or of a list in JSON or Python syntax."""
    if text.startswith("[") and text.endswith("]"):
        for read in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError):
                return [str(each).strip() for each in read(text) if each is not None and not is_missing(str(each))]
    return [part.strip() for part in text.split("|") if not is_missing(part)]


def _parse_boolean(text: str) -> bool | None:
    return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None


def _parse_number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not np.isfinite(number) or abs(number) > _MOST:
        return None
    return int(number) if number.is_integer() else number
