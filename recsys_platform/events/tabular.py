"""Read a table that a user gives as columns of text, and say where a bad value stands.

Belongs here: formats (Parquet, JSON Lines, text with separators), compression, names of columns, line numbers. Does not: how
separators are found (separators.py), what the columns mean (replay.py).
"""

import csv
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys_platform.errors import InputError
from recsys_platform.events.formats import foreign_format
from recsys_platform.events.placeholders import BLANKS
from recsys_platform.events.separators import Separated, opened, raw_start, separated

_BLOCK = 16 << 20


@dataclass(frozen=True)
class Layout:
    """What the user says of a file: our name of a column → the file's.

    `columns` hold where the file has them, `own_columns` must be there. `header`: whether line 1 names the columns.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    own_columns: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    encoding: str = "utf-8"

    def present(self, names: Sequence[str]) -> dict[str, str]:
        """Our name → the file's for those of its columns that are to be renamed."""
        return {**{ours: theirs for ours, theirs in self.columns.items() if theirs in names}, **self.own_columns}

    def candidates(self, name: str) -> tuple[str, ...]:
        """What the file may call one of our columns."""
        return tuple({self.own_columns.get(name, self.columns.get(name, name)): None, name: None})


@dataclass(frozen=True)
class TextTable:
    """A file's rows: text columns whose empty values are null, and lists of text where the file holds lists.

    `columns` maps our names to the file's; `form` is what the file is, for people.
    """

    path: Path
    rows: pa.Table
    form: str
    columns: Mapping[str, str]
    separators: Separated | None = None

    def error_at(self, row: int, column: str, problem: str) -> InputError:
        """The error for a bad value in a row (0 for the first)."""
        return InputError(f"{self.path}, {self.place(row)}, column {self.theirs(column)}: {problem}")

    def place(self, row: int) -> str:
        """Where a row begins: a line, or a row of a file that has no lines."""
        if self.form == "JSON Lines":
            return f"line {next(line for number, (line, _) in enumerate(_json_lines(self.path)) if number == row)}"
        return f"line {self.separators.line_of(row)}" if self.separators else f"row {row + 1}"

    def theirs(self, column: str) -> str:
        """What the file calls one of our columns."""
        return self.columns.get(column, column)


def read_table(path: Path, *, required: tuple[str, ...], layout: Layout | None = None) -> TextTable:
    """Read a text with separators or JSON Lines (either may be gzipped) or a Parquet file, told apart by content.

    The columns get our names; a column of the file that has such a name without being it gives way. Values are trimmed,
    numbers stay as written. Raises InputError if the file cannot be read, is empty, or lacks a required column.
    """
    layout = layout or Layout()
    try:
        table = _read(path, required, layout)
    except (OSError, EOFError, zlib.error, UnicodeError, LookupError, pa.ArrowException, csv.Error) as error:
        raise InputError(
            f"Cannot read {path}: {_reason(error, layout.encoding)}. "
            "Give a readable CSV or JSON Lines (UTF-8, may be .gz) or Parquet file."
        ) from error
    _check_columns(table, required, layout)
    if not len(table.rows):
        raise InputError(
            f"{path} has no rows{' below its header' if table.separators else ''}. Give a file with at least one."
        )
    return _renamed(table, layout)


def _read(path: Path, required: tuple[str, ...], layout: Layout) -> TextTable:
    start = raw_start(path)
    what = foreign_format(start)
    if start.startswith(b"PAR1"):
        return TextTable(path, _texts(pq.read_table(path), path), "Parquet", {})
    if what and not what.startswith("UTF-"):
        raise InputError(f"{path} is {what}: unpack it, or save it as CSV.")
    with opened(path, layout.encoding) as file:
        first = file.read(4096).lstrip(BLANKS)[:1]
    if first == "{":
        return TextTable(path, _of_records([record for _, record in _json_lines(path)], path), "JSON Lines", {})
    if first == "[":
        return TextTable(path, _of_records(_json_array(path), path), "JSON", {})
    wanted = [each for name in required for each in layout.candidates(name)]
    return _read_separated(path, separated(path, wanted=wanted, header=layout.header, encoding=layout.encoding))


def _check_columns(table: TextTable, required: tuple[str, ...], layout: Layout) -> None:
    there = table.rows.column_names
    names = ", ".join(there)
    for ours, theirs in layout.own_columns.items():
        if theirs not in there:
            raise InputError(f"{table.path} has no column {theirs} to take {ours} from (it has: {names}).")
    columns = layout.present(there)
    missing = [name for name in required if columns.get(name, name) not in there]
    if missing:
        raise InputError(
            f"{table.path} has no column {layout.candidates(missing[0])[0]} "
            f"({'line 1 has' if table.separators and layout.header else 'it has'}: {names}). {_hint(table, missing[0])}"
        )


def _hint(table: TextTable, name: str) -> str:
    if table.separators and table.separators.header_is_data:
        return f"If line 1 is data, give --no-header for this file and --column {name}=N with the number of the column."
    return f"Add or rename it, or name the one that holds it: --column {name}=NAME."


def _renamed(table: TextTable, layout: Layout) -> TextTable:
    rows = table.rows
    columns = layout.present(rows.column_names)
    moved = {ours: rows.column(theirs) for ours, theirs in columns.items()}
    kept = {name: rows.column(name) for name in rows.column_names if name not in moved and name not in columns.values()}
    return replace(table, rows=pa.table(moved | kept), columns=columns)


def _reason(error: Exception, encoding: str) -> str:
    if isinstance(error, UnicodeError) or "invalid UTF8" in str(error) or "decode" in str(error):
        asked = "" if encoding != "utf-8" else "; if it is older, name its encoding, such as --encoding latin-1"
        return f"it is not {encoding.upper()}{asked}"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".") or type(error).__name__


def _read_separated(path: Path, found: Separated) -> TextTable:
    try:
        return TextTable(path, _texts(_columns(found), path), found.form, {}, found)
    except pa.ArrowInvalid:
        ragged = found.ragged()
        if ragged is None:
            raise
        # Exports of MySQL write \\" for a quote inside quotes.
        if found.escape or found.escaped().ragged() is not None:
            raise ragged from None
    return _read_separated(path, found.escaped())


def _columns(found: Separated) -> pa.Table:
    places = [f"f{place}" for place in range(len(found.header))]
    with pa.input_stream(found.path, compression="gzip" if found.packed else None) as stream:
        table = pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(
                block_size=_BLOCK, column_names=places, skip_rows=found.header_lines, encoding=found.encoding
            ),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, delimiter=found.separator, escape_char=found.escape or False
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
            ),
        )
    return pa.table({name: table.column(place) for name, place in found.columns.items()})


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record of JSON Lines with its line."""
    with opened(path, "utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(BLANKS):
                yield number, _json_object(line, f"{path}, line {number}")


def _json_array(path: Path) -> list[dict[str, Any]]:
    with opened(path, "utf-8") as file:
        found = _parsed(file.read(), str(path))
    for number, record in enumerate(found, start=1):
        if not isinstance(record, dict):
            raise InputError(f"{path}, row {number}: no JSON object. Give an object for each row.")
    return list(found)


def _json_object(text: str, where: str) -> dict[str, Any]:
    found = _parsed(text, where)
    if not isinstance(found, dict):
        raise InputError(f"{where}: no JSON object. Give one on each line.")
    return found


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text.strip(BLANKS), parse_int=str, parse_float=str, parse_constant=str)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}). Correct it.") from error


def _of_records(records: list[dict[str, Any]], path: Path) -> pa.Table:
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: _json_column([record.get(name) for record in records], f"{path}, column {name}") for name in names}
    return _texts(pa.table(columns), path)


def _json_column(values: list[Any], where: str) -> pa.Array:
    if not any(isinstance(value, list) for value in values):
        return pa.array([_json_text(value, where) for value in values], pa.string())
    lists = [value if isinstance(value, list) or value is None else [value] for value in values]
    texts = [None if each is None else [_json_text(item, where) for item in each] for each in lists]
    return pa.array(texts, pa.list_(pa.string()))


def _json_text(value: Any, where: str) -> str | None:
    if isinstance(value, dict | list):
        raise InputError(f"{where}: nested values cannot be replayed. Flatten or drop the column.")
    return str(value).lower() if isinstance(value, bool) else value


def _texts(table: pa.Table, path: Path) -> pa.Table:
    columns = {
        name: _text(column, f"{path}, column {name}")
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return pa.table(columns)


def _text(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(pa.list_(pa.string()))
    if pa.types.is_nested(column.type):
        raise InputError(f"{where}: nested values cannot be replayed. Flatten or drop the column.")
    text = pc.utf8_trim(_whole(column).cast(pa.string()), characters=BLANKS)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floating numbers that are all whole as integers: ids became such where a row had none."""
    if not pa.types.is_floating(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
