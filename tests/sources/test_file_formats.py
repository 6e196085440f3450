"""Files of one's own are read by what is in them, whatever wrote them."""

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.hub.local import FolderHub
from recsys_platform.sources.file_import import import_files
from recsys_platform.sources.file_options import events_of
from recsys_platform.sources.tabular import read_table
from tests.support.own_files import DAY, landed, replayed, who_and_what

IDS = {"columns": {"user_id": "userId", "book_id": "item_id"}}
NUMBERED = {
    "columns": {"user_id": "1", "book_id": "2", "rating": "3", "timestamp": "4"},
    "headerless": frozenset({"interactions"}),
}
SHAPES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "tabs and a byte-order mark": (b"\xef\xbb\xbfuserId\titem_id\n1\tb1\n", IDS),
    "tabs in UTF-16, as spreadsheets write": ("userId\titem_id\n1\tb1\n".encode("utf-16"), IDS),
    "semicolons and quotes": (b'"userId";"item_id"\r\n"1";"b1"\r\n', IDS),
    "bars": (b"userId|item_id\n1|b1\n", IDS),
    "tabs without a header": (b"1\tb1\t3\t1772359200\n", NUMBERED),
    "pairs of colons without a header": (b"1::b1::3::1772359200\n", NUMBERED),
    "commas after an empty line": (b"\nuserId,item_id\n1,b1\n", IDS),
    "blanks around names": (b"userId , item_id\n1, b1\n", IDS),
    "JSON Lines": (b'{"userId": 1, "item_id": "b1"}\n\n', IDS),
    "JSON Lines in gzip": (gzip.compress(b'{"userId": 1, "item_id": "b1"}\n'), IDS),
    "a JSON array": (b'[{"userId": 1, "item_id": "b1"}]', IDS),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_file_is_read_by_what_is_in_it(tmp_path: Path, shape: str) -> None:
    content, options = SHAPES[shape]
    replayed(tmp_path, content, **options)
    assert who_and_what(tmp_path) == [("1", "b1")]


def test_latin_1_is_read_when_it_is_named(tmp_path: Path) -> None:
    books = "book_id;title\nb1;Käse\n".encode("latin-1")
    with pytest.raises(InputError, match="--encoding latin-1"):
        replayed(tmp_path, "user_id,book_id\nu1,b1\n", books)
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, encoding="latin-1")
    assert landed(tmp_path, "book_attributes/")[0]["title"] == "Käse"


def test_quotes_inside_quotes_may_have_backslashes(tmp_path: Path) -> None:
    books = 'ISBN;Title\n"b1";"the \\"real\\"; one"\n"b2";"two"\n'
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", books, columns={"book_id": "ISBN", "title": "Title"})
    assert [book["title"] for book in landed(tmp_path, "book_attributes/")] == ['the "real"; one', "two"]


def test_line_1_that_is_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="If line 1 is data, give --no-header"):
        replayed(tmp_path, "196\t242\t3\t881250949\n186\t302\t3\t891717742\n")


def test_ids_that_parquet_holds_as_fractions_are_whole(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": [1.0, 123456789012.0], "book_id": [7.0, None]}).slice(0, 1), tmp_path / "i")
    done = import_files(FolderHub(tmp_path / "hub"), interactions=tmp_path / "i", books=tmp_path / "i", date=DAY)
    assert (who_and_what(tmp_path), done.unknown_books) == ([("1", "7")], 0)


@pytest.mark.parametrize(
    "data", [b"\xfd7zXZ\x00\x00\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00", b"PK\x03\x04\x14\x00"]
)
def test_a_file_that_is_no_table_is_named_as_what_it_is(tmp_path, data) -> None:
    path = tmp_path / "ratings.csv"
    path.write_bytes(data + bytes(range(200)))
    with pytest.raises(InputError, match=r"is (xz|an old Excel workbook|a ZIP archive): unpack it"):
        read_table(path, required=("user_id",))


def packed_parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


UNUSED: dict[str, list[Any]] = {
    "objects": [{"a": 1}], "lists of objects": [[{"a": 1}]], "lists of lists": [[[1]]], "bytes": [b"\xff\xfe"],
    "objects of bytes": [{"path": "x", "bytes": b"\xff"}],
}  # fmt: skip


@pytest.mark.parametrize("kind", UNUSED)
def test_a_column_that_nobody_uses_may_hold_anything(tmp_path: Path, kind: str) -> None:
    events, books = {"user_id": ["u1"], "book_id": ["b1"]}, {"book_id": ["b1"], "title": ["One"]}
    replayed(tmp_path, packed_parquet(**events, more=UNUSED[kind]), packed_parquet(**books, more=UNUSED[kind]))
    assert who_and_what(tmp_path) == [("u1", "b1")]
    assert landed(tmp_path, "book_attributes/") == [{"book_id": "b1", "title": "One", "is_available": True}]
    if "bytes" not in kind:
        event, book = ({name: each[0] for name, each in row.items()} for row in (events, books))
        (tmp_path / "json").mkdir()
        replayed(
            tmp_path / "json",
            json.dumps({**event, "more": UNUSED[kind][0]}),
            json.dumps({**book, "more": UNUSED[kind][0]}),
        )
        assert landed(tmp_path / "json", "book_attributes/") == landed(tmp_path, "book_attributes/")


def test_what_is_not_used_is_shown(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "i").write_text('{"user_id": "u1", "book_id": "b1", "context": {"page": 1}}\n')
    (tmp_path / "b").write_text('{"book_id": "b1", "shelf": "A", "size": {"height": 1}}\n')
    import_files(FolderHub(tmp_path), interactions=tmp_path / "i", books=tmp_path / "b", date=DAY, preview=lines.append)
    assert [line.split("; ")[1:] for line in lines if "JSON Lines" in line] == [
        ["user_id, book_id", "not used: context"],
        ["book_id, shelf", "not used: size"],
    ]


@pytest.mark.parametrize("value", [["x"], {"a": 1}, [{"a": 1}]])
@pytest.mark.parametrize(
    ("file", "column"),
    [("i", "user_id"), ("i", "timestamp"), ("i", "event"), ("b", "book_id"), ("b", "title"), ("b", "published_at")],
)
def test_several_values_where_one_is_needed_are_told_with_their_line(
    tmp_path: Path, value: Any, file: str, column: str
) -> None:
    rows = {"i": {"user_id": "u1", "book_id": "b1"}, "b": {"book_id": "b1"}}
    contents = {name: f"{json.dumps(row)}\n" for name, row in rows.items()}
    contents[file] += f"{json.dumps({**rows[file], 'book_id': 'b2', column: value})}\n"
    with pytest.raises(InputError, match=rf"line 2, column {column}: (a list, where|a nested value)"):
        replayed(tmp_path, contents["i"], contents["b"])
    assert not (tmp_path / "hub").exists()


def test_several_authors_are_one_text(tmp_path: Path) -> None:
    replayed(tmp_path, "user_id,book_id\nu1,b1\n", '{"book_id": "b1", "author": ["Ada", null, "Bo"]}')
    assert landed(tmp_path, "book_attributes/")[0]["author"] == "Ada, Bo"


CSV = b"user_id,book_id\nu1,b1\n"


def archive(mode: str) -> bytes:
    buffer = io.BytesIO()
    if mode.startswith("w"):
        with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
            member = tarfile.TarInfo("ratings.csv")
            member.size = len(CSV)
            tar.addfile(member, io.BytesIO(CSV))
    else:
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr(mode, CSV)
    return buffer.getvalue()


FOREIGN = {
    "a tar archive": archive("w"), "a tar archive within gzip": archive("w:gz"), "a ZIP archive": archive("ratings.csv"),
    "a ZIP archive within gzip": gzip.compress(archive("ratings.csv")), "an Excel workbook": archive("xl/workbook.xml"),
    "an OpenDocument file": archive("content.xml"), "bzip2": bz2.compress(CSV), "xz": lzma.compress(CSV),
    "Zstandard": bytes(pa.compress(CSV, codec="zstd", asbytes=True)), "gzip within gzip": gzip.compress(gzip.compress(CSV)),
    "bzip2 within gzip": gzip.compress(bz2.compress(CSV)), "a PDF document": b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "a RAR archive": b"Rar!\x1a\x07\x01\x00" + CSV, "HTML or XML": b"\n<!DOCTYPE html><html><table></table></html>",
}  # fmt: skip


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_table_is_named_and_told_what_to_do(tmp_path: Path, what: str) -> None:
    with pytest.raises(InputError, match=rf"interactions is {what}: .* as CSV, and give that file\.$"):
        replayed(tmp_path, FOREIGN[what])
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    "content",
    [
        packed_parquet(user_id=["u1"], book_id=["b1"]),
        CSV,
        CSV.replace(b",", b"\t"),
        b'{"user_id": "u1", "book_id": "b1"}\n',
        b'[{"user_id": "u1", "book_id": "b1"}]',
    ],
)
@pytest.mark.parametrize("after", [b"", b"\0" * 16])
def test_every_table_may_be_gzipped(tmp_path: Path, content: bytes, after: bytes) -> None:
    replayed(tmp_path, gzip.compress(content) + after)
    assert who_and_what(tmp_path) == [("u1", "b1")]


@pytest.mark.parametrize(
    "blank", ["\n", "\n\n\n", " \n", "   ", "\t\n", " \n\t\n\n", "\r\n \r\n", "\u00a0\n", ",\n", ',""\n', ",,,\n"]
)
@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_lines_that_hold_nothing_are_no_rows(tmp_path: Path, blank: str, mark: str) -> None:
    lines = ["user_id,book_id,rating\n", "u1,b1,4\n", "u2,b1,9\n"]
    first, second, third = (line.replace(",", mark) for line in lines)
    blank = blank.replace(",", mark)
    within = blank if blank.endswith("\n") else f"{blank}\n"
    books = f"book_id{mark}title\n{within}b1{mark}One\n{blank}"
    replayed(tmp_path, f"{first}{within}{second}{blank}", books)
    assert who_and_what(tmp_path) == [("u1", "b1")]
    assert len(landed(tmp_path, "book_attributes/")) == 1
    line = 3 + within.count("\n")
    with pytest.raises(InputError, match=f"line {line}, column rating: '9'"):
        replayed(tmp_path, f"{within}{first}{second}{third}")


def test_a_header_without_rows_has_no_rows(tmp_path: Path) -> None:
    for content in ("user_id,book_id", "user_id,book_id\n \n\n"):
        with pytest.raises(InputError, match="has no rows below its header"):
            replayed(tmp_path, content)


@pytest.mark.parametrize("half", ["\\ud800", "\\udc00 x", "\\ud83d\\ud83d\\ude00"])
def test_half_a_character_is_a_question_mark_in_a_text_and_no_id(tmp_path: Path, half: str) -> None:
    row = '{"user_id": "u1", "book_id": "b1"}\n'
    for column in ("user_id", "book_id"):
        bad = json.dumps({"user_id": "u1", "book_id": "b1", column: "@"}).replace("@", half)
        with pytest.raises(InputError, match=f"line 2, column {column}: half a character"):
            replayed(tmp_path, row + bad)
    replayed(
        tmp_path, row.replace("}", f', "more": "{half}", "{half}": 1}}'), f'{{"book_id": "b1", "title": "{half}"}}'
    )
    assert landed(tmp_path, "book_attributes/")[0]["title"].startswith("?")


def test_rows_that_are_left_out_leave_no_trace(tmp_path: Path) -> None:
    rows = (
        "user_id,book_id,event,timestamp\n,b9,x,2026-05-01\nu9,b9,x,13.1.2026\nu8,b9,X,1.13.2026\n"
        "u1,b1,click,2026-01-01\nu2,b1,click,2026-01-03\n"
    )
    options = {"events": events_of(["x=", "click=Book Viewed"]), "last_day": dt.date(2026, 11, 20)}
    done = replayed(tmp_path, rows, **options)
    assert [record["timestamp"][:10] for record in landed(tmp_path)] == ["2026-11-18", "2026-11-20"]
    assert landed(tmp_path, "user_attributes/") == [{"user_id": "u1"}, {"user_id": "u2"}]
    assert (done.left_out, done.unknown_books, done.users) == (3, 0, 2)
    with pytest.raises(InputError, match="line 7, column timestamp: 'never' is not a valid time"):
        replayed(tmp_path, f"{rows}u3,b1,click,never\n", **options)
    with pytest.raises(InputError, match="has no rows left"):
        replayed(tmp_path, "user_id,book_id,event\nu1,b1,x\n", **options)
