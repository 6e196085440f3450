"""Read a CSV or Parquet file that a user gives as columns of text, and say where a bad value stands.

Belongs here: formats, compression, columns, line numbers. Does not: what the columns mean (replay.py).
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from recsys_platform.errors import InputError

_BLOCK = 16 << 20


@dataclass(frozen=True)
class TextTable:
    """A file's rows: text columns whose empty values are null, and lists of text where Parquet holds lists."""

    path: Path
    rows: pa.Table
    is_csv: bool

    def error_at(self, row: int, column: str, problem: str) -> InputError:
        """The error for a bad value in a row (0 for the first)."""
        place = f"line {_line_of(self.path, row)}" if self.is_csv else f"row {row + 1}"
        return InputError(f"{self.path}, {place}, column {column}: {problem}")


def read_table(path: Path, *, required: tuple[str, ...]) -> TextTable:
    """Read a `.csv`, `.csv.gz` or Parquet file (told apart by content). Values are trimmed, numbers stay as written.

    Raises InputError if the file cannot be read, is empty, or lacks a required column.
    """
    try:
        is_csv = not _starts_with(path, b"PAR1")
        table = _read_csv(path) if is_csv else _texts(pq.read_table(path), path)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException, csv.Error) as error:
        raise InputError(
            f"Cannot read {path}: {_reason(error)}. Give a readable CSV (UTF-8, may be .gz) or Parquet file."
        ) from error
    missing = [name for name in required if name not in table.column_names]
    if missing:
        raise InputError(
            f"{path} has no column {missing[0]} (line 1 has: {', '.join(table.column_names)}). Add or rename it."
        )
    if not len(table):
        raise InputError(f"{path} has no rows below its header. Give a file with at least one.")
    return TextTable(path=path, rows=table, is_csv=is_csv)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError) or "invalid UTF8" in str(error):
        return "it is not UTF-8"
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".") or type(error).__name__


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _read_csv(path: Path) -> pa.Table:
    names = _header(path)
    packed = _starts_with(path, b"\x1f\x8b")
    with pa.input_stream(path, compression="gzip" if packed else None) as stream:
        try:
            table = pacsv.read_csv(
                stream,
                read_options=pacsv.ReadOptions(block_size=_BLOCK),
                parse_options=pacsv.ParseOptions(newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise _ragged(path, len(names)) or error from error
    return _texts(table.rename_columns(names), path)


def _header(path: Path) -> list[str]:
    with _opened(path) as file:
        names = [name.strip() for name in next(csv.reader(file), [])]
    if not names:
        raise InputError(f"{path} is empty. Give a file with a header line and rows below it.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}, line 1: column {twice[0]} appears twice. Rename or remove one.")
    return names


def _opened(path: Path) -> io.TextIOBase:
    if _starts_with(path, b"\x1f\x8b"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("r", encoding="utf-8-sig", newline="")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each record of a CSV, header included, with the line on which it begins."""
    with _opened(path) as file:
        reader, line = csv.reader(file), 1
        for values in reader:
            if values:
                yield line, values
            line = reader.line_num + 1


def _line_of(path: Path, row: int) -> int:
    return next(line for number, (line, _) in enumerate(_records(path)) if number == row + 1)


def _ragged(path: Path, width: int) -> InputError | None:
    for line, values in _records(path):
        if len(values) != width:
            return InputError(
                f"{path}, line {line}: {len(values)} values, but the header names {width} columns. Mend that line."
            )
    return None


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
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
