"""Published tables that keep every promise, and some that break each of them, for the tests of both engines."""

from itertools import chain
from typing import Any

import pyarrow as pa

from recsys_platform.recommender.lists.contracts import AppliedRules, contract_checks

Rows = list[tuple[Any, ...]]
USERS: Rows = [("u1", "free", "en-GB"), ("u2", "premium", None)]
BOOKS: Rows = [
    ("b1", True, False, "en"),
    ("b2", True, False, "EN"),
    ("b3", True, True, "de"),
    ("b4", False, False, "en"),
    ("b5", True, False, "en_US"),
    ("b6", True, False, "en"),
    ("b7", True, False, None),
]
INTERACTIONS: Rows = [("u1", "b1", True, "Book Finished", 5.0), ("u1", "b5", False, "Book Viewed", -1.5)]
GIVEN = {
    "dim_users": (["user_id", "tier", "language"], USERS),
    "dim_books": (["book_id", "is_available", "is_premium", "language"], BOOKS),
    "fct_interactions": (["user_id", "book_id", "is_finished", "last_action", "weight"], INTERACTIONS),
    "models": (["model"], [("m",)]),
    "excluded": (["book_id"], [("b6",)]),
    "promoted": (["book_id", "rank"], [("b7", 2)]),
    "book_categories": (["book_id", "category"], [("b1", 1), ("b3", 1), ("b2", 1), ("b7", 1)]),
}
COLUMNS = {
    "user_recommendations": ["user_id", "model", "rank", "book_id", "score", "reason", "because_book_id"],
    "similar_books": ["book_id", "model", "rank", "similar_book_id"],
    "popular_books": ["segment", "rank", "book_id"],
    "model_roles": ["model", "is_live"],
}
MADE = AppliedRules(own_language=True, excluding=True, promoting=True, most_of_a_category=2)
"""By rules that make every promise."""
ALL = dict(chain.from_iterable(table.items() for table in contract_checks(MADE).values()))
KEPT: dict[str, Rows] = {
    "user_recommendations": [
        ("u1", "m", 1, "b2", 0.5, "matches your reading", "b1"),
        ("u2", "m", 1, "b3", 0.5, "popular", None),
        ("u2", "m", 2, "b7", None, "promoted", None),
        ("u2", "m", 3, "b1", 0.4, "popular", None),
    ],
    "similar_books": [("b1", "m", 1, "b2"), ("b1", "m", 2, "b3")],
    "popular_books": [("all", 1, "b1"), ("all", 2, "b3"), ("language=en", 1, "b2")],
    "model_roles": [("m", True)],
}
BROKEN: dict[str, Rows] = {
    # u2 has no list; u1's has what is disliked, premium and not English, finished, unavailable, excluded, promoted too far down,
    # three of a category, a gap, a book without a score, and a reason that was not finished.
    "user_recommendations": [
        ("u1", "m", 1, "b5", 0.9, "popular", "b1"),
        ("u1", "m", 2, "b3", 0.8, "popular", None),
        ("u1", "m", 3, "b1", 0.7, "popular", None),
        ("u1", "m", 4, "b4", None, "popular", None),
        ("u1", "m", 6, "b2", 0.6, "popular", "b3"),
        ("u1", "m", 7, "b6", 0.5, "popular", None),
        ("u1", "m", 8, "b7", None, "promoted", None),
    ],
    "similar_books": [("b1", "m", 1, "b1"), ("b1", "m", 3, "b4"), ("b1", "m", 4, "b6")],
    "popular_books": [("language=en", 1, "b4"), ("language=en", 3, "b1"), ("language=en", 4, "b6")],
    "model_roles": [("m", False), ("unheard of", False)],
}


def given(**instead: Rows) -> dict[str, pa.Table]:
    """What the promises are judged against, with other rows for some of the tables."""
    return {name: _table(columns, instead.get(name, rows)) for name, (columns, rows) in GIVEN.items()}


def published(tables: dict[str, Rows]) -> dict[str, list[pa.RecordBatch]]:
    """Tables as they are handed to a warehouse."""
    return {name: _table(COLUMNS[name], rows).to_batches() for name, rows in tables.items()}


def _table(columns: list[str], rows: Rows) -> pa.Table:
    return pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))
