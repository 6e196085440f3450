"""What goes to Amazon Personalize from marts small enough to know all of them, and what it would refuse."""

import csv
import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from recsys_platform.exports.personalize import SCHEMAS, ExportResult, export
from recsys_platform.exports.personalize_limits import (
    METADATA,
    Field,
    Schema,
    row_problems,
    schema_problems,
    training_warnings,
)
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.errors import DataError
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DAY = dt.date(2026, 11, 20)
MARTS = {
    "fct_interactions": (
        "user_id varchar, book_id varchar, last_action varchar, weight double, first_at timestamp, last_at timestamp"
    ),
    "dim_users": (
        "user_id varchar, country varchar, language varchar, tier varchar, interests varchar[], email_hash varchar"
    ),
    "dim_books": (
        "book_id varchar, title varchar, author varchar, language varchar, categories varchar[], "
        "reading_minutes integer, is_premium boolean, is_available boolean, published_at timestamp"
    ),
}
LIKED = ("u1", "b1", "Book Finished", 7.5, "2026-11-01 08:00:00", "2026-11-02 09:00:00.9")
READER = ("u1", "DE", "de-AT", "premium", ["money", "health"], "e" * 64)
BOOK = ("b1", "Tea at ada@example.org", "Ada", "en", ["business", "money"], 15, True, False, "2026-10-01 00:00:00")
Build = Callable[..., ExportResult]


@pytest.fixture
def build(hub: Hub, warehouse: DuckDBWarehouse) -> Build:
    """Export marts of these rows: one reader who liked one book, unless others are given."""

    def made(
        interactions: list[Any] | None = None, users: list[Any] | None = None, books: list[Any] | None = None
    ) -> ExportResult:
        rows = ([LIKED] if interactions is None else interactions, users or [READER], books or [BOOK])
        with warehouse.connect() as con:
            for (mart, columns), lines in zip(MARTS.items(), rows, strict=True):
                con.execute(f"create or replace table marts.{mart} ({columns})")
                for line in lines:
                    con.execute(f"insert into marts.{mart} values ({', '.join('?' * len(line))})", list(line))
        return export(hub, warehouse, DAY)

    return made


@pytest.fixture
def written(hub: Hub) -> Callable[[str], list[dict[str, str]]]:
    """The records of a file of the export."""
    return lambda name: list(csv.DictReader(io.StringIO(hub.get(f"personalize/dt={DAY}/{name}.csv").decode())))


def test_every_data_set_is_written_with_its_schema_whose_fields_are_the_columns(hub, build):
    build()
    names = [item.key.removeprefix("personalize/dt=2026-11-20/") for item in hub.objects("personalize/")]
    assert names == [f"{name}.{kind}" for name in ("interactions", "items", "users") for kind in ("csv", "schema.json")]
    for name, kind in (("interactions", "Interactions"), ("users", "Users"), ("items", "Items")):
        schema = json.loads(hub.get(f"personalize/dt={DAY}/{name}.schema.json"))
        header = hub.get(f"personalize/dt={DAY}/{name}.csv").decode().splitlines()[0]
        assert (schema["name"], schema["type"]) == (kind, "record")
        assert header == ",".join(field["name"] for field in schema["fields"])


def test_an_interaction_is_what_a_reader_did_last_with_its_weight_in_whole_seconds(build, written):
    build()
    seconds = int(dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC).timestamp())
    assert written("interactions") == [
        {
            "USER_ID": "u1",
            "ITEM_ID": "b1",
            "TIMESTAMP": str(seconds),
            "EVENT_TYPE": "Book Finished",
            "EVENT_VALUE": "7.5",
        }
    ]


def test_what_a_reader_dislikes_and_books_out_of_the_catalogue_stay_here_and_are_counted(build, written):
    disliked = (*LIKED[:2], "Book Rated", -5.0, *LIKED[4:])
    unknown = ("u1", "gone", *LIKED[2:])
    done = build([LIKED, disliked, unknown])
    assert (done.rows["interactions"], done.left_out) == (1, 2)
    assert [row["EVENT_TYPE"] for row in written("interactions")] == ["Book Finished"]


def test_a_reader_is_reported_by_categories_and_a_missing_one_is_empty(build, written):
    nobody = ("u2", None, None, None, [], None)
    build(users=[READER, nobody])
    assert written("users") == [
        {"USER_ID": "u1", "COUNTRY": "DE", "LANGUAGE": "de-AT", "TIER": "premium", "INTERESTS": "money|health"},
        {"USER_ID": "u2", "COUNTRY": "", "LANGUAGE": "", "TIER": "", "INTERESTS": ""},
    ]


def test_a_book_is_reported_by_categories_numbers_and_words_for_yes_and_no(build, written):
    build()
    assert written("items") == [
        {
            "ITEM_ID": "b1",
            "CREATION_TIMESTAMP": str(int(dt.datetime(2026, 10, 1, tzinfo=dt.UTC).timestamp())),
            "GENRES": "business|money",
            "LANGUAGE": "en",
            "AUTHOR": "Ada",
            "READING_MINUTES": "15",
            "IS_PREMIUM": "True",
            "IS_AVAILABLE": "False",
        }
    ]


def test_a_category_cannot_be_taken_for_two_and_stands_on_one_line(build, written):
    build(books=[(*BOOK[:2], "Ada\n Lovelace", "en", ["self|help", " self/help ", ""], *BOOK[5:])])
    assert [(row["AUTHOR"], row["GENRES"]) for row in written("items")] == [("Ada Lovelace", "self/help")]


@pytest.mark.parametrize(
    ("published", "interactions", "expected"),
    [
        ("2026-10-01 00:00:00", [LIKED], dt.datetime(2026, 10, 1)),
        (None, [LIKED], dt.datetime(2026, 11, 1, 8)),
        (None, [("u1", "other", *LIKED[2:])], dt.datetime(2026, 11, 2, 9)),
        ("1937-09-21 00:00:00", [LIKED], dt.datetime(1970, 1, 1)),
    ],
    ids=["published", "first met", "newest of all", "before 1970"],
)
def test_a_book_without_a_date_is_as_old_as_personalize_would_assume(build, written, published, interactions, expected):
    build(interactions, books=[(*BOOK[:-1], published), ("other", *BOOK[1:])])
    created = {row["ITEM_ID"]: int(row["CREATION_TIMESTAMP"]) for row in written("items")}
    assert created["b1"] == expected.replace(tzinfo=dt.UTC).timestamp()


def test_no_address_no_hash_and_no_title_goes_out(hub, build):
    build()
    everything = b"".join(hub.get(item.key) for item in hub.objects("personalize/"))
    assert not [word for word in (b"@", b"Tea", b"eeee", b"EMAIL", b"HASH") if word in everything]


def test_the_same_marts_give_the_same_bytes(hub, build):
    def content() -> list[bytes]:
        build([LIKED, ("u1", "b0", *LIKED[2:])], books=[BOOK, ("b0", *BOOK[1:])])
        return [hub.get(item.key) for item in hub.objects("personalize/")]

    assert content() == content()


def test_all_that_would_be_refused_is_said_at_once_and_nothing_is_written(hub, build):
    with pytest.raises(DataError) as error:
        build(
            [("u" * 257, *LIKED[1:]), (None, *LIKED[1:])],
            users=[READER, READER, ('u"3', *READER[1:])],
            books=[("b1", "", "ada@example.org", "en", ["x" * 600, "y" * 600], *BOOK[5:])],
        )
    assert str(error.value) == (
        "Nothing was written for Personalize: "
        "1 of the values in Interactions.USER_ID are missing; "
        "1 of the values in Interactions.USER_ID have more than 256 characters; "
        "1 of the values in Users.USER_ID hold a quotation mark; "
        "1 of the values in Users.USER_ID repeat an earlier one; "
        "1 of the values in Items.GENRES have more than 1,000 characters; "
        "1 of the values in Items.AUTHOR look like an e-mail address. Fix the marts, then export again."
    )
    assert hub.objects("personalize/") == []


def test_few_interactions_are_a_warning_and_not_an_error(build):
    assert build().warnings == (
        "there are 1 interactions, and Personalize trains on 1,000 or more",
        "0 readers have two interactions or more, and Personalize wants 25 of them",
    )


def test_a_thousand_interactions_of_25_readers_are_enough():
    readers = [f"u{number % 25}" for number in range(1_000)]
    assert training_warnings(pa.table({"USER_ID": readers})) == []
    assert len(training_warnings(pa.table({"USER_ID": readers[:-1]}))) == 1
    assert len(training_warnings(pa.table({"USER_ID": ["u1"] * 976 + [f"v{number}" for number in range(24)]}))) == 1


ID, TASTE = Field("USER_ID", "string"), Field("TASTE", "string", categorical=True)
WHO = (ID, Field("ITEM_ID", "string"), Field("TIMESTAMP", "long"))


def fields(count: int) -> tuple[Field, ...]:
    return tuple(Field(f"AGE{number}", "int") for number in range(count))


BAD_SCHEMAS = [
    (Schema("Users", (TASTE,)), "Users has no field USER_ID"),
    (Schema("Users", (ID,)), "Users has 0 metadata fields and must have 1 to 25"),
    (Schema("Users", (ID, *fields(26))), "Users has 26 metadata fields and must have 1 to 25"),
    (
        Schema("Items", (Field("ITEM_ID", "string"), *fields(101))),
        "Items has 101 metadata fields and must have 1 to 100",
    ),
    (Schema("Interactions", (*WHO, *fields(6))), "Interactions has 6 metadata fields and must have 0 to 5"),
    (Schema("Users", (Field("USER_ID", "int"), TASTE)), "Users.USER_ID must be of type string, not int"),
    (
        Schema("Users", (Field("USER_ID", "string", nullable=True), TASTE)),
        "Users.USER_ID is required and may not be null",
    ),
    (
        Schema("Interactions", (*WHO, Field("EVENT_VALUE", "int"))),
        "Interactions.EVENT_VALUE must be of type float, not int",
    ),
    (
        Schema("Interactions", (*WHO, Field("EVENT_TYPE", "string", categorical=True))),
        "Interactions.EVENT_TYPE is a keyword and may not be categorical",
    ),
    (
        Schema("Users", (ID, Field("TASTE", "string"))),
        "Users.TASTE is text without categories, from which Personalize does not learn",
    ),
    (
        Schema("Users", (ID, Field("aws:age", "int"))),
        "Users.aws:age is not a valid Avro name: use letters, digits and _",
    ),
    (
        Schema("Users", (ID, Field("AGE_1", "int"), Field("age1", "int"))),
        "Users has 2 fields named AGE1, because Personalize ignores other characters",
    ),
]


@pytest.mark.parametrize(("schema", "problem"), BAD_SCHEMAS, ids=[problem for _, problem in BAD_SCHEMAS])
def test_a_schema_that_personalize_would_refuse_is_named(schema, problem):
    assert schema_problems(schema) == [problem]


def test_the_text_of_a_schema_has_at_most_20000_characters():
    def of_length(length: int) -> Schema:
        around = len(Schema("Users", (ID, Field("", "int"))).avro())
        return Schema("Users", (ID, Field("A" * (length - around), "int")))

    assert schema_problems(of_length(20_000)) == []
    assert schema_problems(of_length(20_001)) == ["the schema of Users has 20,001 characters and may have 20,000"]


def test_our_schemas_and_the_largest_allowed_are_fine():
    for schema in SCHEMAS.values():
        assert schema_problems(schema) == []
    assert schema_problems(Schema("Users", (ID, *fields(METADATA["Users"][1])))) == []


BAD_VALUES = [
    ("", "are empty"),
    ("CREATION_TIMESTAMP", "are a word that Personalize reserves"),
    ("two\nlines", "hold a line break"),
    ("ada%40example.org", "look like an e-mail address"),
]


@pytest.mark.parametrize(("value", "problem"), BAD_VALUES)
def test_an_id_that_personalize_would_refuse_is_named_without_showing_it(value, problem):
    rows = pa.table({"USER_ID": [value, "u" * 256], "TASTE": ["x" * 1_000, "y"]})
    assert row_problems(Schema("Users", (ID, TASTE)), rows) == [f"1 of the values in Users.USER_ID {problem}"]


def test_a_version_is_no_address():
    rows = pa.table({"USER_ID": ["model@1.2"], "TASTE": ["x"]})
    assert row_problems(Schema("Users", (ID, TASTE)), rows) == []


def test_a_weight_that_is_no_number_is_named():
    rows = pa.table({"USER_ID": ["u"], "EVENT_VALUE": [float("nan")]})
    schema = Schema("Users", (ID, Field("EVENT_VALUE", "float", nullable=True)))
    assert row_problems(schema, rows) == ["1 of the values in Users.EVENT_VALUE are not finite numbers"]


def test_event_types_and_metadata_share_a_limit_of_ten():
    schema = Schema("Interactions", (Field("EVENT_TYPE", "string"), *fields(3)))

    def problems(types: int) -> list[str]:
        ages = {field.name: pa.array([1] * types, pa.int32()) for field in fields(3)}
        return row_problems(schema, pa.table({"EVENT_TYPE": [f"type {number}" for number in range(types)], **ages}))

    assert problems(7) == []
    assert problems(8) == ["Interactions has 11 event types and metadata fields together, and may have 10"]


def test_a_data_set_without_rows_is_named():
    empty = pa.table({"USER_ID": pa.array([], pa.string()), "TASTE": pa.array([], pa.string())})
    assert row_problems(Schema("Users", (ID, TASTE)), empty) == ["Users has no rows"]
