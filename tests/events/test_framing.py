import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.common.json_text import read_json
from recsys_platform.ingestion.file_formats import foreign_format
from recsys_platform.ingestion.framing import Piece, decompress, split_records

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


@pytest.mark.parametrize("layers", [2, 3])
def test_what_was_compressed_more_than_once_is_read(layers):
    first, second = (json.dumps(each).encode() for each in (A, B))
    for _ in range(layers):
        first, second = gzip.compress(first), gzip.compress(second)
    assert texts(first) == [A]
    assert texts(first + second) == [A, B]
    assert texts(gzip.compress(first + second)) == [A, B]


def test_damage_within_a_second_compression_is_told():
    inner = gzip.compress(b'{"a": 1}\n')[:-8]
    assert split_records(gzip.compress(inner)) == [Piece('{"a": 1}'), Piece("", "truncated gzip")]


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


def test_the_bytes_before_a_damage_are_read_to_the_last():
    packed = bytearray(gzip.compress(b'{"id": "a"}'))
    packed[-8:-4] = b"\0\0\0\0"
    assert split_records(bytes(packed)) == [Piece('{"id": "a"}'), Piece("", "damaged gzip: incorrect data check")]


def test_a_record_with_bytes_that_are_not_utf_8_is_rejected_and_shown_as_far_as_it_can_be():
    pieces = split_records(b'{"id":"a"}\n{"id":"\xff\xfe","city":"Z\xc3\xbcrich"}\n{"id":"b"}')
    assert pieces == [
        Piece('{"id":"a"}'),
        Piece('{"id":"��","city":"Zürich"}', "not UTF-8"),
        Piece('{"id":"b"}'),
    ]


def test_half_a_character_written_as_an_escape_is_not_json():
    assert reasons(rb'{"a":"\ud83d"}{"a":"\ud83d\ude00"}{"a":"\\ud83d"}') == [
        "not JSON: half a character (an unpaired \\u surrogate)",
        None,
        None,
    ]


def test_whole_numbers_of_any_length_are_read():
    assert reasons(b'{"n":' + b"1" * 5000 + b"}") == [None]


BROKEN_LINE = '{\n "event_type": "push",\n "context": {\n  "endpoint": "{\\"Address\\":\n      \\"x\\"}"\n }\n}'


def test_a_pretty_printed_record_with_a_line_break_in_a_string_is_one_rejected_piece_between_good_ones():
    one, two = json.dumps(A, indent=1), json.dumps(B)
    for between in ("", "\n", "\r\n\r\n"):
        pieces = split_records(f"{one}{between}{BROKEN_LINE}{between}{two}".encode())
        assert [piece.reason for piece in pieces] == [None, "not JSON: invalid control character", None]
        assert pieces[1].text == BROKEN_LINE


def test_a_record_that_is_cut_off_costs_none_that_follows():
    one, two = json.dumps(A), json.dumps(B)
    assert texts(f"{one[:17]}\n{one}\n{two}\n".encode()) == [A, B]
    assert texts(f"{one[:17]}{one}{two}".encode()) == [A, B]
    assert texts(f'{one}\n{{"a": "open\n{two}'.encode()) == [A, B]
    assert texts(f"{one},{two}".encode()) == [A, B]


def test_each_broken_line_is_a_piece_of_its_own():
    lines = ["{'a': 1}", '{"b": "x', '{"c": 1', '{"d": [}', "e", json.dumps(A)]
    assert [piece.text for piece in split_records("\n".join(lines).encode())] == lines


def test_what_is_nested_in_a_broken_record_does_not_pose_as_a_record():
    assert reasons(b'{"batch": [{"id": "a"}, {"id": "b"}], "x": oops}') == ["not JSON: expecting value"]
    assert reasons(b'{"batch": [{"id": "a"}, {"id": "b"}') == ["not JSON: expecting ',' delimiter"]


@pytest.mark.timeout(30)
def test_the_time_for_broken_lines_grows_with_their_number_not_with_its_square():
    assert len(split_records(b"{'a': 1}\n" * 100_000)) == 100_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=6)
BLANKS = " \t\r\n\f\v\x1e\ufeff"


def written(record: object, indent: int | None, ascii_only: bool) -> bytes:
    return json.dumps(record, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def packed(parts: list[bytes], how: str) -> bytes:
    if how == "members":
        return b"".join(gzip.compress(part) for part in parts) or gzip.compress(b"")
    plain = b"".join(parts)
    return gzip.compress(plain, mtime=0) if how == "gzip" else plain


@given(
    RECORDS,
    st.lists(st.sampled_from(["", "\n", "\r\n", "  ", "\n\n\t", "\ufeff"]), min_size=6, max_size=6),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.sampled_from(["plain", "gzip", "members"]),
)
def test_whatever_objects_are_written_one_after_another_are_read_back(records, delimiters, indent, ascii_only, how):
    parts = [
        delimiter.encode() + written(record, indent, ascii_only)
        for record, delimiter in zip(records, delimiters, strict=False)
    ]
    assert texts(packed(parts, how)) == records


@given(RECORDS.filter(bool), st.sampled_from(["", "\n"]), st.sampled_from(["plain", "gzip"]), st.data())
def test_damage_anywhere_costs_no_record_before_it(records, delimiter, how, data):
    parts = [written(record, None, True) + delimiter.encode() for record in records]
    whole = packed(parts, how)
    place = data.draw(st.integers(0, len(whole) - 1))
    tail = data.draw(st.sampled_from([b"", b"\xff" * 3, b"\0" + whole[place + 1 :], b"}" + whole[place + 1 :]]))
    before = zlib.decompressobj(31).decompress(whole[:place]) if how == "gzip" else whole[:place]
    complete = [
        json.dumps(json.loads(part)) for part, end in zip(parts, ends(parts), strict=True) if end <= len(before)
    ]
    pieces = split_records(whole[:place] + tail)
    assert [json.dumps(json.loads(p.text)) for p in pieces[: len(complete)]] == complete
    assert all(piece.reason is None for piece in pieces[: len(complete)])


def ends(parts: list[bytes]) -> list[int]:
    return [sum(len(each) for each in parts[: number + 1]) for number in range(len(parts))]


@given(st.binary(max_size=300) | st.text(alphabet='{}[]",:\\ \n1a\ufeff', max_size=60).map(str.encode))
def test_the_pieces_of_any_bytes_account_for_all_of_them(data):
    def without_blanks(text: str) -> str:
        return text.translate(dict.fromkeys(map(ord, BLANKS)))

    pieces = split_records(data)
    if not data.startswith(b"\x1f\x8b") and not foreign_format(data):
        shown = data.decode("utf-8", "replace")
        assert without_blanks("".join(piece.text for piece in pieces)) == without_blanks(shown)
    assert all(piece.reason or isinstance(json.loads(piece.text), dict) for piece in pieces)


BROKEN = [
    "oops",
    "{",
    "}",
    '{"a": 1',
    '{"a": {"b": 1}',
    '{"a": "open',
    "{'a': 1}",
    '{"a": tru',
    "[1, 2",
    '"b": 2}',
    '{"a": [{"b": 1}, ',
    "{" * 1000,
    '{"a":' * 2000,
]


@pytest.mark.parametrize("before", BROKEN)
@pytest.mark.parametrize("after", BROKEN)
def test_a_good_record_between_two_broken_ones_is_read(before, after):
    good = json.dumps(A)
    for one, two in (("\n", "\n"), ("\r\n", "\r\n"), ("\n", "")):
        assert good in [piece.text for piece in split_records(f"{before}{one}{good}{two}{after}".encode())]


@given(st.integers(1, len(json.dumps(A)) - 1), st.sampled_from(["", "\n"]), st.sampled_from(["", "\n"]))
def test_a_record_cut_off_anywhere_costs_none_of_its_neighbours(place, one, two):
    good, cut = json.dumps(B), json.dumps(A)[:place]
    found = [
        piece.text for piece in split_records(f"{good}{one}{cut}{one}{good}{two}{cut}{two}{good}{two}{cut}".encode())
    ]
    assert found.count(good) == 3


def test_an_object_in_a_broken_record_of_several_lines_does_not_pose_as_a_record():
    text = json.dumps({"batch": [{"id": "a"}, {"id": "b"}], "x": 1}, indent=2).replace("1\n", "oops\n")
    assert reasons(text.encode()) == ["not JSON: expecting value"]


@pytest.mark.parametrize("digits", [4300, 4301, 100_000])
def test_a_whole_number_of_any_length_is_a_value(digits):
    assert split_records(b'{"n": ' + b"1" * digits + b"}")[0].reason is None
    assert read_json('{"n": ' + "1" * digits + "}")["n"] > 0
