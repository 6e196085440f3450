"""Read a table that a user gives as columns of text, and say where a bad value stands.

Belongs here: formats (Parquet, JSON Lines, text with separators), compression, names of columns, line numbers. Does not: how
separators are found (separators.py), what the columns mean (replay.py).
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
from recsys_platform.sources.separators import GZIP, Separated, opened, raw_start, separated, unpacked_start

_BLOCK = 16 << 20
_HALF_A_CHARACTER = "half a character (an unpaired \\u surrogate)"

# A column as it is in the file: values of JSON, or what Arrow read.
RawColumn: TypeAlias = list[Any] | pa.ChunkedArray


@dataclass(frozen=True)
class Layout:
    """What is known of a file: our name of a column → the file's.

    `columns` hold where the file has them, `own_columns` must be there. `header`: whether line 1 names the columns. `names`: the
    columns that are ours; those in `lists` may hold several values in a row. `extras`: whether other columns are kept too.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    own_columns: Mapping[str, str] = field(default_factory=dict)
    header: bool = True
    encoding: str = "utf-8"
    names: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    extras: bool = True

    def present(self, names: Sequence[str]) -> dict[str, str]:
        """Our name → the file's for those of its columns that are to be renamed."""
        return {**{ours: theirs for ours, theirs in self.columns.items() if theirs in names}, **self.own_columns}

    def wanted(self, names: Sequence[str]) -> dict[str, str]:
        """Our name → the file's for each of its columns that is read."""
        renamed = self.present(names)
        same = {name: name for name in names if name not in renamed and name not in renamed.values()}
        found = {**renamed, **same}
        return found if self.extras else {ours: theirs for ours, theirs in found.items() if ours in self.names}

    def candidates(self, name: str) -> tuple[str, ...]:
        """What the file may call one of our columns."""
        return tuple({self.own_columns.get(name, self.columns.get(name, name)): None, name: None})


@dataclass(frozen=True)
class TextTable:
    """A file's rows: text columns whose empty values are null, and lists of text where the file holds lists.

    `columns` maps our names to the file's where they differ; `unused` are the file's columns that were left out; `form` is what
    the file is, for people. `numbers` are the numbers of the rows in the file, where some of its rows were left out.
    """

    path: Path
    rows: pa.Table
    form: str
    columns: Mapping[str, str]
    separators: Separated | None = None
    unused: tuple[str, ...] = ()
    numbers: pa.Array | None = None

    def error_at(self, row: int, column: str, problem: str) -> InputError:
        """The error for a bad value in a row (0 for the first)."""
        return InputError(f"{self.path}, {self.place(row)}, column {self.theirs(column)}: {problem}")

    def place(self, row: int) -> str:
        """Where a row begins: a line, or a row of a file that has no lines."""
        number = row if self.numbers is None else self.numbers[row].as_py()
        if self.form == "JSON Lines":
            return f"line {next(line for place, (line, _) in enumerate(_json_lines(self.path)) if place == number)}"
        return f"line {self.separators.line_of(number)}" if self.separators else f"row {number + 1}"

    def theirs(self, column: str) -> str:
        """What the file calls one of our columns."""
        return self.columns.get(column, column)

    @property
    def names(self) -> list[str]:
        """What the file calls its columns."""
        return [*map(self.theirs, self.rows.column_names), *self.unused]

    def without(self, column: str, values: Sequence[str]) -> "TextTable":
        """The table without the rows that have one of these values in a column."""
        if not values:
            return self
        kept = pc.invert(pc.is_in(self.rows.column(column), value_set=pa.array(values, pa.string())))
        return replace(self, rows=self.rows.filter(kept), numbers=pc.indices_nonzero(kept))


def read_table(path: Path, *, required: tuple[str, ...], layout: Layout | None = None) -> TextTable:
    """Read a text with separators, JSON Lines or Parquet (each may be gzipped), told apart by content.

    The columns get our names; a column of the file that has such a name without being it gives way. Values are trimmed, numbers
    stay as written. A line or row of text that holds nothing is no row. A column that is not ours and holds values within values,
    or bytes, is left out. Raises InputError if the file cannot be read, is empty, or lacks a required column.
    """
    layout = layout or Layout()
    try:
        source = _source(path, required, layout)
        _check_columns(path, source, required, layout)
        table = _text_table(path, source, required, layout)
    except (OSError, EOFError, zlib.error, UnicodeError, LookupError, pa.ArrowException, csv.Error) as error:
        raise InputError(
            f"Cannot read {path}: {_reason(error, layout.encoding)}. "
            "Give a readable CSV, JSON Lines (UTF-8) or Parquet file; each may be gzipped."
        ) from error
    if not len(table.rows):
        raise InputError(
            f"{path} has no rows{' below its header' if table.separators else ''}. Give a file with at least one."
        )
    return table


@dataclass(frozen=True)
class _Source:
    """A file of which the names of columns are known; `read` gives some of the columns."""

    form: str
    names: tuple[str, ...]
    read: Callable[[Sequence[str]], dict[str, RawColumn]]
    separators: Separated | None = None


def _source(path: Path, required: tuple[str, ...], layout: Layout) -> _Source:
    start = unpacked_start(path)
    what = _foreign_table(path, start)
    if what == "Parquet":
        return _parquet(path)
    if what and what != "UTF-16":
        raise InputError(f"{path} is {what}: unpack it, or save it as CSV, and give that file.")
    with opened(path, layout.encoding) as file:
        first = file.read(4096).lstrip(BLANKS)[:1]
    if first == "{":
        return _of_records([record for _, record in _json_lines(path)], "JSON Lines")
    if first == "[":
        return _of_records(_json_array(path), "JSON")
    if first == "<":
        raise InputError(f"{path} is HTML or XML: save its table as CSV, and give that file.")
    wanted = [each for name in required for each in layout.candidates(name)]
    found = separated(path, wanted=wanted, header=layout.header, encoding=layout.encoding)
    return _Source(found.form, tuple(found.columns), lambda names: _separated_columns(found, names), found)


def _foreign_table(path: Path, start: bytes) -> str | None:
    """What a file is that is no text, for people; None for text."""
    packed = raw_start(path).startswith(GZIP)
    if start.startswith(GZIP):
        return "gzip within gzip"
    what = foreign_format(start)
    if what in (None, "Parquet", "UTF-16"):
        return what
    if what == "a ZIP archive" and not packed:
        return _zipped(path)
    return f"{what} within gzip" if packed else what


def _zipped(path: Path) -> str:
    """What a ZIP archive is: newer workbooks are such."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook"
    return "an OpenDocument file" if "content.xml" in names else "a ZIP archive"


def _parquet(path: Path) -> _Source:
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
            texts[ours] = _texts(raw[theirs], several=several, exact=ours in required)
        except _NoTextError as error:
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
        raise InputError(
            f"{path} has no column {layout.candidates(missing[0])[0]} "
            f"({'line 1 has' if source.separators and layout.header else 'it has'}: {names}). {_hint(source, missing[0])}"
        )


def _hint(source: _Source, name: str) -> str:
    if source.separators and source.separators.header_is_data:
        return f"If line 1 is data, give --no-header for this file and --column {name}=N with the number of the column."
    return f"Add or rename it, or name the one that holds it: --column {name}=NAME."


def _reason(error: Exception, encoding: str) -> str:
    if isinstance(error, UnicodeError) or "invalid UTF8" in str(error) or "decode" in str(error):
        asked = "" if encoding != "utf-8" else "; if it is older, name its encoding, such as --encoding latin-1"
        return f"it is not {encoding.upper()}{asked}"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".") or type(error).__name__


def _separated_columns(found: Separated, names: Sequence[str]) -> dict[str, RawColumn]:
    try:
        table = _without_blank_rows(_read_separated(found))
    except pa.ArrowInvalid:
        ragged = found.ragged()
        if ragged is None:
            raise
        # Exports of MySQL write \\" for a quote inside quotes.
        if found.escape or found.escaped().ragged() is not None:
            raise ragged from None
        return _separated_columns(found.escaped(), names)
    return {name: table.column(found.columns[name]) for name in names}


def _read_separated(found: Separated) -> pa.Table:
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


class _NoTextError(Exception):
    """A value that is no text and no list of texts: its row (0 for the first), and what is wrong."""

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(problem)
        self.row, self.problem = row, problem


_NESTED = "holds values within a value. Flatten them or drop the column."
_LIST = "a list, where one value is needed. Write one value."


def _texts(values: RawColumn, *, several: bool, exact: bool) -> pa.Array | pa.ChunkedArray:
    """A column as text, or as lists of text where it may hold `several` values; `exact`: nothing in it may be replaced."""
    if isinstance(values, list):
        return _trimmed(_texts_of_json(values, several=several, exact=exact))
    return _trimmed(_texts_of_arrow(values, several=several))


def _texts_of_json(values: list[Any], *, several: bool, exact: bool) -> pa.Array:
    lists = any(isinstance(value, list) for value in values)
    if not lists:
        return pa.array([_json_text(value, row, exact) for row, value in enumerate(values)], pa.string())
    if not several:
        raise _NoTextError(next(row for row, value in enumerate(values) if isinstance(value, list)), _LIST)
    items = [value if isinstance(value, list) or value is None else [value] for value in values]
    texts = [
        None if each is None else [_json_text(item, row, exact) for item in each] for row, each in enumerate(items)
    ]
    return pa.array(texts, pa.list_(pa.string()))


def _json_text(value: Any, row: int, exact: bool) -> str | None:
    if isinstance(value, dict | list):
        raise _NoTextError(row, _NESTED)
    if isinstance(value, bool):
        return str(value).lower()
    # A question mark in place of half a character, as in snapshots that are fetched; an id is not changed.
    readable: str | None = value and value.encode("utf-8", "replace").decode()
    if exact and readable != value:
        raise _NoTextError(row, f"{_HALF_A_CHARACTER}. Correct it.")
    return readable


def _texts_of_arrow(column: pa.ChunkedArray, *, several: bool) -> pa.ChunkedArray:
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    row = max(pc.index(pc.is_valid(column), True).as_py(), 0)
    if is_list and not several:
        raise _NoTextError(row, _LIST)
    try:
        return column.cast(pa.list_(pa.string())) if is_list else _whole(column).cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        problem = _NESTED if pa.types.is_nested(kind) else f"holds {kind}, which is no text. Write it as text."
        raise _NoTextError(row, problem) from None


def _trimmed(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if not pa.types.is_string(texts.type):
        return texts
    text = pc.utf8_trim(texts, characters=BLANKS)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _whole(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floating numbers that are all whole as integers: ids became such where a row had none."""
    if not pa.types.is_floating(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column
