"""What a reader did to a book, as one weight: dislikes are negative whatever came before, and no order of rows changes it."""

import datetime as dt
import itertools
import random
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

MORNING = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)
NAMES = {
    "view": "Book Viewed",
    "start": "Book Started",
    "chapter": "Chapter Completed",
    "finish": "Book Finished",
    "save": "Book Saved",
    "remove": "Book Removed",
    "click": "Recommendation Clicked",
    "dismiss": "Recommendation Dismissed",
}
DETAILS = {"request_id": "r1", "position": 1, "chapter": 1, "chapters": 9}
# What happened, in order; the weight; whether the book is liked.
CASES: list[tuple[str, float, bool]] = [
    ("view start finish 1", -5, False),
    ("view start finish 2", -3, False),
    ("save finish 5 1", -5, False),
    ("1", -5, False),
    ("1 finish", -5, False),
    ("1 save", -5, False),
    ("2 view", -3, False),
    ("2 view view view start chapter", -3, False),
    ("save remove 1", -5, False),
    ("dismiss 2", -3, False),
    ("1 5", 5, True),
    ("1 3", 1, False),
    ("view finish 1 4", 0.5 + 5 + 4, True),
    ("3", 1, False),
    ("finish 3", 6, True),
    ("remove 5", 5, True),
    ("5 remove", 5, True),
    ("finish remove", 5, True),
    ("finish dismiss", 5, True),
    ("save remove", -3, False),
    ("save start chapter remove", -3, False),
    ("remove", -3, False),
    ("save remove view", -3, False),
    ("save remove start", -3, False),
    ("save remove save", 3, True),
    ("save remove save remove", -6, False),
    ("save remove finish", 3 + 5, True),
    ("save finish remove", 3 + 5, True),
    ("dismiss", -2, False),
    ("view dismiss", -2, False),
    ("click start dismiss", -2, False),
    ("save dismiss", -2, False),
    ("dismiss view view click", -2, False),
    ("dismiss start", 2, False),
    ("dismiss save", 3, True),
    ("dismiss dismiss dismiss finish", 5, True),
    ("dismiss dismiss save", 3, True),
    ("view", 0.5, False),
    ("view view view view", 1, False),
    ("view start", 2.5, False),
    ("save", 3, True),
]


def records(steps: str, book: str) -> list[dict[str, Any]]:
    """Segment's records of a case, a minute apart."""
    return [record(step, minute, book) for minute, step in enumerate(steps.split())]


def record(step: str, minute: int, book: str) -> dict[str, Any]:
    rated = {"rating": int(step)} if step.isdigit() else DETAILS
    return {
        "type": "track",
        "event": "Book Rated" if step.isdigit() else NAMES[step],
        "messageId": f"{book}-{minute}",
        "userId": "u1",
        "timestamp": (MORNING + dt.timedelta(minutes=minute)).isoformat(),
        "properties": {"book_id": book, **rated},
    }


@pytest.fixture(scope="module")
def found(new_world: Callable[[], Any]) -> dict[str, tuple[float, bool, int | None]]:
    """Weight, whether it is liked, and rating of every case and of all short histories, built together."""
    words = ("view", "start", "finish", "save", "remove", "dismiss", "1", "3", "5")
    short = [" ".join(some) for length in (1, 2, 3) for some in itertools.product(words, repeat=length)]
    cases = sorted({*short, *(steps for steps, *_ in CASES)})
    given = [record for number, steps in enumerate(cases) for record in records(steps, f"b{number:04}")]
    random.Random(1).shuffle(given)
    world = new_world()
    world.load("segment", *given)
    world.build("--select", "+fct_interactions")
    rows = world.rows("select weight, is_positive, rating from marts.fct_interactions order by book_id")
    return dict(zip(cases, rows, strict=True))


@pytest.mark.slow
def test_the_last_word_about_a_book_decides_what_it_weighs(found: dict[str, tuple[float, bool, int | None]]) -> None:
    assert {steps: found[steps][:2] for steps, *_ in CASES} == {
        steps: (weight, liked) for steps, weight, liked in CASES
    }


@pytest.mark.slow
def test_whatever_happened_what_is_liked_weighs_more_than_nothing_and_a_bad_last_rating_less(
    found: dict[str, tuple[float, bool, int | None]],
) -> None:
    assert [steps for steps, (weight, liked, _) in found.items() if liked and weight <= 0] == []
    assert [steps for steps, (weight, liked, rating) in found.items() if rating == 1 and (liked or weight != -5)] == []


@pytest.mark.slow
def test_what_a_bot_does_in_a_readers_name_teaches_nothing(world: Any) -> None:
    bot = {"context": {"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}}
    server = {"context": {"library": {"name": "@segment/analytics-node"}}}
    views = [record("view", minute, "seen") | bot for minute in range(40)]
    world.load("segment", *views, record("start", 50, "both"), record("save", 51, "both") | bot)
    world.load("segment", record("save", 52, "told") | server)
    world.build("--select", "+fct_interactions")
    pairs = [("both", 2.0, 1), ("told", 3.0, 1)]
    assert world.rows("select book_id, weight, events from marts.fct_interactions order by 1") == pairs


@pytest.mark.slow
def test_weights_that_no_float_holds_add_up_exactly_so_that_no_order_of_rows_shows(world: Any, tmp_path: Path) -> None:
    draw = random.Random(1)
    weights = {step: Decimal(draw.choice([1, 10**3, 10**6, 10**15])) * draw.randint(1, 999) / 10**9 for step in NAMES}
    project = shutil.copytree(world.project, tmp_path / "project", ignore=shutil.ignore_patterns("target"))
    lines = [f"{NAMES[step]},,{weight}," for step, weight in weights.items()]
    (project / "seeds" / "event_weights.csv").write_text("\n".join(["event_name,rating,weight,max_total", *lines]))
    world.project, world.manifest = project, None
    histories = [draw.choices(list(NAMES), k=draw.randint(1, 30)) for _ in range(60)]
    given = [record for n, steps in enumerate(histories) for record in records(" ".join(steps), f"b{n:02}")]
    draw.shuffle(given)
    world.load("segment", *given)
    no_attributes = ("--exclude", "stg_attributes__books+", "stg_attributes__users+")
    first = world.build(*no_attributes).tables()
    exact = [(float(sum(weights[step] for step in steps)),) for steps in histories]
    assert world.rows("select weight from marts.fct_interactions order by book_id") == exact
    with world.connect() as con:  # the same records, stored the other way round
        con.execute("create table raw.turned as from raw.engagement_events order by record_index desc")
        con.execute("delete from raw.engagement_events")
        con.execute("insert into raw.engagement_events from raw.turned")
        con.execute("drop table raw.turned")
    assert world.build("--full-refresh", *no_attributes).tables() == first
