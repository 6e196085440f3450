"""Cut the bytes of one landing object into records.

Firehose writes JSON objects one after another, with or without anything between them, gzipped or plain. Whatever cannot be
read is kept as a rejected piece with its reason: nothing that landed is lost.
"""

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_GZIP_MAGIC = b"\x1f\x8b"
_BLANK = re.compile(r"[\s\ufeff]*")
_RESYNC = re.compile(r"\n|(?<=\})(?=\{)")


def _refuse_constant(name: str) -> None:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


@dataclass(frozen=True)
class Piece:
    """One record as it stands in the object; `reason` is set where it cannot be read."""

    text: str
    reason: str | None = None


def split_records(data: bytes) -> list[Piece]:
    """The records of a landing object in order, readable or not."""
    raw, damage = decompress(data)
    text = raw.decode("utf-8", errors="replace")
    pieces = list(_split_text(text))
    return _blame_damage(pieces, damage) if damage else pieces


def decompress(data: bytes) -> tuple[bytes, str | None]:
    """The plain bytes of a gzip or plain object as far as they can be read, and what is wrong with the rest."""
    plain = []
    while data.startswith(_GZIP_MAGIC):
        stream = zlib.decompressobj(wbits=31)
        try:
            plain.append(stream.decompress(data))
        except zlib.error as error:
            return b"".join([*plain, *_readable(data)]), f"damaged gzip: {error}"
        if not stream.eof:
            return b"".join(plain), "truncated gzip"
        data = stream.unused_data
    padding_gone = data.strip(b"\0") if plain else data
    return b"".join([*plain, padding_gone]), None


def _readable(data: bytes) -> Iterator[bytes]:
    """Decompress in small steps up to the damage."""
    stream = zlib.decompressobj(wbits=31)
    for start in range(0, len(data), 1024):
        try:
            yield stream.decompress(data[start : start + 1024])
        except zlib.error:
            return


def _split_text(text: str) -> Iterator[Piece]:
    position = _skip_blank(text, 0)
    while position < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
            reason = None if isinstance(value, dict) else "not a JSON object"
        except json.JSONDecodeError as error:
            end, reason = _next_start(text, position), f"not JSON: {error.msg.lower()}"
        except RecursionError:
            end, reason = _next_start(text, position), "not JSON: nested too deeply"
        yield Piece(text[position:end].rstrip(), reason)
        position = _skip_blank(text, end)


def _skip_blank(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _next_start(text: str, position: int) -> int:
    """Where reading can go on after an unreadable piece: the next line, or the next object that follows a closed one."""
    match = _RESYNC.search(text, position + 1)
    return match.end() if match else len(text)


def _blame_damage(pieces: list[Piece], damage: str) -> list[Piece]:
    """Say of the unreadable tail that the object was damaged there; add an empty piece where the cut is clean."""
    if pieces and pieces[-1].reason:
        return [*pieces[:-1], Piece(pieces[-1].text, damage)]
    return [*pieces, Piece("", damage)]
