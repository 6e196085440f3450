import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.events.framing import Piece, decompress, split_records

A, B = {"id": "a", "q": 'braces }{ and "quotes"'}, {"id": "b", "nested": {"list": [1, {"x": None}]}}


def texts(data: bytes) -> list[object]:
    return [json.loads(piece.text) for piece in split_records(data) if piece.reason is None]


def reasons(data: bytes) -> list[str | None]:
    return [piece.reason for piece in split_records(data)]


def test_objects_are_cut_with_newlines_without_and_pretty_printed():
    one, two = json.dumps(A), json.dumps(B)
    for layout in (
        f"{one}{two}",
        f"{one}\n{two}\n",
        f"{one}\r\n{two}",
        json.dumps(A, indent=2) + json.dumps(B, indent=2),
        f"\ufeff{one} {two}",
    ):
        assert texts(layout.encode()) == [A, B]
        assert texts(gzip.compress(layout.encode())) == [A, B]


def test_several_gzip_members_are_one_object():
    assert texts(gzip.compress(json.dumps(A).encode()) + gzip.compress(json.dumps(B).encode())) == [A, B]


def test_an_empty_object_has_no_records():
    assert split_records(b"") == split_records(gzip.compress(b"")) == split_records(b" \n") == []


def test_a_line_that_is_not_json_is_rejected_and_its_neighbours_are_not():
    data = f"{json.dumps(A)}\nnot json\n{json.dumps(B)}".encode()
    assert texts(data) == [A, B]
    assert reasons(data) == [None, "not JSON: expecting value", None]


def test_a_value_that_is_no_object_is_rejected():
    assert reasons(b'[1, 2]\n{"a": NaN}') == ["not a JSON object", "not JSON: nan is not json"]


def test_a_truncated_gzip_gives_what_is_readable_and_one_rejected_tail():
    lines = "\n".join(json.dumps({"n": n, "noise": str(hash(str(n)))}) for n in range(2000)).encode()
    pieces = split_records(gzip.compress(lines)[:-4000])
    assert 100 < len(pieces) < 2000
    assert all(piece.reason is None for piece in pieces[:-1])
    assert pieces[-1].reason == "truncated gzip"


def test_a_cut_between_two_records_is_still_told():
    assert split_records(gzip.compress(b'{"a": 1}\n')[:-8]) == [Piece('{"a": 1}'), Piece("", "truncated gzip")]


def test_a_gzip_with_a_damaged_middle_is_told():
    data = bytearray(gzip.compress("\n".join(json.dumps({"n": n, "h": hash(str(n))}) for n in range(5000)).encode()))
    data[len(data) // 2 : len(data) // 2 + 50] = b"\xff" * 50
    assert str(decompress(bytes(data))[1]).startswith("damaged gzip")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=6),
    st.sampled_from(["", "\n", "\r\n", "  "]),
    st.booleans(),
)
def test_whatever_objects_are_written_one_after_another_are_read_back(records, delimiter, packed):
    data = delimiter.join(json.dumps(record) for record in records).encode()
    assert texts(gzip.compress(data) if packed else data) == records


@given(st.binary(max_size=300))
def test_no_bytes_break_the_framing(data):
    assert all(isinstance(piece.text, str) for piece in split_records(data))
