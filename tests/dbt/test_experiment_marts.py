"""The marts of experiments: who is in which variant, what each reader did, and the sums of each day."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dbt_world import World
from tests.support.experiment_worlds import (
    ASSIGNMENTS,
    METRICS,
    Event,
    Request,
    assignment_of,
    event,
    metric_rows,
    payment,
    request,
)
from tests.support.policy_worlds import literal

MODELS = ("fct_experiment_assignments", "fct_experiment_metrics", "rpt_experiment_daily")
PARENTS = (
    """create table marts.fct_recommendation_requests (request_id varchar, user_id varchar, visitor_id varchar, unit_id varchar,
        event_id varchar, session_id varchar, surface varchar, model varchar, model_version varchar, experiment varchar,
        variant varchar, answer_source varchar, books bigint, clicks bigint, books_clicked_in_time bigint, is_bot boolean,
        is_empty boolean, shown_on date, shown_at timestamp)""",
    """create table marts.fct_events (visitor_id varchar, event_name varchar, is_bot boolean, occurred_on date,
        occurred_at timestamp)""",
    """create table marts.fct_payments (visitor_id varchar, event_name varchar, amount_base decimal(18, 4), is_bot boolean,
        paid_on date, paid_at timestamp)""",
    "create table marts.fct_sessions (session_id varchar, platform varchar)",
    "create table intermediate.int_visitor_days (visitor_id varchar, events bigint, occurred_on date)",
    "create table intermediate.int_event_sessions (visitor_id varchar, occurred_on date, changed_to timestamp)",
    "create table staging.staff_readers (user_id varchar)",
)
EVENT_NAMES = {"starts": "Book Started", "finishes": "Book Finished", "saves": "Book Saved"}
ROWS = [
    # Known from before by one answer of no experiment, and by one of another experiment.
    request("ann", -3, books=10, clicked=2, variant=None),
    request("ann", -1, books=3, clicked=1, experiment="other"),
    request("ann", 0, books=3, clicked=1, source="published"),
    request("ann", 2, books=4, clicked=2),
    request("ann", 1, books=9, clicked=9, experiment="other"),
    event("ann", 0, "Book Started", hour=1),
    event("ann", 0, "Book Started", hour=20),
    event("ann", 1, "Book Finished"),
    event("ann", -14, "Book Saved"),
    event("ann", -15, "Book Saved"),
    *payment("ann", -2, 9.99),
    *payment("ann", 1, 12.5, is_start=True),
    # Only an empty answer; what happens after 92 days counts no more.
    request("ben", 1, books=0, is_empty=True, variant="treatment", source="none"),
    event("ben", 92, "Book Finished"),
    event("ben", 93, "Book Finished"),
    # An answer whose source is not known; an event before it of who has no pre-period.
    request("cat", 1, books=5, source=None),
    event("cat", 0, "Book Started"),
    request("both", 0, books=7, clicked=7),
    request("both", 1, books=7, variant="treatment"),
    request("robot", 0, books=50, is_bot=True),
    request("eve", 0, books=2, clicked=1),
]  # fmt: skip


def parent_rows(rows: list[Any]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of the tables that the marts of experiments are made of."""
    for number, each in enumerate(rows):
        at: dt.datetime = each.at
        if isinstance(each, Request):
            session, of = f"s{number}", each.experiment if each.variant else "none"
            names = (session, "home", each.model, "v1", of, each.variant or "none", each.source)
            counts = (each.books, each.clicked, each.clicked, each.is_bot, each.is_empty)
            yield (
                "marts.fct_recommendation_requests",
                (f"r{number:03}", *(each.visitor,) * 3, f"e{number:03}", *names, *counts, at.date(), at),
            )
            yield "marts.fct_sessions", (session, "web")
        elif each.metric == "revenue":
            name = (
                "Subscription Started" if Event(each.visitor, at, "subscriptions") in rows else "Subscription Renewed"
            )
            yield "marts.fct_payments", (each.visitor, name, each.amount, False, at.date(), at)
        elif each.metric in EVENT_NAMES:
            yield "marts.fct_events", (each.visitor, EVENT_NAMES[each.metric], False, at.date(), at)
        yield "intermediate.int_visitor_days", (each.visitor, 1, at.date())


@pytest.fixture(scope="module")
def built(new_world: Any) -> World:
    world: World = new_world()
    with world.connect() as con:
        for schema in ("marts", "intermediate", "staging"):
            con.execute(f"create schema if not exists {schema}")
        for statement in PARENTS:
            con.execute(statement)
        con.execute("insert into staging.staff_readers values ('eve')")
        for table, row in parent_rows(ROWS):
            con.execute(f"insert into {table} values ({', '.join(map(literal, row))})")
    result = world.dbt("run", "--select", *MODELS)
    assert result.success, result.exception or [each.message for each in result.result]
    return world


def test_assignments_are_those_that_another_calculation_gives(built: World) -> None:
    own: dict[tuple[str, str], list[Request]] = {}
    for each in ROWS:
        if isinstance(each, Request) and each.variant:
            own.setdefault((each.experiment, each.visitor), []).append(each)
    expected = [assignment_of(*key, requests, ROWS, ["eve"]) for key, requests in own.items()]
    columns = """experiment, visitor_id, user_id, unit_id, variant, model, platform, is_bot, is_staff, is_returning, first_shown_on,
        other_variant_on"""
    assert sorted(built.rows(f"select {columns} from marts.{ASSIGNMENTS}"), key=str) == sorted(expected, key=str)
    assert built.rows(f"select variants, requests from marts.{ASSIGNMENTS} where visitor_id = 'both'") == [(2, 2)]


def expected_metrics(experiment: str, visitor: str) -> Iterator[tuple[Any, ...]]:
    all_rows = [each for each in ROWS if each.visitor == visitor]
    own = [each for each in all_rows if isinstance(each, Request) and each.variant and each.experiment == experiment]
    return metric_rows(experiment, own, all_rows)


def test_metrics_are_those_that_another_calculation_gives(built: World) -> None:
    readers = [("trial", "ann"), ("trial", "ben"), ("trial", "cat"), ("trial", "both"), ("other", "ann")]
    expected = [row for reader in readers for row in expected_metrics(*reader)]
    found = built.rows(f"select * from marts.{METRICS}")
    as_numbers = [tuple(float(x) if 4 <= at < 10 else x for at, x in enumerate(row)) for row in found]
    floats = [tuple(float(x) if 4 <= at < 10 else x for at, x in enumerate(row)) for row in expected]
    assert sorted(as_numbers, key=str) == sorted(floats, key=str)


def test_the_days_add_up_to_the_sums_over_readers_without_those_who_saw_two_variants(built: World) -> None:
    added = built.rows("""
        select sum(n), sum(x), sum(y), sum(xx), sum(yy), sum(xy), sum(known), sum(pre_x), sum(x_pre_x)
        from marts.rpt_experiment_daily where experiment = 'trial' and variant = 'control' and metric = 'ctr'""")
    # ann: 3 of 7 after 3 of 13 before, of both experiments; cat: 0 of 5.
    assert added == [(2, 3.0, 12.0, 9.0, 49.0 + 25.0, 21.0, 1, 3.0, 9.0)]
    assert built.rows(
        "select sum(n) from marts.rpt_experiment_daily where variant = 'treatment' and metric = 'revenue'"
    ) == [(1,)]
