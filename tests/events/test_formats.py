"""Formats that are no JSON text are named and never read in part, neither by an import nor at load."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet
import pytest

from recsys_platform.hub.layout import LANDING
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.ingestion.framing import Piece, split_records
from recsys_platform.ingestion.splitting import split_by_guess
from recsys_platform.sources.event_import import import_events

TEXT = "".join(
    json.dumps({"messageId": str(n), "timestamp": "2026-11-22T09:00:00Z", "userId": "u1"}) + "\n" for n in range(50)
).encode()
LITTLE = b'{"messageId":"1"}\n'


def zipped(text):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("events.json", text)
    return file.getvalue()


def table(write):
    file = io.BytesIO()
    write(pa.table({"messageId": ["1", "2"]}), file)
    return file.getvalue()


def by_arrow(codec, text):
    return pa.Codec(codec).compress(text, asbytes=True)


def in_blocks(text):
    block = by_arrow("snappy", text)
    return len(text).to_bytes(4, "big") + len(block).to_bytes(4, "big") + block


FORMATS = {
    "a ZIP archive": zipped(TEXT),
    "bzip2": bz2.compress(TEXT),
    "xz": lzma.compress(TEXT),
    "Zstandard": by_arrow("zstd", TEXT),
    "LZ4": by_arrow("lz4", TEXT),
    "Parquet": table(pyarrow.parquet.write_table),
    "ORC": table(pyarrow.orc.write_table),
    "Avro": b"Obj\x01\x04\x14avro.codec\x08null\x00" + TEXT,
    "UTF-16": TEXT.decode().encode("utf-16"),
}
SNAPPY = [
    by_arrow("snappy", TEXT),
    by_arrow("snappy", LITTLE),
    in_blocks(TEXT),
    in_blocks(LITTLE),
    b"\xff\x06\x00\x00sNaPpY" + TEXT,
]
ALL = [*FORMATS.items(), *(("Snappy", data) for data in SNAPPY)]


@pytest.mark.parametrize(("name", "data"), ALL)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_another_format_is_one_rejected_piece_that_names_it(name, data, pack):
    assert split_records(pack(data)) == [Piece("", f"not JSON text but {name}")]
    assert split_by_guess(pack(data)) is None


@pytest.mark.parametrize(("name", "data"), ALL)
def test_an_import_refuses_another_format_and_brings_in_what_is_beside_it(tmp_path, name, data):
    theirs, hub = tmp_path / "theirs", FolderHub(tmp_path / "hub")
    theirs.mkdir()
    (theirs / "a.bin").write_bytes(data)
    (theirs / "b.json").write_bytes(TEXT)
    summary = import_events(hub, str(theirs), source="segment")
    assert f"a.bin is {name}, not JSON text" in summary.refused[0]
    assert (summary.records, len(hub.objects(f"{LANDING}/"))) == (50, 1)


@pytest.mark.parametrize(
    "text",
    ["PAR1 is no JSON", "ORC", "BZh", "PK", '{"a": 1}', "[1]", "x@{}", "12", "", "\n{}", "?idsite=1", "{{", "[{"],
)
def test_text_is_no_other_format(text):
    assert foreign_format(text.encode()) is None
