"""Published tables that keep every promise, and some that break each of them, for the tests of both engines."""

from typing import Any

import pyarrow as pa

Rows = list[tuple[Any, ...]]
USERS: Rows = [("u1", "free"), ("u2", "premium")]
BOOKS: Rows = [("b1", True, False), ("b2", True, False), ("b3", True, True), ("b4", False, False), ("b5", True, False)]
INTERACTIONS: Rows = [("u1", "b1", True, "Book Finished"), ("u1", "b5", False, "Book Removed")]
GIVEN = {
    "dim_users": (["user_id", "tier"], USERS),
    "dim_books": (["book_id", "is_available", "is_premium"], BOOKS),
    "fct_interactions": (["user_id", "book_id", "is_finished", "last_action"], INTERACTIONS),
    "models": (["model"], [("m",)]),
}
COLUMNS = {
    "user_recommendations": ["user_id", "model", "rank", "book_id", "because_book_id"],
    "similar_books": ["book_id", "model", "rank", "similar_book_id"],
    "popular_books": ["segment", "rank", "book_id"],
}
KEPT: dict[str, Rows] = {
    "user_recommendations": [("u1", "m", 1, "b2", "b1"), ("u2", "m", 1, "b3", None), ("u2", "m", 2, "b1", None)],
    "similar_books": [("b1", "m", 1, "b2"), ("b1", "m", 2, "b3")],
    "popular_books": [("all", 1, "b1"), ("all", 2, "b3"), ("language=en", 1, "b2")],
}
BROKEN: dict[str, Rows] = {
    # u2 has no list; u1's has what was removed, premium, finished and unavailable, a gap, and a reason that was not finished.
    "user_recommendations": [
        ("u1", "m", 1, "b5", "b1"),
        ("u1", "m", 2, "b3", None),
        ("u1", "m", 3, "b1", None),
        ("u1", "m", 4, "b4", None),
        ("u1", "m", 6, "b2", "b3"),
    ],
    "similar_books": [("b1", "m", 1, "b1"), ("b1", "m", 3, "b4")],
    "popular_books": [("language=en", 1, "b4"), ("language=en", 3, "b1")],
}


def given() -> dict[str, pa.Table]:
    """What the promises are judged against."""
    return {name: _table(columns, rows) for name, (columns, rows) in GIVEN.items()}


def published(tables: dict[str, Rows]) -> dict[str, list[pa.RecordBatch]]:
    """Tables as they are handed to a warehouse."""
    return {name: _table(COLUMNS[name], rows).to_batches() for name, rows in tables.items()}


def _table(columns: list[str], rows: Rows) -> pa.Table:
    return pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
