"""Guesses where an object is cut, mended where they are wrong, are the records that framing finds."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys_platform.common.errors import HubError
from recsys_platform.ingestion import splitting as cutting
from recsys_platform.ingestion.framing import Framing, Piece, split_records
from recsys_platform.ingestion.splitting import reframe_broken, split_by_guess

A, B = json.dumps({"a": "}{"}), json.dumps({"b": {"c": [{}, "ü"]}}, ensure_ascii=False)
PRETTY = json.dumps({"b": {"c": [{"d": 1}, "ü"]}}, indent=1, ensure_ascii=False)
PARTS = st.sampled_from(
    [A, B, PRETTY, "{}", "oops", "{", "}", '{"a":"', "[1]", "\n", "\n\n", " ", "\ufeff", ",", "{\n{}\n}"]
)


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        return False


def records(data: bytes) -> list[Piece]:
    """What becomes of an object: sound guesses as they are, the others reframe_broken."""
    guesses = split_by_guess(data).to_pylist()
    found, reached = [], 0
    for mend in reframe_broken(
        data, [number for number, text in enumerate(guesses) if not is_object(text)], of=len(guesses)
    ):
        found += [*map(Piece, guesses[reached : mend.first]), *mend.pieces]
        reached = mend.until
    return [*found, *map(Piece, guesses[reached:])]


@given(st.lists(PARTS, max_size=12).map("".join), st.sampled_from(["", "\n"]))
@example("\ufeff", "")
@example(f"{A}\n \n{B}", "")
@example('{"x":\n{}\n}', "\n")
@example(f"\n{B}\nü oops\n{B}\n}}\n{A}", "")
def test_guesses_and_what_is_mended_are_the_records_that_framing_finds(text, end):
    data = (text + end).encode()
    assert [Piece(piece.text.strip(" \ufeff"), piece.reason) for piece in records(data)] == split_records(data)


def test_bytes_that_are_not_those_that_were_guessed_are_refused():
    with pytest.raises(HubError, match="replaced while it was read"):
        list(reframe_broken(b"oops\noops\n", [0], of=1))


def test_a_broken_line_costs_the_reading_of_that_line_alone(monkeypatch):
    read = []

    class Watched(Framing):
        def pieces(self, position=0):
            for piece, following in super().pieces(position):
                read.append(piece.text)
                yield piece, following

    monkeypatch.setattr(cutting, "Framing", Watched)
    assert len(records("\n".join([A, "oops", B, PRETTY, A, B]).encode())) == 6
    assert read == ["oops", PRETTY]


@pytest.mark.parametrize("data", [b'{"a":1}\r\n', b'{"a":"\xff"}', b"\x1f\x8b\x08"])
def test_damaged_objects_and_those_with_carriage_returns_are_not_guessed(data):
    assert split_by_guess(data) is None
