"""The search for planted secrets finds them, however they are kept."""

import base64
import gzip
import io
import json
import sqlite3
import textwrap
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.snowflake.searching import findings, forms_of_key, forms_of_text, in_folder

SECRET = "salt-0123456789abcdef"  # noqa: S105
KEY = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")).decode()


def text_forms() -> dict[str, bytes]:
    text = f"before {SECRET} behind".encode()
    wide = pa.table({"a": ["x"], "b": [[{"c": SECRET}]]})
    parquet, archive = io.BytesIO(), io.BytesIO()
    pq.write_table(wide, parquet, compression="zstd")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a", text)
    coded = {f"base64 {n}": base64.b64encode(b"x" * n + text) for n in range(3)}
    return coded | {
        "plain": text,
        "json": json.dumps({"a": text.decode()}).encode(),
        "hex": text.hex().encode(),
        "gzip": gzip.compress(text),
        "parquet": parquet.getvalue(),
        "zip": archive.getvalue(),
    }


def key_forms(key: RSAPrivateKey) -> dict[str, bytes]:
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    coded = base64.b64encode(der).decode()
    return {
        "locked": PEM.encode(),
        "a line": PEM.splitlines()[5].encode(),
        "escaped": json.dumps(PEM).encode(),
        "unlocked": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "traditional": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "der": der,
        "der as Python shows it": repr(base64.b64decode(coded)).encode().hex().encode() + coded.encode(),
        "wrapped otherwise": "\n".join(textwrap.wrap(coded, 76)).encode(),
        "hex": der.hex().encode(),
        "numbers": str(key.private_numbers().d).encode(),
    }


@pytest.mark.parametrize("form", text_forms())
def test_a_text_is_found_in_any_form(tmp_path: Path, form: str) -> None:
    (tmp_path / "f").write_bytes(text_forms()[form])
    assert findings({"salt": forms_of_text(SECRET)}, in_folder(tmp_path)) == ["f: salt"]


@pytest.mark.parametrize("form", key_forms(KEY))
def test_a_key_is_found_in_any_form(tmp_path: Path, form: str) -> None:
    (tmp_path / "f").write_bytes(key_forms(KEY)[form])
    assert findings({"key": forms_of_key(PEM, "phrase")}, in_folder(tmp_path)) == ["f: key"]


def test_a_text_is_found_in_a_database_also_compressed_and_before_it_is_checkpointed(tmp_path: Path) -> None:
    plain, packed, wal = (sqlite3.connect(tmp_path / name) for name in ("plain", "packed", "wal"))
    wal.execute("pragma journal_mode = wal")
    for con, value in ((plain, "x" * 5_000 + SECRET), (packed, zlib.compress(SECRET.encode())), (wal, SECRET)):
        con.execute("create table t (v)")
        con.execute("insert into t values (?)", [value])
        con.commit()
    found = findings({"salt": forms_of_text(SECRET)}, in_folder(tmp_path))
    assert found == ["packed: salt", "plain: salt", "wal-wal: salt"]
    for con in (plain, packed, wal):
        con.close()


def test_what_everybody_may_know_is_not_found(tmp_path: Path) -> None:
    public = KEY.public_key()
    (tmp_path / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    other = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "another.pem").write_bytes(other)
    forms = {"key": forms_of_key(PEM, "phrase"), "salt": forms_of_text(SECRET)}
    assert findings(forms, in_folder(tmp_path)) == []


def test_the_name_of_a_file_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / SECRET).write_text("")
    assert findings({"salt": forms_of_text(SECRET)}, in_folder(tmp_path)) == [f"{SECRET}: salt"]
