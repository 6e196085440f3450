"""Requests and events that are small enough to add up by hand, for the read-out of experiments on both engines."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.policy_worlds import literal

FIRST = dt.datetime(2026, 11, 2)
TABLES = (
    """create table marts.fct_recommendation_requests (visitor_id varchar, surface varchar, experiment varchar, variant varchar,
        books bigint, clicks bigint, clicked_books bigint, is_bot boolean, is_empty boolean, shown_on date, shown_at timestamp)""",
    """create table marts.fct_events (
        visitor_id varchar, event_name varchar, is_bot boolean, occurred_on date, occurred_at timestamp)""",
)
REQUESTS, EVENTS = "fct_recommendation_requests", "fct_events"
Row = tuple[str, tuple[Any, ...]]


def request(
    visitor: str,
    day: int,
    *,
    books: int = 1,
    clicked: int = 0,
    variant: str | None = "control",
    surface: str = "home",
    experiment: str = "trial",
    is_bot: bool = False,
    is_empty: bool = False,
) -> Row:
    """An answer at noon of a day after the first; without a variant it is of no experiment."""
    at = FIRST + dt.timedelta(days=day, hours=12)
    asked = (visitor, surface, experiment if variant else None, variant)
    return REQUESTS, (*asked, books, clicked, clicked, is_bot, is_empty, at.date(), at)


def event(visitor: str, day: int, name: str, *, hour: int = 13) -> Row:
    """An event of a day after the first."""
    at = FIRST + dt.timedelta(days=day, hours=hour)
    return EVENTS, (visitor, name, False, at.date(), at)


def insertions(rows: Sequence[Row]) -> Iterator[str]:
    """The statements that put rows into their tables."""
    for table in (REQUESTS, EVENTS):
        lines = ["(" + ", ".join(map(literal, values)) + ")" for name, values in rows if name == table]
        if lines:
            yield f"insert into marts.{table} values {', '.join(lines)}"
