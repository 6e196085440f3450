"""Split a whole landing object into records by a guess, fast.

The guess is right where a piece is a JSON object: no other reading is possible. The caller checks that, and reframes what is not a
JSON object with `reframe_broken`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from recsys_platform.common.errors import HubError
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.ingestion.framing import Framing, Piece, decompress

Places = np.ndarray[Any, np.dtype[np.int64]]
_LINE, _OPEN, _CLOSE = b"\n"[0], b"{"[0], b"}"[0]


def split_by_guess(data: bytes) -> pa.Array | None:
    """The pieces of an object (large strings) at its line ends or, without any, where `}` meets `{`; None if it is damaged."""
    raw, damage = decompress(data)
    if damage or b"\r" in raw or foreign_format(raw):
        return None
    starts, ends = _piece_spans(raw)
    offsets = np.concatenate(([0], np.cumsum(ends - starts)))
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(raw.replace(b"\n", b""))]
    pieces = pa.Array.from_buffers(pa.large_string(), len(starts), buffers)
    return pieces if _is_utf8(pieces) else None


def _piece_spans(raw: bytes) -> tuple[Places, Places]:
    """Where the pieces begin and end, empty ones left out."""
    letters = np.frombuffer(raw, np.uint8)
    if b"\n" in raw:
        ends = np.append(np.flatnonzero(letters == _LINE), len(raw))
        starts = np.concatenate(([0], ends[:-1] + 1))
    else:
        cuts = np.flatnonzero((letters[:-1] == _CLOSE) & (letters[1:] == _OPEN)) + 1
        starts, ends = np.concatenate(([0], cuts)), np.append(cuts, len(raw))
    return starts[starts < ends], ends[starts < ends]


def _is_utf8(pieces: pa.Array) -> bool:
    try:
        pieces.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


@dataclass(frozen=True)
class Reframed:
    """Records that stand in place of the guesses `first` to `until - 1`."""

    first: int
    until: int
    pieces: Sequence[Piece]


def reframe_broken(data: bytes, broken: Sequence[int], *, of: int) -> Iterator[Reframed]:
    """Frame anew where guesses are broken, each time up to the next that is not; `broken` numbers those `of` so many, in order.

    Raises `HubError` if these are not the bytes that were guessed.
    """
    raw, _ = decompress(data)
    starts = _in_characters(raw, _piece_spans(raw)[0])
    if len(starts) != of:
        raise HubError("A landing object was replaced while it was read: run again.")
    is_broken = np.zeros(of, bool)
    is_broken[list(broken)] = True
    framing, guesses = Framing(raw.decode()), _Guesses(starts.tolist(), is_broken.tolist())
    reached = 0
    for first in broken:
        if first >= reached:
            reached, pieces = guesses.up_to_sound(framing, first)
            yield Reframed(first, reached, pieces)


def _in_characters(raw: bytes, places: Places) -> Places:
    """Byte places of a UTF-8 text as places in its characters."""
    if raw.isascii():
        return places
    begins = np.frombuffer(raw, np.uint8) & 0xC0 != 0x80
    lengths = np.add.reduceat(begins, places, dtype=np.int64)
    return np.cumsum(lengths) - lengths + np.count_nonzero(begins[: places[0]])


@dataclass(frozen=True)
class _Guesses:
    """Where guesses begin, and which of them are broken."""

    starts: Sequence[int]
    is_broken: Sequence[bool]

    def up_to_sound(self, framing: Framing, first: int) -> tuple[int, list[Piece]]:
        """The next guess that is sound and begins where a piece ends, and the pieces from a guess on up to it."""
        starts, number, pieces = self.starts, first, []
        for piece, position in framing.pieces(starts[first]):
            pieces.append(piece)
            while number < len(starts) and starts[number] < position:
                number += 1
            if number < len(starts) and starts[number] == position and not self.is_broken[number]:
                return number, pieces
        return len(starts), pieces
