"""What published tables promise is held against them before they are shown."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from recsys_platform.common.errors import PublishError
from recsys_platform.recommender.lists.contracts import AppliedRules, contract_checks
from recsys_platform.warehouse.publications import live_version
from tests.support.published_worlds import ALL, BROKEN, KEPT, MADE, given, published

EVERY_READER = "every reader with a book left that the rules allow has a list of every model"


def test_tables_that_keep_their_promises_are_published(warehouse: Any) -> None:
    rows = warehouse.publish("v1", published(KEPT), checks=ALL, inputs=given())
    assert rows == {"user_recommendations": 4, "similar_books": 2, "popular_books": 3, "model_roles": 1}


@pytest.mark.parametrize("sentence", ALL)
def test_each_promise_can_be_broken_and_then_nothing_is_published(warehouse: Any, sentence: str) -> None:
    with pytest.raises(PublishError) as refused:
        warehouse.publish("v1", published(BROKEN), checks={sentence: ALL[sentence]}, inputs=given())
    assert sentence in str(refused.value)
    assert live_version(warehouse) is None


def test_a_promoted_book_that_does_not_say_so_and_another_that_does_break_a_promise(warehouse: Any) -> None:
    sentence = next(each for each in ALL if each.startswith("only promoted books"))
    others = KEPT["user_recommendations"][1:]
    for row in (("u1", "m", 1, "b7", 0.5, "popular", None), ("u1", "m", 1, "b2", None, "promoted", None)):
        lists = {**KEPT, "user_recommendations": [row, *others]}
        with pytest.raises(PublishError, match=r"\(1 rows do not\)"):
            warehouse.publish("v1", published(lists), checks={sentence: ALL[sentence]}, inputs=given())


@pytest.mark.parametrize(
    ("made", "dropped"),
    [
        ({"finished": False}, "no list holds a book that its reader has finished"),
        ({"rejected": False}, "no list holds a book that its reader dislikes, or removed or dismissed last"),
        ({"unavailable": False}, "every recommended book is available"),
        ({"premium": False}, "no reader on the free tier is offered a premium book"),
    ],
)
def test_what_a_rule_does_not_ask_for_is_not_promised(made: dict[str, bool], dropped: str) -> None:
    before, after = (_sentences(each) for each in (AppliedRules(), replace(AppliedRules(), **made)))
    assert before - after == {dropped}
    assert after < before


def test_by_default_nothing_is_promised_of_exclusions_promotions_caps_and_languages() -> None:
    more = _sentences(MADE) - _sentences(AppliedRules())
    assert len(more) == 6
    assert _sentences(AppliedRules()) < _sentences(MADE)


def _sentences(made: AppliedRules) -> set[str]:
    return set(chain.from_iterable(contract_checks(made).values()))


@pytest.mark.parametrize(
    ("made", "owed"),
    [
        (AppliedRules(), True),  # b7 and others are left
        (AppliedRules(own_language=True), False),  # all English books are finished; b3 is another language's
        (AppliedRules(own_language=True, finished=False), True),
        (AppliedRules(own_language=True, unavailable=False), True),  # b4
    ],
)
def test_a_list_is_owed_to_readers_for_whom_the_rules_leave_a_book(
    warehouse: Any, made: AppliedRules, *, owed: bool
) -> None:
    english = [("u1", book, True, "Book Finished", 5.0) for book in ("b1", "b2", "b5", "b6")]
    sql = contract_checks(made)["user_recommendations"][EVERY_READER]
    judged = given(fct_interactions=english, dim_users=[("u1", "free", "en")])
    tables = published({**KEPT, "user_recommendations": [("someone", "m", 1, "b1", 0.5, "popular", None)]})
    if owed:
        with pytest.raises(PublishError, match=r"\(1 rows do not\)"):
            warehouse.publish("v1", tables, checks={EVERY_READER: sql}, inputs=judged)
    else:
        warehouse.publish("v1", tables, checks={EVERY_READER: sql}, inputs=judged)


def test_a_reader_of_whom_only_excluded_books_are_left_is_owed_no_list(warehouse: Any) -> None:
    sql = contract_checks(AppliedRules(excluding=True))["user_recommendations"][EVERY_READER]
    met = [("u1", book, True, "Book Finished", 5.0) for book in ("b1", "b2", "b5", "b7")]
    judged = given(fct_interactions=met, dim_users=[("u1", "free", "en")])
    tables = published({**KEPT, "user_recommendations": [("someone", "m", 1, "b1", 0.5, "popular", None)]})
    warehouse.publish("v1", tables, checks={EVERY_READER: sql}, inputs=judged)


@pytest.mark.parametrize(
    "made", [AppliedRules(), MADE, AppliedRules(own_language=True), AppliedRules(finished=False, rejected=False)]
)
@pytest.mark.parametrize("language", [None, "en"])
def test_no_step_of_a_check_has_more_rows_than_the_tables(made: AppliedRules, language: str | None) -> None:
    """Readers times books would be half a million: every plan of every check is read, with the numbers that DuckDB counted."""
    readers, books = range(1000), range(500)
    judged = given(
        dim_users=[(f"u{u}", "free", language) for u in readers],
        dim_books=[(f"b{b}", True, False, language) for b in books],
        fct_interactions=[
            (f"u{u}", f"b{(u + n) % 500}", True, "Book Finished", 5.0) for u in readers for n in range(3)
        ],
    )
    lists: list[tuple[Any, ...]] = [
        (f"u{u}", "m", r, f"b{(u * r) % 500}", 0.1, "popular", "b1") for u in readers for r in range(1, 4)
    ]
    tables = published({**KEPT, "user_recommendations": lists})
    with duckdb.connect(config={"threads": 1}) as con:
        for name, table in judged.items():
            con.register(name, table)
        for name, batches in tables.items():
            con.register(name, pa.Table.from_batches(batches))
        names = {name: name for name in (*judged, *tables)}
        for sentence, sql in chain.from_iterable(each.items() for each in contract_checks(made).values()):
            plan = json.loads(con.execute(f"explain (analyze, format json) {sql.format_map(names)}").fetchall()[0][1])
            assert max(_rows_of_steps(plan)) <= 2 * (1000 + 500 + 3000), sentence


def _rows_of_steps(step: dict[str, Any]) -> Iterator[int]:
    yield step.get("operator_cardinality", 0)
    for child in step.get("children", ()):
        yield from _rows_of_steps(child)


@pytest.mark.parametrize("seed", range(30))
def test_ranks_are_judged_as_by_counting_them_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    lists: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for user in range(60):
        length = chance.choice([1, 2, 5, 39, 40, 41, 80, 81, 120])
        ranks, books = list(range(1, length + 1)), list(range(length))
        for _ in range(chance.choice([0, 0, 1, 2])):
            where = chance.randrange(length)
            if chance.random() < 0.7:
                ranks[where] = chance.choice([*ranks, 0, -1, length + 1, ranks[where] + 40])
            else:
                books[where] = chance.choice(books)
        lists[f"u{user}", "m"] = [(rank, f"b{book}") for rank, book in zip(ranks, books, strict=True)]
    uneven = sum(
        sorted(rank for rank, _ in rows) != list(range(1, len(rows) + 1)) or len({b for _, b in rows}) < len(rows)
        for rows in lists.values()
    )
    rows = [(user, model, rank, book) for (user, model), listed in lists.items() for rank, book in listed]
    sql = ALL["ranks run from 1 without gaps and no book is twice in a list"]
    with duckdb.connect() as con:
        con.register(
            "t", pa.table(dict(zip(("user_id", "model", "rank", "book_id"), zip(*rows, strict=True), strict=True)))
        )
        assert con.execute(sql.format(user_recommendations="t")).fetchall() == [(uneven,)]
