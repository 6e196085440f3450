"""Cut a whole landing object into records at a guess, fast.

The guess is right if every piece is a JSON object: then nothing else can have been meant. Whoever takes a guess must check that, and
go to `framing.py` where it does not hold.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from recsys_platform.events.framing import decompress

_LINE, _OPEN, _CLOSE = b"\n"[0], b"{"[0], b"}"[0]


def cut_at_a_guess(data: bytes) -> pa.Array | None:
    """The pieces of an object (large strings) at its line ends or, without any, where `}` meets `{`; None if it is damaged."""
    raw, damage = decompress(data)
    if damage or b"\r" in raw:
        return None
    letters = np.frombuffer(raw, np.uint8)
    if b"\n" in raw:
        ends = np.flatnonzero(letters == _LINE)
        return _pieces(raw.replace(b"\n", b""), ends - np.arange(len(ends)))
    return _pieces(raw, np.flatnonzero((letters[:-1] == _CLOSE) & (letters[1:] == _OPEN)) + 1)


def _pieces(text: bytes, cuts: np.ndarray[Any, np.dtype[np.int64]]) -> pa.Array | None:
    """What stands between the cuts, empty pieces left out; None if it is not UTF-8."""
    offsets = np.unique(np.concatenate(([0], cuts, [len(text)]))).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    pieces = pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)
    try:
        pieces.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return pieces
