"""What counts as liked, since when, and that both follow the seed and the variable."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.rules import Rules, apply_rules
from recsys_platform.recommender.ranking.top_k import NONE, top_k

JANUARY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
VIEWED, STARTED, SAVED, REMOVED, FINISHED = (
    "Book " + what for what in ("Viewed", "Started", "Saved", "Removed", "Finished")
)
CASES: dict[str, tuple[list[tuple[int, str, int | None]], int | None, tuple[str, int]]] = {
    # What happened on which day, the day of the first like, the strongest action and its first day
    "looked at again": ([(1, FINISHED, None), (60, VIEWED, None)], 1, (FINISHED, 1)),
    "finished twice": ([(3, FINISHED, None), (60, FINISHED, None)], 3, (FINISHED, 3)),
    "saved, finished later": ([(2, SAVED, None), (60, FINISHED, None)], 2, (FINISHED, 60)),
    "viewed, liked later": ([(1, VIEWED, None), (60, SAVED, None)], 60, (SAVED, 60)),
    "saved and removed": ([(1, SAVED, None), (2, REMOVED, None)], None, (SAVED, 1)),
    "saved again": ([(1, SAVED, None), (2, REMOVED, None), (60, SAVED, None)], 1, (SAVED, 1)),
    "removed, finished": ([(1, SAVED, None), (2, REMOVED, None), (9, FINISHED, None)], 9, (FINISHED, 9)),
    "rated up": ([(1, "Book Rated", 2), (60, "Book Rated", 5)], 60, ("Book Rated", 1)),
    "rated high twice": ([(1, "Book Rated", 4), (60, "Book Rated", 5)], 1, ("Book Rated", 1)),
    "rated down": ([(1, "Book Rated", 5), (60, "Book Rated", 1)], None, ("", 0)),
    "finished, disliked": ([(1, FINISHED, None), (2, "Book Rated", 1)], None, (FINISHED, 1)),
    "so-so": ([(1, "Book Rated", 3)], None, ("Book Rated", 1)),
    "viewed": ([(1, VIEWED, None), (2, VIEWED, None)], None, (VIEWED, 1)),
    "started": ([(1, VIEWED, None), (2, STARTED, None), (3, STARTED, None)], None, (STARTED, 2)),
    "only removed": ([(1, REMOVED, None)], None, ("", 0)),
}  # fmt: skip
LIKES = "select book_id, is_positive, first_liked_at, strongest_action, first_strongest_at from marts.fct_interactions"


def event(book: str, day: int, name: str, stars: int | None) -> dict[str, Any]:
    at = (JANUARY + dt.timedelta(days=day)).isoformat()
    properties = {"book_id": book} | ({"rating": stars} if stars else {})
    if name.startswith("Recommendation"):
        properties |= {"request_id": "r1", "position": 1}
    key = f"{book} {day} {name}"
    return {"type": "track", "event": name, "messageId": key, "userId": "u1", "timestamp": at, "properties": properties}


@pytest.fixture
def liking(world: Any) -> Any:
    world.load(
        "segment",
        *(event(book, *each) for book, (events, _, _) in CASES.items() for each in events),
        hour="2026/03/22/10",
    )
    return world.build("--select", "+fct_interactions")


def days(world: Any) -> dict[str, tuple[int | None, tuple[str, int]]]:
    """By case: day of the first like, strongest action and its first day."""

    def number(moment: dt.datetime | None) -> int | None:
        return (moment.replace(tzinfo=dt.UTC) - JANUARY).days if moment else None

    found = {}
    for book, is_liked, liked, action, strongest in world.rows(LIKES):
        assert is_liked == (liked is not None), book
        found[book] = (number(liked), (action or "", number(strongest) or 0))
    return found


@pytest.mark.slow
def test_a_book_is_liked_since_the_first_event_that_weighs_enough_and_other_weights_give_other_likes(
    liking: Any,
) -> None:
    expected = {book: (liked, strongest) for book, (_, liked, strongest) in CASES.items()}
    assert days(liking) == expected
    # A lower weight makes more of them liked, in the rows that were there too.
    liking.build("--select", "+fct_interactions", "--vars", "{liked_from: 0.5}")
    lower = days(liking)
    assert {
        book: lower[book][0] for book in ("viewed", "started", "so-so", "looked at again", "saved and removed")
    } == {
        "viewed": 1,
        "started": 1,
        "so-so": 1,
        "looked at again": 1,
        "saved and removed": None,
    }


DISMISSED, CLICKED, RATED = "Recommendation Dismissed", "Recommendation Clicked", "Book Rated"
OFFERED: dict[str, tuple[list[tuple[str, int | None]], bool]] = {
    # What happened, one day after another, and whether the book may be offered, also where finished ones may
    "met by nobody": ([], True),
    "dismissed": ([(DISMISSED, None)], False),
    "dismissed, viewed": ([(DISMISSED, None), (VIEWED, None)], False),
    "dismissed, viewed often": ([(DISMISSED, None), *[(VIEWED, None)] * 5], False),
    "dismissed, clicked": ([(DISMISSED, None), (CLICKED, None), (VIEWED, None)], False),
    "dismissed, started": ([(DISMISSED, None), (STARTED, None), (VIEWED, None)], True),
    "removed, viewed": ([(SAVED, None), (REMOVED, None), (VIEWED, None)], False),
    "removed, started": ([(REMOVED, None), (STARTED, None)], False),
    "removed, saved": ([(REMOVED, None), (SAVED, None), (VIEWED, None)], True),
    "removed, saved, dismissed": ([(REMOVED, None), (SAVED, None), (DISMISSED, None)], False),
    "rated badly, viewed": ([(RATED, 1), (VIEWED, None)], False),
    "rated well": ([(RATED, 5)], True),
    "finished, removed": ([(FINISHED, None), (REMOVED, None)], False),
    "dismissed, finished": ([(DISMISSED, None), (FINISHED, None)], True),
}  # fmt: skip


@pytest.mark.slow
def test_a_list_holds_no_book_that_the_marts_say_is_disliked(new_world: Any) -> None:
    world = new_world()
    records = [event(book, day, *each) for book, (done, _) in OFFERED.items() for day, each in enumerate(done)]
    world.load("segment", *records, hour="2026/03/22/10")
    world.snapshot("book", "2026-03-22", *({"book_id": book} for book in OFFERED))
    world.snapshot("user", "2026-03-22", {"user_id": "u1"})
    world.build("--select", "+fct_interactions", "+dim_users", "+dim_books")
    with world.connect() as con:
        names = ("fct_interactions", "dim_users", "dim_books")
        data = build_dataset(*(con.table(f"marts.{name}").to_arrow_table() for name in names))
        disliked = {
            book for (book,) in con.execute("select book_id from marts.fct_interactions where weight < 0").fetchall()
        }
    allowed = apply_rules(Rules(finished=False), data)
    listed = top_k(
        lambda rows: np.ones((len(rows), len(OFFERED)), np.float32), np.array([0]), k=len(OFFERED), allowed=allowed
    )
    offered = {data.book_ids[book] for book in listed.books[0] if book != NONE}
    assert offered == {book for book, (_, may_be) in OFFERED.items() if may_be}
    assert not offered & disliked
