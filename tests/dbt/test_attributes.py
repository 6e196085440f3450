"""Attributes of feeds: one language has one name, words that mean nothing are empty, what cannot be read is counted and named."""

import datetime as dt
from typing import Any

import pytest

from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.placeholders import MISSING_WORDS

TIME = "2026-11-22T09:00:00Z"
LANGUAGES = (
    "eng",
    "en-US",
    "en_GB",
    "EN",
    "English",
    "ger",
    "deu",
    "Deutsch",
    "de-AT",
    "iw",
    "zh-Hans",
    "mul",
    "nan",
    "klingonese",
    None,
)


@pytest.fixture(scope="module")
def fed(new_world: Any) -> Any:
    """Snapshots of odd values, a book a word or language, and events with odd locales."""
    world = new_world()
    dates = ("2008", "2008.0", "2008-01-01", "9/16/2006", "9/6/2006", "around 1900", 2008, None)
    books = [{"book_id": f"l{number:02}", "language": language} for number, language in enumerate(LANGUAGES)]
    books += [{"book_id": f"d{number}", "published_at": date} for number, date in enumerate(dates)]
    names = (
        "title",
        "author",
        "language",
        "categories",
        "reading_minutes",
        "is_premium",
        "is_available",
        "published_at",
    )
    books += [
        {"book_id": f"w{number:02}", **dict.fromkeys(names, word.upper())} for number, word in enumerate(MISSING_WORDS)
    ]
    books.append(
        {"book_id": "x", "reading_minutes": "long", "is_premium": "perhaps", "categories": "a|b", "is_available": "yes"}
    )
    world.snapshot("book", "2026-11-21", {"book_id": "old", "published_at": "never"})
    world.snapshot("book", "2026-11-22", *books)
    users = [{"user_id": f"l{number:02}", "language": language} for number, language in enumerate(LANGUAGES)]
    users += [
        {"user_id": "n", "country": "NA", "tier": "undefined", "interests": "null"},
        {"user_id": "c", "created_at": "write to ann@mail.example", "country": "nan"},
    ]
    world.snapshot("user", "2026-11-22", *users)
    for number, locale in enumerate(("eng_us", "iw-IL", "de-AT", "undefined")):
        record = {"type": "track", "event": "Book Viewed", "messageId": f"m{number}", "userId": "u1", "timestamp": TIME}
        world.load("segment", {**record, "context": {"locale": locale}, "properties": {"book_id": "b1"}})
    return world.build()


@pytest.mark.parametrize("table", ["dim_books", "dim_users"])
def test_a_language_has_one_name(fed: Any, table: str) -> None:
    key = table.removeprefix("dim_").removesuffix("s") + "_id"
    found = fed.rows(f"select language from marts.{table} where {key} like 'l%' order by {key}")
    expected = [None if text in (None, "nan") else primary_subtag(text) for text in LANGUAGES]
    assert [language for (language,) in found] == expected


def test_the_language_of_a_locale_has_one_name(fed: Any) -> None:
    found = fed.rows("select locale from marts.fct_events order by event_id")
    assert [locale for (locale,) in found] == ["en-us", "he-IL", "de-AT", None]


def test_a_year_is_its_first_day_and_a_date_of_two_readings_is_none(fed: Any) -> None:
    new_year = dt.datetime(2008, 1, 1)
    found = fed.rows("select published_at from marts.dim_books where book_id like 'd%' order by book_id")
    assert [moment for (moment,) in found] == [new_year, new_year, new_year, None, None, None, new_year, None]


def test_words_that_mean_nothing_are_empty_and_not_counted(fed: Any) -> None:
    columns = "title, author, language, len(categories), reading_minutes, is_premium, is_available, published_at"
    found = fed.rows(f"select distinct {columns} from marts.dim_books where book_id like 'w%'")
    assert found == [(None, None, None, 0, None, False, True, None)]
    assert fed.rows(
        "select country, tier, len(interests) from marts.dim_users where user_id in ('n', 'c') order by user_id"
    ) == [
        (None, None, 0),
        ("NA", None, 0),
    ]


def test_what_cannot_be_read_is_counted_and_named(fed: Any) -> None:
    found = fed.rows(
        "select kind, column_name, unread_values, first_id, first_value from marts.rpt_unread_attributes order by all"
    )
    assert found == [
        ("book_attributes", "categories", 1, "x", "a|b"),
        ("book_attributes", "is_premium", 1, "x", "perhaps"),
        ("book_attributes", "language", 2, "l11", "mul"),
        ("book_attributes", "published_at", 3, "d3", "9/16/2006"),
        ("book_attributes", "reading_minutes", 1, "x", "long"),
        ("user_attributes", "created_at", 1, "c", "write to [email]"),
        ("user_attributes", "language", 2, "l11", "mul"),
    ]


def test_a_report_of_what_cannot_be_read_warns(fed: Any) -> None:
    result = fed.dbt("test", "--select", "rpt_unread_attributes")
    assert {run.node.name.split("_rpt")[0]: str(run.status) for run in result.result.results} == {
        "is_empty": "warn",
        "primary_key": "pass",
    }
