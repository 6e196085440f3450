"""Where a secret may hide, and in which forms: what a search for planted secrets goes through."""

import base64
import gzip
import io
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import boto3
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

PIECE = 24
"""Bytes of a form that is long: so many of it in a row are no accident."""
Forms = Mapping[str, frozenset[bytes]]
"""By the name of a secret, the bytes that give it away."""


def forms_of_text(secret: str) -> frozenset[bytes]:
    """As it is, in a URL, in hexadecimal, and in base64 wherever it begins in what was encoded."""
    plain = secret.encode()
    digits = plain.hex()
    return frozenset(
        {plain, quote(secret, safe="").encode(), digits.encode(), digits.upper().encode(), *_base64(plain)}
    )


def forms_of_key(pem: str, phrase: str | None) -> frozenset[bytes]:
    """The lines of the PEM as given, and the key behind it: its numbers, its DER, its PEM without a passphrase."""
    key = load_pem_private_key(pem.encode(), phrase.encode() if phrase else None)
    assert isinstance(key, RSAPrivateKey)
    numbers = key.private_numbers()
    found = set(_pieces(_body(pem)))
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        plain = _body(key.private_bytes(Encoding.PEM, form, NoEncryption()).decode())
        found |= set(_pieces(plain[len(plain) // 3 :]))  # what comes before is the public part
    for number in (numbers.p, numbers.q, numbers.d):
        plain = number.to_bytes((number.bit_length() + 7) // 8, "big")
        found |= {plain[8 : 8 + PIECE], *_base64(plain[8 : 8 + PIECE]), plain.hex()[8:40].encode()}
        found |= {plain.hex()[8:40].upper().encode(), str(number)[8:40].encode()}
    return frozenset(found)


def _body(pem: str) -> bytes:
    return "".join(line for line in pem.splitlines() if not line.startswith("-----")).encode()


def _pieces(text: bytes) -> Iterator[bytes]:
    """Pieces so short that wrapped text, at whatever width, has some of them whole; without the first, which all keys share."""
    for start in range(PIECE * 2, len(text) - PIECE, PIECE):
        yield text[start : start + PIECE]


def _base64(plain: bytes) -> Iterator[bytes]:
    """What is sure to stand in the base64 of a text that holds this one, at each of three offsets."""
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        yield coded[-(-offset * 8 // 6) : (offset + len(plain)) // 3 * 4]


def findings(forms: Forms, places: Iterator[tuple[str, bytes]]) -> list[str]:
    """`place: secret` for every secret in any form that is in a place."""
    return sorted(
        {f"{place}: {name}" for place, data in places for name, given in forms.items() if any(f in data for f in given)}
    )


def in_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file with its name, and what is packed in it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        yield name, name.encode()
        yield from ((name, data) for data in unpacked(path.read_bytes()))


def in_bucket(bucket: str) -> Iterator[tuple[str, bytes]]:
    """Every object with its key and metadata, and what is packed in it."""
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for key in (item["Key"] for item in page.get("Contents", [])):
            answer = s3.get_object(Bucket=bucket, Key=key)
            yield key, f"{key} {answer['Metadata']}".encode()
            yield from ((key, data) for data in unpacked(answer["Body"].read()))


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes themselves, and again what is compressed in them."""
    yield data
    if data.startswith(b"\x1f\x8b"):
        yield from unpacked(gzip.decompress(data))
    elif data.startswith(b"PAR1"):
        yield repr(pq.read_table(io.BytesIO(data)).to_pydict()).encode()
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif data.startswith(b"SQLite format 3\0"):
        yield from _cells(data)


def _cells(data: bytes) -> Iterator[bytes]:
    """The values of an SQLite file: long ones lie in pieces in it. Dagster compresses snapshots of jobs."""
    with sqlite3.connect(":memory:") as con:
        con.deserialize(data[:18] + b"\1\1" + data[20:])  # in memory there is no write-ahead log
        for (table,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            for row in con.execute(f'select * from "{table}"'):
                for value in row:
                    plain = value if isinstance(value, bytes) else str(value).encode()
                    yield zlib.decompress(plain) if plain.startswith(b"x\x9c") else plain
