"""Published lists and exposures that are small enough to judge by hand, for the tests of both engines."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from recsys_platform.recommender.lists.published_tables import USER_RECOMMENDATIONS
from recsys_platform.warehouse.port import Warehouse

MADE = dt.datetime(2026, 11, 20, 4)
"""When the lists of these worlds are made; exposures come the day after."""
EXPOSURES = """
    create table marts.fct_exposures (
        request_id varchar, book_id varchar, user_id varchar, visitor_id varchar, position integer, propensity double, draw_id varchar,
        is_bot boolean, is_clicked boolean, shown_on date, shown_at timestamp)"""

Shown = dict[str, Any]


def shown(book: str, *, user: str | None = "u1", clicked: bool = False, **more: Any) -> Shown:
    """A book that stood in the second place, drawn from two."""
    at = more.pop("at", MADE + dt.timedelta(days=1))
    row = {"request_id": f"r{at:%d%H%M}", "book_id": book, "user_id": user, "visitor_id": user or "a1", "position": 2}
    row |= {
        "propensity": 0.5,
        "draw_id": None,
        "is_bot": False,
        "is_clicked": clicked,
        "shown_on": at.date(),
        "shown_at": at,
    }
    return row | more


def literal(value: Any) -> str:
    """A value as both engines read it."""
    if value is None or isinstance(value, bool | int | float):
        return "null" if value is None else str(value).lower()
    return f"'{value}'"


def insertion(rows: Sequence[Shown]) -> str:
    """The statement that puts rows into the table of exposures."""
    lines = ", ".join("(" + ", ".join(literal(value) for value in row.values()) + ")" for row in rows)
    return f"insert into marts.fct_exposures values {lines}"


def publish(
    warehouse: Warehouse, version: str, models: Mapping[str, Mapping[str, Sequence[str]]], *, made: dt.datetime = MADE
) -> None:
    """Publish lists by model and reader, best book first."""
    rows = [
        (user, model, rank, book, f"{model}-{version}")
        for model, lists in models.items()
        for user, books in lists.items()
        for rank, book in enumerate(books, start=1)
    ]
    names = ("user_id", "model", "rank", "book_id", "model_version")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    other = {"score": [0.0] * len(rows), "reason": [""] * len(rows), "because_book_id": [None] * len(rows)}
    columns |= other | {"generated_at": [made] * len(rows)}
    table = pa.table({name: columns[name] for name in USER_RECOMMENDATIONS.names}, USER_RECOMMENDATIONS)
    warehouse.publish(version, {"user_recommendations": table.to_batches()}, checks={}, inputs={})
