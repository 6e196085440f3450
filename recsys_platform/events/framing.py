"""Cut the bytes of one landing object into records.

Firehose writes JSON objects one after another, with or without anything between them, gzipped or plain. Whatever cannot be
read is kept as a rejected piece with its reason: nothing that landed is lost.
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isal import isal_zlib

TRUNCATED, DAMAGED, NOT_UTF8 = "truncated gzip", "damaged gzip", "not UTF-8"
DAMAGE = (TRUNCATED, DAMAGED, NOT_UTF8)
"""How the reasons begin of pieces whose text is not what was sent: only a correction can mend them."""

_GZIP_MAGIC = b"\x1f\x8b"
_BLANKS = " \t\r\n\f\v\x1e\ufeff"
_BLANK = re.compile(f"[{_BLANKS}]*")
_JUNK_END = re.compile(r"\n|(?=\{)")
_BRACE_OR_STRING = re.compile(r'[{}]|"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_FAR = 1 << 15
_BAD_BYTE = re.compile("[\udc80-\udcff]")


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


# Numbers stay text: nobody computes with them here, and Python refuses whole numbers of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=str, parse_float=str)


@dataclass(frozen=True)
class Piece:
    """One record as it stands in the object; `reason` is set where it cannot be read."""

    text: str
    reason: str | None = None


def split_records(data: bytes) -> list[Piece]:
    """The records of a landing object in order, readable or not; never raises."""
    raw, damage = decompress(data)
    text = raw.decode("utf-8", errors="surrogateescape")
    pieces = [_shown(piece) for piece, _ in Framing(text).pieces()]
    return _blame_damage(pieces, damage) if damage else pieces


def decompress(data: bytes) -> tuple[bytes, str | None]:
    """The plain bytes of a gzip or plain object as far as they can be read, and what is wrong with the rest."""
    plain: list[bytes] = []
    while data.startswith(_GZIP_MAGIC):
        if whole := _whole_member(data):
            plain.append(whole[0])
            data = whole[1]
            continue
        stream = zlib.decompressobj(wbits=31)
        try:
            plain.append(stream.decompress(data))
        except zlib.error as error:
            what = str(error).rpartition(": ")[2]
            return b"".join([*plain, *_readable(data)]), f"{DAMAGED}: {what}"
        if not stream.eof:
            return b"".join(plain), TRUNCATED
        data = stream.unused_data
    padding_gone = data.strip(b"\0") if plain else data
    return b"".join([*plain, padding_gone]), None


def _whole_member(data: bytes) -> tuple[bytes, bytes] | None:
    """The text of the first gzip member and what follows it, fast; None where anything is wrong: zlib then says what."""
    stream = isal_zlib.decompressobj(wbits=31)
    try:
        text = stream.decompress(data)
    except isal_zlib.error:  # type: ignore[misc]  # its stub does not say that this is an exception
        return None
    return (text, stream.unused_data) if stream.eof else None


def _readable(data: bytes) -> Iterator[bytes]:
    """Decompress up to the damage: in small steps, and in the step that holds it byte by byte."""
    stream = zlib.decompressobj(wbits=31)
    for start in range(0, len(data), 1024):
        before = stream.copy()
        try:
            yield stream.decompress(data[start : start + 1024])
        except zlib.error:
            yield from _byte_by_byte(before, data[start : start + 1024])
            return


def _byte_by_byte(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    for byte in data:
        try:
            yield stream.decompress(bytes([byte]))
        except zlib.error:
            return


class Framing:
    """Finds the records of a text, from any place on where one begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._decoder, self._starts = _Decoder(text), _Starts(text)

    def pieces(self, position: int = 0) -> Iterator[tuple[Piece, int]]:
        """The pieces from a place on, each with the place where the next one begins; ask for growing places only."""
        position = _skip_blank(self.text, position)
        while position < len(self.text):
            end, reason = _read_one(self._decoder, position, self._starts)
            piece = Piece(self.text[position:end].rstrip(_BLANKS), reason)
            position = _skip_blank(self.text, end)
            yield piece, position


def _read_one(decoder: "_Decoder", position: int, starts: "_Starts") -> tuple[int, str | None]:
    """Where the piece that begins here ends, and why it cannot be read, if so."""
    text = decoder.text
    try:
        value, end = decoder.decode(position)
    except json.JSONDecodeError as error:
        return _end_of_broken(text, position, starts), f"not JSON: {error.msg.lower().removesuffix(' at')}"
    except RecursionError:
        return _end_of_broken(text, position, starts), "not JSON: nested too deeply"
    if not isinstance(value, dict):
        return end, "not a JSON object"
    if _HALF_CHARACTER.search(text, position, end) and not _is_text(value):
        return end, "not JSON: half a character (an unpaired \\u surrogate)"
    return end, None


def _is_text(value: dict[str, object]) -> bool:
    """Whether all strings of a value can be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _end_of_broken(text: str, position: int, starts: "_Starts") -> int:
    """Where an unreadable piece ends: with its own braces, else at the next line that opens one, else at the next record."""
    limit = starts.after(position)
    if text[position] == "{":
        line = text.find("\n{", position, limit)
        return _balanced_end(text, position, limit) or (line + 1 if line >= 0 else limit)
    junk = _JUNK_END.search(text, position + 1, limit)
    return junk.end() if junk else limit


def _balanced_end(text: str, position: int, limit: int) -> int | None:
    """Where the brace that opens at a position is closed, braces in strings aside; None if it is not before the limit."""
    depth = 0
    for token in _BRACE_OR_STRING.finditer(text, position, limit):
        depth += {"{": 1, "}": -1}.get(text[token.start()], 0)
        if depth == 0:
            return token.end()
    return None


class _Decoder:
    """Decodes JSON values anywhere in a text.

    Python's error counts the lines before it: after one, decoding goes on in what is left, or many errors would take forever.
    """

    def __init__(self, text: str) -> None:
        self.text = self.rest = text
        self.base = 0

    def decode(self, at: int) -> tuple[Any, int]:
        """The value that begins at a place, and where it ends; `JSONDecodeError` or `RecursionError` if there is none."""
        try:
            value, end = _DECODER.raw_decode(self.rest, at - self.base)
        except json.JSONDecodeError:
            if at - self.base > _FAR:
                self.rest, self.base = self.text[at:], at
            raise
        return value, end + self.base


class _Starts:
    """Finds the next readable record; what was found is remembered, so that a text of many broken pieces is searched once."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.decoder = _Decoder(text)
        self.found = -1

    def after(self, position: int) -> int:
        """Where the first readable record after a position begins; the end of the text if there is none."""
        if self.found <= position:
            self.found = self._search(position + 1)
        return self.found

    def _search(self, position: int) -> int:
        at = self.text.find("{", position)
        while at >= 0:
            end = self._end_of_object(at)
            if end is not None and self._stands_alone(at, end):
                return at
            at = self.text.find("{", end or at + 1)
        return len(self.text)

    def _end_of_object(self, at: int) -> int | None:
        try:
            return self.decoder.decode(at)[1]
        except (json.JSONDecodeError, RecursionError):
            return None

    def _stands_alone(self, at: int, end: int) -> bool:
        """Not inside another object: a record follows, or nothing does and what came before does not ask for a value."""
        following = _skip_blank(self.text, end)
        if following < len(self.text):
            return self.text[following] == "{"
        before = at - 1
        while before and self.text[before] in _BLANKS:
            before -= 1
        return self.text[at - 1] == "\n" or self.text[before] not in ",:["


def _shown(piece: Piece) -> Piece:
    """A piece with bytes that are not UTF-8 is rejected; they are shown as replacement characters."""
    if piece.text.isascii() or not _BAD_BYTE.search(piece.text):
        return piece
    return Piece(piece.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), NOT_UTF8)


def _blame_damage(pieces: list[Piece], damage: str) -> list[Piece]:
    """Say of the unreadable tail that the object was damaged there; add an empty piece where the cut is clean."""
    if pieces and pieces[-1].reason:
        return [*pieces[:-1], Piece(pieces[-1].text, damage)]
    return [*pieces, Piece("", damage)]
