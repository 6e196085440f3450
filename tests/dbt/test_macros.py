"""The macros that read text: bad text is NULL, never an error."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from recsys_platform.common.languages import language_codes, language_names, primary_subtag
from recsys_platform.common.placeholders import (
    BLANK_CODES,
    BLANKS,
    MISSING_WORDS,
    NOBODY_WORDS,
    OPEN_WORDS,
    TEMPLATES,
    is_missing,
    is_no_id,
)
from tests.support.user_agents import BOTS, READERS

NOON = datetime(2026, 11, 22, 12)
EMPTY = (
    "",
    " ",
    "\u00a0",
    "NULL",
    "nan",
    "None",
    "\\\\N",
    "undefined",
    "[object Object]",
    "N/A",
    "<NA>",
    "NaT",
    "(not set)",
    "nul",
    "<nil>",
    "<none>",
    '\\"null\\"',
    "undefined undefined",
    *(f"{chr(code)} null{chr(code)}" for code in (133, 160, 8195, 8239, 8288, 12288, 65279)),
)
LANGUAGES = (
    "en", "EN", "eng", "en-US", "en_GB", "ENG-us", "English", " english ", "ger", "Deutsch", "fre", "français", "zh-Hans", "chi",
    "iw", "sh", "pt_BR.UTF-8", "fil", "n'ko", "mul", "und", "klingonese", "?", "", "xx", "e1",
)  # fmt: skip
NOBODY = ("anonymous", "Guest", "00000000-0000-0000-0000-000000000000", "-1",
    "0000000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "anonymousUser", "anonymous user", "not logged in", "not-logged-in",
    "logged_out", "${userId}", "<%= id %>", "unknown",
)  # fmt: skip


def quoted(text: str) -> str:
    """A text of SQL inside a text of Jinja."""
    return "'" + text.replace("'", "''") + "'"


CASES = {
    "timestamp_from_iso(\"'2026-11-22T12:00:00Z'\")": NOON,
    "timestamp_from_iso(\"'2026-11-22T14:00:00+02:00'\")": NOON,
    "timestamp_from_iso(\"'2026-11-22 12:00:00'\")": NOON,
    "timestamp_from_iso(\"'infinity'\")": None,
    "timestamp_from_iso(\"'20000-01-01'\")": None,
    **{
        f"timestamp_from_iso(\"'{text}'\")": None for text in ("yesterday", "epoch", "9/6/06", "2026 11 22", "2026-9-6")
    },
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
    "redact_emails(\"'write to Ann.Lee+x@mail.example.com, please'\")": "write to [email], please",
    "redact_emails(\"'/search?q=ann%40example.com&page=2'\")": "/search?q=[email]&page=2",
    "redact_emails(\"'jürgen@müller.example'\")": "[email]",
    "redact_emails(\"'lunch @ noon for 20%'\")": "lunch @ noon for 20%",
    "redact_emails('null')": None,
    "redact_emails(\"'by lightfm@1.2.3 and model@1.2'\")": "by lightfm@1.2.3 and model@1.2",
    'redact_emails("\'{\\"k\\": \\"@a.b\\", \\"l\\": [\\"<z>@a.b\\"]}\'")': '{"k": "[email]", "l": ["<[email]"]}',
    'redact_emails("\'\\"ann smith\\"@mail.example\'")': "[email]",
    "json_in_text('\\'{\"User\": {\"UserId\": \"u1\"}}\\'', 'User.UserId')": "u1",
    "json_in_text(\"'{cut o'\", 'User.UserId')": None,
    "corrected_for_clock_skew(\"'2026-11-22T12:00:09Z'\", \"'1970-01-01T00:00:09Z'\", \"'1970-01-01T00:00:00Z'\")": NOON,
    "corrected_for_clock_skew(\"'2026-11-22T12:00:00Z'\", \"'9999-01-01'\", \"'0001-01-01'\")": None,
    "corrected_for_clock_skew(\"'0001-01-01'\", \"'2026-11-22'\", \"'2026-11-21'\")": None,
    **{f"value_or_null(\"'{word}'\")": None for word in EMPTY},
    **{f"id_or_null(\"'{word}'\")": None for word in (*EMPTY, *NOBODY)},
    **{f"value_or_null(\"'{word}'\")": word for word in ("Anonymous", "0", "No", "nanette")},
    "value_or_null(\"' None of us\\t'\")": "None of us",
    "value_or_null(\"'NA'\", is_country=true)": "NA",
    **{f"value_or_null(\"'{word}'\", is_title=true)": word for word in ("Missing", "Unknown", "Empty")},
    **{f"value_or_null(\"'{word}'\")": None for word in ("Missing", "Unknown", "Empty")},
    "id_or_null(\"'u1' || chr(0)\")": "u1",
    "id_or_null(\"'{' || '{user.id}'\")": None,
    "id_or_null(\"'u$1'\")": "u$1",
    "id_or_null(\"' u1 '\")": "u1",
    "id_or_null(\"'0'\")": "0",
    "id_or_null('null')": None,
    **{f'primary_subtag("{quoted(text)}")': primary_subtag(text) for text in LANGUAGES},
    "standard_locale(\"'eng_us'\")": "en-us",
    "standard_locale(\"'iw-IL'\")": "he-IL",
    "standard_locale(\"'de-AT'\")": "de-AT",
    "standard_locale(\"'fil'\")": "fil",
    "standard_locale('null')": None,
    **{
        f"timestamp_from_date_text(\"'{text}'\")": None
        for text in ("9/16/2006", "9/6/06", "10/11/12", "1-2-03", "-500", "0", "06", "2008-13", "20081301", "soon")
    },
    **{
        f"timestamp_from_date_text(\"'{text}'\")": datetime(2008, 1, 1)
        for text in ("2008", "2008.0", "2008-01", "20080101", "2008-01-01T00:00:00Z", "1199145600", "1199145600000")
    },
    "timestamp_from_date_text(\"'800'\")": datetime(800, 1, 1),
    **{f"looks_like_a_bot(\"'{agent}'\")": True for agent in BOTS},
    **{f"looks_like_a_bot(\"'{agent}'\")": False for agent in READERS},
    "looks_like_a_bot('null')": False,
}


@pytest.fixture(scope="module")
def compiled(new_world: Any) -> Iterator[tuple[Any, list[str]]]:
    """A connection, and the SQL of every case, compiled in one call."""
    world = new_world()
    result = world.dbt("compile", "--inline", " ;; ".join(f"{{{{ {case} }}}}" for case in CASES))
    assert result.success, result.exception
    with world.connect() as con:
        yield con, result.result.results[0].node.compiled_code.split(" ;; ")


@pytest.mark.parametrize(("index", "expected"), enumerate(CASES.values()), ids=list(CASES))
def test_text_is_read_or_null(compiled: tuple[Any, list[str]], index: int, expected: object) -> None:
    con, expressions = compiled
    assert con.execute(f"select {expressions[index]}").fetchall() == [(expected,)]


def compile_text(world: Any, call: str) -> str:
    """What a macro call compiles to, on one line."""
    result = world.dbt("compile", "--inline", f"{{{{ {call} }}}}")
    assert result.success, result.exception
    return " ".join(result.result.results[0].node.compiled_code.split())


def test_snowflake_reads_the_same_paths(world: Any) -> None:
    fields = "{'id': ['messageId', 'message_id'], 'properties': 'properties'}"
    inside = "{'properties': {'book': ['book_id', 'bookId']}}"
    sql = compile_text(world, f"snowflake__json_fields('raw.t', {fields}, {inside}, 'record', ['landed_at'], 'true')")

    def read(column: str, path: str) -> str:
        return f"nullif(get_path({column}, '{path}')::varchar, '')"

    assert f"coalesce({read('record_read', 'messageId')}, {read('record_read', 'message_id')}) as id" in sql
    assert f"coalesce({read('properties_read', 'book_id')}, {read('properties_read', 'bookId')}) as book" in sql


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("snowflake__salted_hash('ip')", "sha2((select max(salt) from"),
        ("snowflake__redact_emails('label')", "'[email]')"),
        ("snowflake__matches_any_case('ua', 'bot')", "regexp_instr(ua, 'bot', 1, 1, 0, 'i') > 0"),
        ("snowflake__json_in_text('t', 'User.UserId')", "get_path(try_parse_json(t), 'User.UserId')::varchar"),
        ("snowflake__corrected_for_clock_skew('r', 's', 'o')", "timestampadd('microsecond', -timestampdiff("),
    ],
)
def test_snowflake_has_its_own_words(world: Any, call: str, expected: str) -> None:
    assert expected in compile_text(world, call)


def test_a_hash_that_is_stored_does_not_change_between_versions(world: Any) -> None:
    content = compile_text(world, "joined([\"'a'\", 'null', 1])")
    assert world.rows(f"select {content}") == [("a|\\N|1",)]


@pytest.mark.parametrize(
    ("identifier", "can_be_tried"), [("u1", True), ("ann@example.com", False), ("ann%40example.com", False)]
)
def test_an_address_among_the_ids_of_an_event_cannot_be_found_by_trying(
    world: Any, identifier: str, can_be_tried: bool
) -> None:
    """An event without an id has the hash of its content: whoever has a mailing list could compute it for each address."""
    sql = compile_text(world, f"hashed_content(\"'read'\", ids=[\"'{identifier}'\"])")
    tried = hashlib.md5(f"{identifier}|read".encode(), usedforsecurity=False).hexdigest()
    assert (world.rows(f"select {sql}") == [(tried,)]) is can_be_tried


@pytest.mark.parametrize("fields", ["{'a': 'x', 'b': 'x.y'}", "{'b': 'x.y', 'a': 'x'}"])
def test_what_is_read_whole_is_not_read_in_parts_beside(
    world: Any, fields: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not world.dbt("compile", "--inline", f"{{{{ json_fields('raw.t', {fields}) }}}}").success
    assert "both whole and in parts: name the parts under `inside`" in capfd.readouterr().out


def test_the_words_that_mean_nothing_are_the_same_for_dbt_and_python(world: Any) -> None:
    compiled = compile_text(world, "tojson([missing_words(), open_words(), nobody_words(), blank_codes()])")
    assert json.loads(compiled) == [list(words) for words in (MISSING_WORDS, OPEN_WORDS, NOBODY_WORDS, BLANK_CODES)]


def test_languages_are_the_same_for_dbt_and_python(world: Any) -> None:
    """If not, after an update of Babel: `python -m recsys_platform.common.languages`."""
    compiled = compile_text(world, "tojson({'codes': language_codes(), 'names': language_names()})")
    assert json.loads(compiled) == {"codes": language_codes(), "names": language_names()}


def test_each_word_means_nothing_in_any_case_and_between_blanks() -> None:
    for word in (*MISSING_WORDS, *OPEN_WORDS, *NOBODY_WORDS):
        assert is_no_id(f" {word.upper()}\t")
        assert is_no_id(f"{BLANKS}'{word}'{BLANKS}")
        assert is_missing(f"\u00a0{word.title()} ") == (word not in NOBODY_WORDS)
        assert is_missing(word, column="title") == (word in MISSING_WORDS)
    assert all(is_no_id(f"{begin}user") for begin in TEMPLATES)
    assert not is_missing("NA", column="country")
    assert not is_no_id("0")
