"""Detect the separator of a text file: comma, tab, semicolon, bar or double colon, with or without a header.

Belongs here: detection from the content, and the line on which a record begins. Does not: reading the whole file (tabular.py).
"""

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from recsys_platform.common.errors import InputError
from recsys_platform.common.placeholders import BLANKS

_SAMPLE = 20  # records that are sampled to detect the separator
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", ":": "pairs of colons"}
GZIP = b"\x1f\x8b"
_BYTE_ORDER = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class SeparatedFile:
    """A file with its separator and encoding; `header` has a column name for each value, numbers if the file has no header."""

    path: Path
    separator: str
    header: tuple[str, ...]
    header_lines: int
    encoding: str
    packed: bool
    escape: str | None = None

    @property
    def columns(self) -> dict[str, int]:
        """The index of each named column; between the two colons of `::` there is no column."""
        step = 2 if self.separator == ":" else 1
        return {name: place for place, name in enumerate(self.header) if place % step == 0}

    @property
    def header_is_data(self) -> bool:
        """Whether the header looks like a row of values."""
        return self.header_lines > 0 and any(name.replace(".", "", 1).isdigit() for name in self.header)

    @property
    def form(self) -> str:
        """A description for people."""
        return f"values between {_NAMES[self.separator]}"

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record below the header, with the number of its first line."""
        with open_text(self.path, self.encoding) as file:
            yield from islice(_read_records(file, self.separator, self.escape), 1 if self.header_lines else 0, None)

    def line_of(self, row: int) -> int:
        """The line on which a row (0 for the first) begins."""
        return next(line for line, _ in islice(self.records(), row, None))

    def ragged_line_error(self) -> InputError | None:
        """The error for the first record whose number of values differs from the number of columns; None if all agree."""
        for line, values in self.records():
            if len(values) != len(self.header):
                return InputError(
                    f"{self.path}, line {line}: {len(values)} values, but the header names {len(self.header)} columns. "
                    "Correct that line."
                )
        return None

    def is_blank(self, line: str) -> bool:
        """Whether a line is empty: only blanks, separators and empty quotes."""
        return not line.strip(f'{BLANKS}{self.separator}"')

    def with_escape(self) -> "SeparatedFile":
        """The same file, read with a backslash as escape character."""
        return replace(self, escape="\\")


def detect_separators(path: Path, *, wanted: Sequence[str], header: bool, encoding: str) -> SeparatedFile:
    """Detect the separator: the one that gives the most of the wanted columns, then the most columns."""
    encoding = _BYTE_ORDER.get(unpacked_start(path)[:2], encoding)
    samples = {mark: _sample_records(path, mark, encoding) for mark in _NAMES}
    if not samples[","]:
        raise InputError(f"{path} is empty. Give a file with a header line and rows below it.")
    separator = max(_NAMES, key=lambda mark: _separator_score(samples[mark], wanted, mark))
    sample = samples[separator]
    names = tuple(name.strip() for name in sample[0][1]) if header else _column_numbers(len(sample[0][1]), separator)
    found = SeparatedFile(path, separator, names, 0, encoding, raw_start(path).startswith(GZIP))
    _refuse_twice(found, line=sample[0][0])
    return replace(found, header_lines=_lines_of_header(found)) if header else found


def open_text(path: Path, encoding: str) -> io.TextIOBase:
    """Open a file as text, decompressed and without a byte-order mark."""
    decoded = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    encoding = _BYTE_ORDER.get(unpacked_start(path)[:2], decoded)
    if raw_start(path).startswith(GZIP):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open("r", encoding=encoding, newline="")


def raw_start(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(4096)


def unpacked_start(path: Path) -> bytes:
    """The first bytes of a file's content, decompressed if it is gzipped."""
    start = raw_start(path)
    if start.startswith(GZIP):
        with gzip.open(path) as file:
            return file.read(4096)
    return start


def _read_records(file: io.TextIOBase, separator: str, escape: str | None) -> Iterator[tuple[int, list[str]]]:
    reader, line = csv.reader(file, delimiter=separator, escapechar=escape), 1
    for values in reader:
        if not _is_empty(values):
            yield line, values
        line = reader.line_num + 1


def _is_empty(values: Sequence[str]) -> bool:
    return not any(value.strip(BLANKS) for value in values)


def _sample_records(path: Path, separator: str, encoding: str) -> list[tuple[int, list[str]]]:
    with open_text(path, encoding) as file:
        return list(islice(_read_records(file, separator, None), _SAMPLE))


def _separator_score(
    sample: list[tuple[int, list[str]]], wanted: Sequence[str], separator: str
) -> tuple[int, bool, int]:
    names = [name.strip() for name in sample[0][1]]
    even = len({len(values) for _, values in sample}) == 1
    columns = len(names)
    if separator == ":":  # only in pairs, as in `1::1193::5::978300760`
        columns = len(names) if len(names) > 2 and not any(names[1::2]) else 0
    return sum(name in names for name in wanted) if separator != ":" else 0, even and columns > 1, columns


def _column_numbers(count: int, separator: str) -> tuple[str, ...]:
    step = 2 if separator == ":" else 1
    return tuple(str(1 + place // step) for place in range(count))


def _lines_of_header(found: SeparatedFile) -> int:
    with open_text(found.path, found.encoding) as file:
        reader = csv.reader(file, delimiter=found.separator)
        next(values for values in reader if not _is_empty(values))
        return reader.line_num


def _refuse_twice(found: SeparatedFile, line: int) -> None:
    names = list(found.columns)
    twice = [name for name in names if found.header.count(name) > 1 and found.separator != ":"]
    if twice:
        raise InputError(f"{found.path}, line {line}: column {twice[0]} appears twice. Rename or remove one.")
