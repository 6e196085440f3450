"""Read a user's table as text columns, and locate invalid values.

Belongs here: formats (Parquet, JSON Lines, text with separators), compression, column names, line numbers. Does not: detecting
separators (separators.py), the meaning of the columns (file_import.py).
"""

import csv
import gzip
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys_platform.common.errors import InputError
from recsys_platform.common.placeholders import BLANKS
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.sources.separators import (
    GZIP,
    SeparatedFile,
    detect_separators,
    open_text,
    raw_start,
    unpacked_start,
)

_BLOCK = 16 << 20
_UNPAIRED_SURROGATE = "half a character (an unpaired \\u surrogate)"

# A column as read from the file: JSON values or an Arrow column.
RawColumn: TypeAlias = list[Any] | pa.ChunkedArray


@dataclass(frozen=True)
class Layout:
    """The layout of a file. Column names map ours → the file's.

    `columns` apply if the file has them, `own_columns` are required. `header`: whether line 1 has the column names. `names`: our
    columns; those in `lists` may have several values in a row. `extras`: whether other columns are kept.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    own_columns: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    encoding: str = "utf-8"
    names: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    extras: bool = True

    def present(self, names: Sequence[str]) -> dict[str, str]:
        """Our name → the file's, for the columns to rename."""
        return {**{ours: theirs for ours, theirs in self.columns.items() if theirs in names}, **self.own_columns}

    def wanted(self, names: Sequence[str]) -> dict[str, str]:
        """Our name → the file's, for every column to read."""
        renamed = self.present(names)
        same = {name: name for name in names if name not in renamed and name not in renamed.values()}
        found = {**renamed, **same}
        return found if self.extras else {ours: theirs for ours, theirs in found.items() if ours in self.names}

    def candidates(self, name: str) -> tuple[str, ...]:
        """The possible names of one of our columns in the file."""
        return tuple({self.own_columns.get(name, self.columns.get(name, name)): None, name: None})


@dataclass(frozen=True)
class TextTable:
    """A file's rows as text columns, with null for empty values, and lists of text where the file has lists.

    `columns` maps our names to the file's where they differ. `unused`: the file's columns that were not read. `form`: the file's
    format, for people. `numbers`: the row numbers in the file, if rows were dropped.
    """

    path: Path
    rows: pa.Table
    form: str
    columns: Mapping[str, str]
    separators: SeparatedFile | None = None
    unused: tuple[str, ...] = ()
    numbers: pa.Array | None = None

    def error_at(self, row: int, column: str, problem: str) -> InputError:
        """The error for an invalid value in a row (0 for the first)."""
        return InputError(f"{self.path}, {self.place(row)}, column {self.theirs(column)}: {problem}")

    def place(self, row: int) -> str:
        """The location of a row: its line, or its number in a file without lines."""
        number = row if self.numbers is None else self.numbers[row].as_py()
        if self.form == "JSON Lines":
            return f"line {next(line for place, (line, _) in enumerate(_json_lines(self.path)) if place == number)}"
        return f"line {self.separators.line_of(number)}" if self.separators else f"row {number + 1}"

    def theirs(self, column: str) -> str:
        """The file's name of one of our columns."""
        return self.columns.get(column, column)

    @property
    def names(self) -> list[str]:
        """The file's column names."""
        return [*map(self.theirs, self.rows.column_names), *self.unused]

    def without(self, column: str, values: Sequence[str]) -> "TextTable":
        """The table without the rows that have one of `values` in a column."""
        if not values:
            return self
        kept = pc.invert(pc.is_in(self.rows.column(column), value_set=pa.array(values, pa.string())))
        return replace(self, rows=self.rows.filter(kept), numbers=pc.indices_nonzero(kept))


def read_table(path: Path, *, required: tuple[str, ...], layout: Layout | None = None) -> TextTable:
    """Read a text file with separators, JSON Lines or Parquet, each also gzipped; the format is detected from the content.

    Columns get our names; if the file has another column of that name, that one is dropped. Values are trimmed, numbers stay as
    written, blank lines are skipped. A nested or binary column that is not one of ours is dropped. Raises InputError if the file
    cannot be read, is empty, or lacks a required column.
    """
    layout = layout or Layout()
    try:
        source = _detect_source(path, required, layout)
        _check_columns(path, source, required, layout)
        table = _text_table(path, source, required, layout)
    except (OSError, EOFError, zlib.error, UnicodeError, LookupError, pa.ArrowException, csv.Error) as error:
        raise InputError(
            f"Cannot read {path}: {_error_reason(error, layout.encoding)}. "
            "Give a readable CSV, JSON Lines (UTF-8) or Parquet file; each may be gzipped."
        ) from error
    if not len(table.rows):
        raise InputError(
            f"{path} has no rows{' below its header' if table.separators else ''}. Give a file with at least one."
        )
    return table


@dataclass(frozen=True)
class _Source:
    """A file with its column names; `read` reads some of the columns."""

    form: str
    names: tuple[str, ...]
    read: Callable[[Sequence[str]], dict[str, RawColumn]]
    separators: SeparatedFile | None = None


def _detect_source(path: Path, required: tuple[str, ...], layout: Layout) -> _Source:
    start = unpacked_start(path)
    what = _foreign_table(path, start)
    if what == "Parquet":
        return _parquet_source(path)
    if what and what != "UTF-16":
        raise InputError(f"{path} is {what}: unpack it, or save it as CSV, and give that file.")
    with open_text(path, layout.encoding) as file:
        first = file.read(4096).lstrip(BLANKS)[:1]
    if first == "{":
        return _of_records([record for _, record in _json_lines(path)], "JSON Lines")
    if first == "[":
        return _of_records(_json_array(path), "JSON")
    if first == "<":
        raise InputError(f"{path} is HTML or XML: save its table as CSV, and give that file.")
    wanted = [each for name in required for each in layout.candidates(name)]
    found = detect_separators(path, wanted=wanted, header=layout.header, encoding=layout.encoding)
    return _Source(found.form, tuple(found.columns), lambda names: _separated_columns(found, names), found)


def _foreign_table(path: Path, start: bytes) -> str | None:
    """The format of a file that is not text, for people; None for text."""
    packed = raw_start(path).startswith(GZIP)
    if start.startswith(GZIP):
        return "gzip within gzip"
    what = foreign_format(start)
    if what in (None, "Parquet", "UTF-16"):
        return what
    if what == "a ZIP archive" and not packed:
        return _zip_kind(path)
    return f"{what} within gzip" if packed else what


def _zip_kind(path: Path) -> str:
    """What a ZIP archive is, for people: Excel workbooks and OpenDocument files are ZIP archives."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook"
    return "an OpenDocument file" if "content.xml" in names else "a ZIP archive"


def _parquet_source(path: Path) -> _Source:
    packed = raw_start(path).startswith(GZIP)
    file = pq.ParquetFile(pa.BufferReader(gzip.decompress(path.read_bytes())) if packed else path)

    def read(names: Sequence[str]) -> dict[str, RawColumn]:
        table = file.read(columns=list(names))
        return {name: table.column(name) for name in names}

    return _Source("Parquet", tuple(file.schema_arrow.names), read)


def _of_records(records: list[dict[str, Any]], form: str) -> _Source:
    names = tuple(dict.fromkeys(name for record in records for name in record))
    return _Source(form, names, lambda wanted: {name: [record.get(name) for record in records] for name in wanted})


def _text_table(path: Path, source: _Source, required: tuple[str, ...], layout: Layout) -> TextTable:
    wanted = layout.wanted(source.names)
    raw = source.read(list(wanted.values()))
    columns = {ours: theirs for ours, theirs in layout.present(source.names).items() if ours in wanted}
    table = TextTable(path, pa.table({}), source.form, columns, source.separators)
    texts: dict[str, pa.Array | pa.ChunkedArray] = {}
    for ours, theirs in wanted.items():
        several = ours in layout.lists or ours not in layout.names
        try:
            texts[ours] = _text_column(raw[theirs], several=several, exact=ours in required)
        except _NotTextError as error:
            if ours in layout.names or ours in required:
                raise table.error_at(error.row, ours, error.problem) from None
    used = {theirs for ours, theirs in wanted.items() if ours in texts}
    return replace(table, rows=pa.table(texts), unused=tuple(name for name in source.names if name not in used))


def _check_columns(path: Path, source: _Source, required: tuple[str, ...], layout: Layout) -> None:
    there = source.names
    names = ", ".join(there)
    for ours, theirs in layout.own_columns.items():
        if theirs not in there:
            raise InputError(f"{path} has no column {theirs} to take {ours} from (it has: {names}).")
    columns = layout.present(there)
    missing = [name for name in required if columns.get(name, name) not in there]
    if missing:
        found = "line 1 has" if source.separators and layout.header else "it has"
        hint = _missing_column_hint(source, missing[0])
        raise InputError(f"{path} has no column {layout.candidates(missing[0])[0]} ({found}: {names}). {hint}")


def _missing_column_hint(source: _Source, name: str) -> str:
    if source.separators and source.separators.header_is_data:
        return f"If line 1 is data, give --no-header for this file and --column {name}=N with the number of the column."
    return f"Add or rename it, or name the one that holds it: --column {name}=NAME."


def _error_reason(error: Exception, encoding: str) -> str:
    if isinstance(error, UnicodeError) or "invalid UTF8" in str(error) or "decode" in str(error):
        asked = "" if encoding != "utf-8" else "; if it is older, name its encoding, such as --encoding latin-1"
        return f"it is not {encoding.upper()}{asked}"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".") or type(error).__name__


def _separated_columns(found: SeparatedFile, names: Sequence[str]) -> dict[str, RawColumn]:
    try:
        table = _without_blank_rows(_read_separated(found))
    except pa.ArrowInvalid:
        ragged = found.ragged_line_error()
        if ragged is None:
            raise
        # MySQL exports write \\" for a quote inside quotes.
        if found.escape or found.with_escape().ragged_line_error() is not None:
            raise ragged from None
        return _separated_columns(found.with_escape(), names)
    return {name: table.column(found.columns[name]) for name in names}


def _read_separated(found: SeparatedFile) -> pa.Table:
    places = [f"f{place}" for place in range(len(found.header))]
    if next(found.records(), None) is None:
        return pa.table({place: pa.array([], pa.string()) for place in places})
    with gzip.open(found.path) if found.packed else found.path.open("rb") as stream:
        return pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(
                block_size=_BLOCK, column_names=places, skip_rows=found.header_lines, encoding=found.encoding
            ),
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True,
                delimiter=found.separator,
                escape_char=found.escape or False,
                invalid_row_handler=lambda row: "skip" if found.is_blank(row.text) else "error",
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
            ),
        )


def _without_blank_rows(table: pa.Table) -> pa.Table:
    blank = None
    for column in table.columns:
        empty = pc.equal(pc.utf8_trim(column, characters=BLANKS), "")
        blank = empty if blank is None else pc.and_(blank, empty)
        if not pc.any(blank).as_py():
            return table
    return table.filter(pc.invert(blank))


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record of a JSON Lines file with its line number."""
    with open_text(path, "utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(BLANKS):
                yield number, _json_object(line, f"{path}, line {number}")


def _json_array(path: Path) -> list[dict[str, Any]]:
    with open_text(path, "utf-8") as file:
        found = _parse_json(file.read(), str(path))
    for number, record in enumerate(found, start=1):
        if not isinstance(record, dict):
            raise InputError(f"{path}, row {number}: not a JSON object. Give an object for each row.")
    return list(found)


def _json_object(text: str, where: str) -> dict[str, Any]:
    found = _parse_json(text, where)
    if not isinstance(found, dict):
        raise InputError(f"{where}: not a JSON object. Give one on each line.")
    return found


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text.strip(BLANKS), parse_int=str, parse_float=str, parse_constant=str)
    except ValueError as error:
        raise InputError(f"{where}: not JSON ({error}). Correct it.") from error


class _NotTextError(Exception):
    """A value that is neither text nor a list of texts: its row (0 for the first) and the problem."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row, self.problem = row, problem


_NESTED = "a nested value. Flatten it or drop the column."
_LIST = "a list, where one value is needed. Write one value."


def _text_column(values: RawColumn, *, several: bool, exact: bool) -> pa.Array | pa.ChunkedArray:
    """A column as text, or as lists of text if it may have `several` values; `exact`: characters must not be replaced."""
    if isinstance(values, list):
        return _trim_texts(_texts_of_json(values, several=several, exact=exact))
    return _trim_texts(_texts_of_arrow(values, several=several))


def _texts_of_json(values: list[Any], *, several: bool, exact: bool) -> pa.Array:
    lists = any(isinstance(value, list) for value in values)
    if not lists:
        return pa.array([_json_text(value, row, exact) for row, value in enumerate(values)], pa.string())
    if not several:
        raise _NotTextError(next(row for row, value in enumerate(values) if isinstance(value, list)), _LIST)
    items = [value if isinstance(value, list) or value is None else [value] for value in values]
    texts = [
        None if each is None else [_json_text(item, row, exact) for item in each] for row, each in enumerate(items)
    ]
    return pa.array(texts, pa.list_(pa.string()))


def _json_text(value: Any, row: int, exact: bool) -> str | None:
    if isinstance(value, dict | list):
        raise _NotTextError(row, _NESTED)
    if isinstance(value, bool):
        return str(value).lower()
    # An unpaired surrogate becomes a question mark, as in fetched snapshots; ids must not change.
    readable: str | None = value and value.encode("utf-8", "replace").decode()
    if exact and readable != value:
        raise _NotTextError(row, f"{_UNPAIRED_SURROGATE}. Correct it.")
    return readable


def _texts_of_arrow(column: pa.ChunkedArray, *, several: bool) -> pa.ChunkedArray:
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    row = max(pc.index(pc.is_valid(column), True).as_py(), 0)
    if is_list and not several:
        raise _NotTextError(row, _LIST)
    try:
        return column.cast(pa.list_(pa.string())) if is_list else _integers_if_whole(column).cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        problem = _NESTED if pa.types.is_nested(kind) else f"of type {kind}, not text. Write it as text."
        raise _NotTextError(row, problem) from None


def _trim_texts(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if not pa.types.is_string(texts.type):
        return texts
    text = pc.utf8_trim(texts, characters=BLANKS)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _integers_if_whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert floats that are all whole to integers: ids become floats in a column with gaps."""
    if not pa.types.is_floating(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
