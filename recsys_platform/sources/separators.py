"""How a text file separates its values: by commas, tabs, semicolons, bars or pairs of colons, with or without a header.

Belongs here: finding that out from the content, and where a record begins. Does not: reading all of it (tabular.py).
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

_SAMPLE = 20  # records that a separator is looked for in
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", ":": "pairs of colons"}
GZIP = b"\x1f\x8b"
_BYTE_ORDER = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Separated:
    """How a file is to be read; `header` has a name for each value of a record, numbers where the file names none."""

    path: Path
    separator: str
    header: tuple[str, ...]
    header_lines: int
    encoding: str
    packed: bool
    escape: str | None = None

    @property
    def columns(self) -> dict[str, int]:
        """The place of each named column; between two colons there is none."""
        step = 2 if self.separator == ":" else 1
        return {name: place for place, name in enumerate(self.header) if place % step == 0}

    @property
    def header_is_data(self) -> bool:
        """Whether the names look like values of a row."""
        return self.header_lines > 0 and any(name.replace(".", "", 1).isdigit() for name in self.header)

    @property
    def form(self) -> str:
        """For people."""
        return f"values between {_NAMES[self.separator]}"

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record below the header, with the line on which it begins."""
        with opened(self.path, self.encoding) as file:
            yield from islice(_records(file, self.separator, self.escape), 1 if self.header_lines else 0, None)

    def line_of(self, row: int) -> int:
        """The line on which a row (0 for the first) begins."""
        return next(line for line, _ in islice(self.records(), row, None))

    def ragged(self) -> InputError | None:
        """The first record that has not as many values as there are columns."""
        for line, values in self.records():
            if len(values) != len(self.header):
                return InputError(
                    f"{self.path}, line {line}: {len(values)} values, but the header names {len(self.header)} columns. "
                    "Correct that line."
                )
        return None

    def is_blank(self, line: str) -> bool:
        """Whether a line holds nothing: blanks, separators and quotes around nothing."""
        return not line.strip(f'{BLANKS}{self.separator}"')

    def escaped(self) -> "Separated":
        """The same with backslashes before quotes inside quotes."""
        return replace(self, escape="\\")


def separated(path: Path, *, wanted: Sequence[str], header: bool, encoding: str) -> Separated:
    """How a file is separated: so that most of the wanted columns are there, then so that there are most columns."""
    encoding = _BYTE_ORDER.get(unpacked_start(path)[:2], encoding)
    samples = {mark: _sample(path, mark, encoding) for mark in _NAMES}
    if not samples[","]:
        raise InputError(f"{path} is empty. Give a file with a header line and rows below it.")
    separator = max(_NAMES, key=lambda mark: _fit(samples[mark], wanted, mark))
    sample = samples[separator]
    names = tuple(name.strip() for name in sample[0][1]) if header else _numbers(len(sample[0][1]), separator)
    found = Separated(path, separator, names, 0, encoding, raw_start(path).startswith(GZIP))
    _refuse_twice(found, line=sample[0][0])
    return replace(found, header_lines=_lines_of_header(found)) if header else found


def opened(path: Path, encoding: str) -> io.TextIOBase:
    """A file as text, unpacked; a byte-order mark is left out."""
    decoded = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    encoding = _BYTE_ORDER.get(unpacked_start(path)[:2], decoded)
    if raw_start(path).startswith(GZIP):
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open("r", encoding=encoding, newline="")


def raw_start(path: Path) -> bytes:
    """The first bytes of a file as they are."""
    with path.open("rb") as file:
        return file.read(4096)


def unpacked_start(path: Path) -> bytes:
    """The first bytes of what a file holds, unpacked if it is gzipped."""
    start = raw_start(path)
    if start.startswith(GZIP):
        with gzip.open(path) as file:
            return file.read(4096)
    return start


def _records(file: io.TextIOBase, separator: str, escape: str | None) -> Iterator[tuple[int, list[str]]]:
    reader, line = csv.reader(file, delimiter=separator, escapechar=escape), 1
    for values in reader:
        if not _is_empty(values):
            yield line, values
        line = reader.line_num + 1


def _is_empty(values: Sequence[str]) -> bool:
    return not any(value.strip(BLANKS) for value in values)


def _sample(path: Path, separator: str, encoding: str) -> list[tuple[int, list[str]]]:
    with opened(path, encoding) as file:
        return list(islice(_records(file, separator, None), _SAMPLE))


def _fit(sample: list[tuple[int, list[str]]], wanted: Sequence[str], separator: str) -> tuple[int, bool, int]:
    names = [name.strip() for name in sample[0][1]]
    even = len({len(values) for _, values in sample}) == 1
    columns = len(names)
    if separator == ":":  # only in pairs, as in `1::1193::5::978300760`
        columns = len(names) if len(names) > 2 and not any(names[1::2]) else 0
    return sum(name in names for name in wanted) if separator != ":" else 0, even and columns > 1, columns


def _numbers(count: int, separator: str) -> tuple[str, ...]:
    step = 2 if separator == ":" else 1
    return tuple(str(1 + place // step) for place in range(count))


def _lines_of_header(found: Separated) -> int:
    with opened(found.path, found.encoding) as file:
        reader = csv.reader(file, delimiter=found.separator)
        next(values for values in reader if not _is_empty(values))
        return reader.line_num


def _refuse_twice(found: Separated, line: int) -> None:
    names = list(found.columns)
    twice = [name for name in names if found.header.count(name) > 1 and found.separator != ":"]
    if twice:
        raise InputError(f"{found.path}, line {line}: column {twice[0]} appears twice. Rename or remove one.")
