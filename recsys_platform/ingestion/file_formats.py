"""Recognize formats other than JSON text by their first bytes: such an object is named and never read in part.

Belongs here: what the first bytes say. Does not: converting such files.
"""

import re

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"PK\x07\x08", "a ZIP archive"),
    (b"PAR1", "Parquet"),
    (b"PARE", "encrypted Parquet"),
    (b"Obj\x01", "Avro"),
    (b"ORC", "ORC"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"\x02\x21\x4c\x18", "LZ4"),
    (b"\xff\x06\x00\x00sNaPpY", "Snappy"),
    (b"\x82SNAPPY\x00", "Snappy"),
    (b"\x89LZO\x00", "lzop"),
    (b"\x1f\x9d", "compress (.Z)"),
    (b"SEQ\x06", "a Hadoop sequence file"),
    (b"ARROW1", "Arrow"),
    (b"%PDF-", "a PDF document"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"FEA1", "Feather"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1d\x1f]")
_TAR = slice(257, 262)


def foreign_format(data: bytes) -> str | None:
    """The format of bytes that are no JSON text, for people; None for anything else."""
    for magic, name in _MAGIC:
        if data.startswith(magic) and not (magic.isalnum() and _goes_on_as_text(data, len(magic))):
            return name
    if data[_TAR] == b"ustar":
        return "a tar archive"
    return "Snappy" if _is_bare_snappy(data) or _is_hadoop_snappy(data) else None


def _goes_on_as_text(data: bytes, place: int) -> bool:
    """Whether what looks like a word or a length is text, as all of what follows it is."""
    following = data[place : place + 4096]
    try:
        following.decode()
    except UnicodeDecodeError as error:
        if error.start < len(following) - 3:
            return False
    return not _CONTROLS.search(following)


def _is_hadoop_snappy(data: bytes) -> bool:
    """Blocks, each with its length before and after compression in front, four bytes each."""
    if len(data) < 10 or data[0]:
        return False
    plain, packed = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    return 0 < packed <= len(data) - 8 and packed <= plain + plain // 6 + 32 and _is_bare_snappy(data[8 : 8 + packed])


def _is_bare_snappy(data: bytes) -> bool:
    """A length, and then JSON in a first literal that is as long as it says; no text begins so that goes on like that."""
    length, place = _read_varint(data)
    literal = _read_literal(data, place) if place else None
    if literal is None or not length:
        return False
    start, size = literal
    if data[start : start + 1] not in (b"{", b"["):
        return False
    if size == length:
        return start + size == len(data)
    return size < length and start + size < len(data) and not _goes_on_as_text(data, 0)


def _read_varint(data: bytes) -> tuple[int, int]:
    """A number written in groups of seven bits, and where it ends; (0, 0) if there is none."""
    number = 0
    for place, byte in enumerate(data[:5]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, place + 1
    return 0, 0


def _read_literal(data: bytes, place: int) -> tuple[int, int] | None:
    """Where the text of a literal of Snappy begins, and how long it is; None if there is no literal."""
    if place >= len(data) or data[place] & 3:
        return None
    size, more = data[place] >> 2, 0
    if size >= 60:
        more = size - 59
        size = int.from_bytes(data[place + 1 : place + 1 + more], "little")
    return place + 1 + more, size + 1
