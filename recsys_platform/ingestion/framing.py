"""Frame records: find where each record of a landing object begins and ends.

Firehose writes JSON objects one after another, with or without anything between them, gzipped or plain. Whatever cannot be
read is kept as a rejected piece with its reason: nothing that landed is lost.
"""

import gc
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from isal import isal_zlib

from recsys_platform.ingestion.envelope import NOT_AN_OBJECT
from recsys_platform.ingestion.file_formats import foreign_format

TRUNCATED, DAMAGED, NOT_UTF8, FOREIGN = "truncated gzip", "damaged gzip", "not UTF-8", "not JSON text but"
DAMAGE = (TRUNCATED, DAMAGED, NOT_UTF8, FOREIGN)
"""How the reasons begin of pieces whose text is not what was sent: only a corrected payload can replace them."""

NOT_A_VALUE, NOT_A_KEY = "not JSON: expecting value", "not JSON: expecting property name enclosed in double quotes"
HALF_A_CHARACTER, TOO_DEEP = "not JSON: half a character (an unpaired \\u surrogate)", "not JSON: nested too deeply"

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_LAYERS = 4
_BLANKS = " \t\r\n\f\v\x1e\ufeff"
_BLANK = re.compile(f"[{_BLANKS}]*")
_STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_SCALAR = rf"(?:{_STRING}|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null)"
_SPACE = r"[ \t\r\n]*+"
_KEY = rf"{_STRING}{_SPACE}:{_SPACE}"
_FLAT_ARRAY = rf"\[{_SPACE}(?:(?:{_SCALAR}{_SPACE},{_SPACE})*+{_SCALAR}{_SPACE})?+\]"
_FLAT_OBJECT = rf"\{{{_SPACE}(?:(?:{_KEY}{_SCALAR}{_SPACE},{_SPACE})*+{_KEY}{_SCALAR}{_SPACE})?+\}}"
_VALUE = rf"(?:{_SCALAR}|{_FLAT_OBJECT}|{_FLAT_ARRAY})"
_MEMBERS = rf"\{{{_SPACE}(?:{_KEY}{_VALUE}{_SPACE},{_SPACE})*+"
_SHALLOW_OBJECT = rf"(?>{_MEMBERS}{_KEY}{_VALUE}{_SPACE}\}}|\{{{_SPACE}\}})"
_ELEMENTS = rf"\[{_SPACE}(?:{_VALUE}{_SPACE},{_SPACE})*+(?:{_VALUE}{_SPACE}\]|(?!{_VALUE})[\[{{])"
_DEEPER = rf"(?:{_ELEMENTS}|\{{{_SPACE}\")"
# An object that is nested no deeper than this, or as much of another as stands before what is nested deeper.
_OPENING = re.compile(rf"{_SHALLOW_OBJECT}|{_MEMBERS}{_KEY}(?!{_VALUE}){_DEEPER}")
# What most texts consist of, even the worst, found in one step: objects, single values, lines that begin with neither object nor
# array or with an array that no value can begin, and braces that open nothing before a line that does.
_LINE = r"[^\[{][^\n{]*+|\[[ \t]*+[^\s\"\[\]{\-0-9tfnNI][^\n{]*+"
_SIMPLE = re.compile(
    rf"(?:({_SHALLOW_OBJECT})|({_SCALAR})|({_LINE})|(\{{[ \t]*+(?:[^\"{{}}\s][^{{}}\n]*+)?(?=\n\{{)))[{_BLANKS}]*+"
)
_JUNK = re.compile(r".[^\n{]*+", re.DOTALL)
_BRACE_OR_STRING = re.compile(r'[{}]|"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.DOTALL)
_FLAW = re.compile(r"\\u[dD][89a-fA-F]|NaN|Infinity")
# A bracket and whole strings before it; or a place where no value can go on.
_NEXT_BRACKET = re.compile(r'[^][{}"\\]*+(?:"(?:[^"\\\n]++|\\.)*+"[^][{}"\\]*+)*+([][{}]|["\\]|\Z)')
_OBJECT = 1  # the groups of _SIMPLE
_REASONS = (None, None, NOT_AN_OBJECT, NOT_A_VALUE, NOT_A_KEY)
_FAR, _SHORT, _DEEP = 1 << 13, 16, 400
_BAD_BYTE = re.compile("[\udc80-\udcff]")


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


# Numbers stay text: they are not needed here, and Python refuses whole numbers of more than 4,300 digits.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=str, parse_float=str)
_STRUCTURE = json.JSONDecoder(parse_constant=str, parse_int=str, parse_float=str)


class Piece(NamedTuple):
    """One record as it stands in the object; `reason` is set where it cannot be read."""

    text: str
    reason: str | None = None


def split_records(data: bytes) -> list[Piece]:
    """The records of a landing object in order, readable or not; never raises."""
    raw, damage = decompress(data)
    if found := foreign_format(raw):
        return [Piece("", f"{FOREIGN} {found}")]
    text = raw.decode("utf-8", errors="surrogateescape")
    with _no_garbage_collection():
        pieces = [piece for piece, _ in Framing(text).pieces()]
        if not text.isascii():
            pieces = [_with_replacement_characters(piece) for piece in pieces]
    return _mark_damage(pieces, damage) if damage else pieces


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of pieces hold no circles: to look for some again and again would double the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def decompress(data: bytes) -> tuple[bytes, str | None]:
    """The plain bytes of a gzip or plain object as far as they can be read, and what is wrong with the rest.

    What was compressed twice, by who sent it and by who delivered it, is read too.
    """
    plain, damage = _decompress_once(data)
    for _ in range(_GZIP_LAYERS - 1):
        if not plain.startswith(_GZIP_MAGIC):
            break
        plain, damage_within = _decompress_once(plain)
        damage = damage or damage_within
    return plain, damage


def _decompress_once(data: bytes) -> tuple[bytes, str | None]:
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
            return b"".join([*plain, *_readable_prefix(data)]), f"{DAMAGED}: {what}"
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


def _readable_prefix(data: bytes) -> Iterator[bytes]:
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
    """Finds the records of a text, from any place on where one begins; in linear time, whatever the text is."""

    def __init__(self, text: str) -> None:
        endless = bytearray(len(text))
        self.text, self._has_flaws = text, _FLAW.search(text) is not None
        self._decoder = _Decoder(text, endless)
        self._starts, self._lines = _Starts(text, _Decoder(text, endless)), _LineStarts(text)

    def pieces(self, position: int = 0) -> Iterator[tuple[Piece, int]]:
        """The pieces from a place on, each with the place where the next one begins; ask for growing places only."""
        text, simple = self.text, _SIMPLE.match
        position = _skip_blank(text, position)
        while position < len(text):
            found = simple(text, position)
            if found:
                piece, position = self._simple_piece(found), found.end()
            else:
                end, reason = self._read_one(position)
                piece, position = Piece(text[position:end].rstrip(_BLANKS), reason), _skip_blank(text, end)
            yield piece, position

    def _simple_piece(self, found: re.Match[str]) -> Piece:
        kind = found.lastindex or 0
        if kind == _OBJECT:
            return Piece(found[_OBJECT], self._find_flaw(*found.span(_OBJECT)) if self._has_flaws else None)
        return Piece(found[kind].rstrip(_BLANKS), _REASONS[kind])

    def _read_one(self, position: int) -> tuple[int, str | None]:
        """Where the object or array that begins here ends, and why it cannot be read, if so."""
        end = self._decoder.end_of_value(position)
        if end is None:
            return self._end_of_broken(position)
        if self.text[position] == "[":
            return end, NOT_AN_OBJECT
        return end, self._find_flaw(position, end)

    def _end_of_broken(self, position: int) -> tuple[int, str]:
        """Where an unreadable piece ends: with its own braces, else at the next record or the next line that opens one."""
        text = self.text
        if text[position] == "[":
            junk = _JUNK.match(text, position)
            end = junk.end() if junk else len(text)
        else:
            limit = min(self._lines.after(position), self._starts.after(position))
            end = _balanced_end(text, position, limit) or limit
        return end, _reason_of_broken(text[position:end].rstrip(_BLANKS))

    def _find_flaw(self, at: int, end: int) -> str | None:
        """Why the object between two places is rejected all the same: NaN and the like, or text that UTF-8 cannot write."""
        if not _FLAW.search(self.text, at, end):
            return None
        piece = self.text[at:end]
        return _decoding_error(piece) or (None if _is_text(_DECODER.decode(piece)) else HALF_A_CHARACTER)


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _reason_of_broken(piece: str) -> str:
    """Why an object or array that is broken cannot be read."""
    return (_short_error(piece) if len(piece) <= _SHORT else _decoding_error(piece)) or TOO_DEEP


def _decoding_error(piece: str) -> str | None:
    """What is wrong with the value that a piece begins with; None for nothing."""
    try:
        _DECODER.raw_decode(piece)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg.lower().removesuffix(' at')}"
    except RecursionError:
        return TOO_DEEP
    return None


_short_error = lru_cache(1 << 12)(_decoding_error)


def _is_text(value: object) -> bool:
    """Whether all strings of a value can be written as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _balanced_end(text: str, position: int, limit: int) -> int | None:
    """Where the brace that opens at a position is closed, braces in strings aside; None if it is not before the limit."""
    if text.find("}", position, limit) < 0:
        return None
    depth = 0
    for token in _BRACE_OR_STRING.finditer(text, position, limit):
        depth += {"{": 1, "}": -1}.get(text[token.start()], 0)
        if depth == 0:
            return token.end()
    return None


class _Decoder:
    """Finds where objects and arrays end anywhere in a text.

    Whatever is open where an error stands never ends. That is remembered, so that no part of a text is read more than
    a few times. Python's error counts the lines before it: after one, decoding goes on in what is left, or many would take forever.
    """

    def __init__(self, text: str, endless: bytearray) -> None:
        self.text = self._rest = text
        self._base = 0
        self._endless = endless

    def end_of_value(self, at: int) -> int | None:
        """Where the object or array that begins at a place ends; None if it is broken."""
        if self._endless[at]:
            return None
        if self.text[at] == "{":
            opening = _OPENING.match(self.text, at)
            if opening is None or self.text[opening.end() - 1] == "}":
                return opening and opening.end()
        return self._decoded_end(at)

    def _decoded_end(self, at: int) -> int | None:
        try:
            return self._base + int(_STRUCTURE.raw_decode(self._rest, at - self._base)[1])
        except json.JSONDecodeError as error:
            self._note_endless(at, self._base + error.pos)
        except RecursionError:
            self._note_endless(at, len(self.text))
        if at - self._base > _FAR:
            self._rest, self._base = self.text[at:], at
        return None

    def _note_endless(self, at: int, stop: int) -> None:
        """Note what is open between where decoding began and where it failed, and what is nested too deeply."""
        self._endless[at] = True
        for place in _open_brackets(self.text, at, stop, self._endless):
            self._endless[place] = True


def _open_brackets(text: str, start: int, stop: int, noted: bytearray) -> list[int]:
    """The brackets that are open at `stop`, or before it where no value can go on; those nested too deeply are noted."""
    is_open: list[int] = []
    for token in _NEXT_BRACKET.finditer(text, start, stop):
        letter = token[1]
        if letter == "{" or letter == "[":
            is_open.append(token.start(1))
            if len(is_open) > _DEEP:
                noted[is_open[-_DEEP - 1]] = True
        elif letter == "}" or letter == "]":
            is_open.pop()
            if not is_open:
                break
        else:
            break
    return is_open


class _LineStarts:
    """Finds the next line that opens an object."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found = -1

    def after(self, position: int) -> int:
        """Where the first line after a position begins that opens an object; the end of the text if there is none."""
        if self.found <= position:
            line = self.text.find("\n{", position)
            self.found = len(self.text) if line < 0 else line + 1
        return self.found


class _Starts:
    """Finds the next readable record; what was found is remembered, so that a text of many broken pieces is searched once."""

    def __init__(self, text: str, decoder: _Decoder) -> None:
        self.text, self.decoder = text, decoder
        self.found = -1

    def after(self, position: int) -> int:
        """Where the first readable record after a position begins; the end of the text if there is none."""
        if self.found <= position:
            self.found = self._find_next(position + 1)
        return self.found

    def _find_next(self, position: int) -> int:
        while opening := _OPENING.search(self.text, position):
            at = opening.start()
            end = self.decoder.end_of_value(at)
            if end is not None and self._stands_alone(at, end):
                return at
            position = end or at + 1
        return len(self.text)

    def _stands_alone(self, at: int, end: int) -> bool:
        """Not inside another object: a record follows; or the line ends and what came before does not ask for a value."""
        following = _skip_blank(self.text, end)
        if self.text[following : following + 1] == "{":
            return True
        if following < len(self.text) and "\n" not in self.text[end:following]:
            return False
        before = at - 1
        while before and self.text[before] in _BLANKS:
            before -= 1
        return self.text[at - 1] == "\n" or self.text[before] not in ",:["


def _with_replacement_characters(piece: Piece) -> Piece:
    """A piece with bytes that are not UTF-8 is rejected; they are shown as replacement characters."""
    if piece.text.isascii() or not _BAD_BYTE.search(piece.text):
        return piece
    return Piece(piece.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), NOT_UTF8)


def _mark_damage(pieces: list[Piece], damage: str) -> list[Piece]:
    """Give the unreadable tail the damage as its reason; add an empty piece where the last piece is whole."""
    if pieces and pieces[-1].reason:
        return [*pieces[:-1], Piece(pieces[-1].text, damage)]
    return [*pieces, Piece("", damage)]
