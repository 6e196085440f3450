"""The macros that read text: bad text is NULL, never an error."""

from datetime import datetime
from typing import Any

import pytest

NOON = datetime(2026, 11, 22, 12)
CASES = {
    "timestamp_from_iso(\"'2026-11-22T12:00:00Z'\")": NOON,
    "timestamp_from_iso(\"'2026-11-22T14:00:00+02:00'\")": NOON,
    "timestamp_from_iso(\"'2026-11-22 12:00:00'\")": NOON,
    "timestamp_from_iso(\"'infinity'\")": None,
    "timestamp_from_iso(\"'20000-01-01'\")": None,
    "timestamp_from_iso(\"'yesterday'\")": None,
    "timestamp_from_epoch_ms(\"'1795348800000'\")": NOON,
    "timestamp_from_epoch_ms(\"'99999999999999999999'\")": None,
    "timestamp_from_epoch_ms(\"'noon'\")": None,
    "timestamp_from_epoch_s(\"'1795348800'\")": NOON,
    "timestamp_from_epoch_s(\"'1e300'\")": None,
    "integer_from_text(\"'4.0'\")": 4,
    "integer_from_text(\"'4e30'\")": None,
    "integer_from_text(\"'four'\")": None,
    "boolean_from_text(\"'true'\")": True,
    "boolean_from_text(\"'perhaps'\")": None,
    "array_length(\"'[1, {}]'\")": 2,
    "array_length(\"'{}'\")": None,
    "array_length(\"'none'\")": None,
    "string_array(\"'[1, 2]'\")": ["1", "2"],
    "string_array(\"'none'\")": [],
    "string_array('null')": [],
    "hashed_key(['null', \"'a'\"]) ~ ' = ' ~ hashed_key([\"'a'\", 'null'])": False,
}


@pytest.fixture(scope="module")
def compiled(new_world: Any) -> tuple[Any, list[str]]:
    """The SQL of every case, compiled in one call."""
    world = new_world()
    result = world.dbt("compile", "--inline", " ;; ".join(f"{{{{ {case} }}}}" for case in CASES))
    assert result.success, result.exception
    return world, result.result.results[0].node.compiled_code.split(" ;; ")


@pytest.mark.parametrize(("index", "expected"), enumerate(CASES.values()), ids=list(CASES))
def test_text_is_read_or_null(compiled: tuple[Any, list[str]], index: int, expected: object) -> None:
    world, expressions = compiled
    assert world.rows(f"select {expressions[index]}") == [(expected,)]


def test_snowflake_reads_the_same_paths(world: Any) -> None:
    fields = "{'id': ['messageId', 'message_id'], 'book': 'properties.book_id'}"
    call = f"snowflake__json_fields('raw.t', {fields}, {{}}, 'record', ['landed_at'], 'true')"
    sql = world.dbt("compile", "--inline", f"{{{{ {call} }}}}").result.results[0].node.compiled_code
    assert (
        "coalesce(nullif(get_path(record, 'messageId')::varchar, ''), nullif(get_path(record, 'message_id')::varchar, '')) as id"
        in sql
    )
    assert "nullif(get_path(record, 'properties.book_id')::varchar, '') as book" in sql
