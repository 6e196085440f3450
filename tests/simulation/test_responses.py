"""The response model of readers, with answers that can be worked out by hand."""

import datetime as dt
from math import exp

import numpy as np
import pyarrow as pa
import pytest

from recsys_platform.simulation.responses import Habits, Memory, chance_to_finish_clicked
from recsys_platform.simulation.visit_truth import expected_outcomes
from recsys_platform.simulation.visits import IMPRESSIONS
from recsys_platform.simulation.vocabulary import CATEGORIES
from recsys_platform.simulation.world import BASE, BOOK, READER, World, WorldSpec

BUSINESS, HEALTH = (1 << CATEGORIES.index(name) for name in ("business", "health"))
NOTHING = np.zeros(0, dtype=np.int64)


@pytest.fixture
def world() -> World:
    """One reader who is as likely as not to like any book; books 0 to 2 on business by author 1, book 3 on health by author 2."""
    readers, books = np.zeros(1, dtype=READER), np.zeros(4, dtype=BOOK)
    readers["bias"] = -BASE
    books["categories"] = [BUSINESS, BUSINESS, BUSINESS, HEALTH]
    books["author"] = [1, 1, 1, 2]
    return World(WorldSpec(1, 4, 1, dt.date(2026, 1, 5), 1), readers, books)


def remembers(*shown: int, opened: tuple[int, ...] = ()) -> Memory:
    memory = Memory()
    memory.keep(np.array(shown, dtype=np.int64), np.array(opened, dtype=np.int64))
    return memory


def test_a_book_at_a_later_rank_is_looked_at_less_and_behind_the_last_rank_never() -> None:
    looks = Habits(depth=4, decay=0.5).looks_at(np.array([1, 4, 5]))
    assert looks.tolist() == [1, 0.5, 0]


def test_a_click_follows_taste_alone_where_nothing_was_shown_and_nobody_is_curious(world: World) -> None:
    chance = Memory().appeal(world, Habits(appeal=0.4, curiosity=1), reader=0, books=np.array([0, 3]))
    assert chance == pytest.approx([0.4 * 0.5, 0.4 * 0.5])
    world.readers["bias"] += 2
    chance = Memory().appeal(world, Habits(appeal=0.4, curiosity=1), reader=0, books=np.array([0]))
    assert chance == pytest.approx([0.4 / (1 + exp(-2))])


def test_the_same_book_shown_again_and_again_bores_until_it_is_forgotten(world: World) -> None:
    habits = Habits(boredom=0.9, sameness=1, recalls=3)
    assert remembers(0, 0, 3).boredom(world, habits, np.array([0, 1, 3])) == pytest.approx([0.81, 1, 0.9])
    assert remembers(0, 0, 3, 3, 3).boredom(world, habits, np.array([0])) == pytest.approx([1])
    assert Memory().boredom(world, habits, np.array([0, 1])) == pytest.approx([1, 1])


def test_too_much_of_a_category_bores_all_of_its_books(world: World) -> None:
    habits = Habits(boredom=1, sameness=0.64, crowded=0.5)
    shown = remembers(1, 1, 2, 3)  # three of four are on business: half of the way from `crowded` to all
    assert shown.boredom(world, habits, np.array([0, 3])) == pytest.approx([0.8, 1])
    assert remembers(1, 3).boredom(world, habits, np.array([0])) == pytest.approx([1])
    assert remembers(1, 2).boredom(world, habits, np.array([0])) == pytest.approx([0.64])


def test_a_new_author_or_category_makes_curious(world: World) -> None:
    habits = Habits(curiosity=1.2)
    assert remembers(0).curiosity(world, habits, np.array([1, 3])) == pytest.approx([1, 1.2])
    world.books["categories"][1] = BUSINESS | HEALTH
    assert remembers(0).curiosity(world, habits, np.array([1])) == pytest.approx([1.2])
    assert remembers(0, 3).curiosity(world, habits, np.array([1, 3])) == pytest.approx([1, 1])


def test_an_opened_book_is_seldom_opened_again_and_no_chance_is_above_one(world: World) -> None:
    habits = Habits(appeal=1, boredom=1, sameness=1, curiosity=3, known=0.1)
    assert remembers(0, opened=(0,)).appeal(world, habits, reader=0, books=np.array([0])) == pytest.approx([0.05])
    assert Memory().appeal(world, habits, reader=0, books=np.array([0])) == pytest.approx([1])


def test_a_memory_is_of_all_showings_and_clicks(world: World) -> None:
    memory = remembers(0, 1, opened=(1,))
    memory.keep(np.array([1, 2]), NOTHING)
    assert (memory.shown, memory.met, memory.opened) == ([0, 1, 1, 2], {0, 1, 2}, {1})


def test_what_lists_bring_is_counted_by_chances_books_on_some_surfaces_and_finishes_from_all(world: World) -> None:
    finish = (0.12 + 0.7 * 0.5) * (0.12 + 0.8 * 0.5)
    assert chance_to_finish_clicked(world, np.array([0]), np.array([3])) == pytest.approx([finish])
    rows = [
        {"surface": surface, "reader": 0, "book": book, "chance": chance}
        for surface, book, chance in [("for_you", 0, 0.2), ("for_you", 1, 0.1), ("home.popular", 3, 0.4)]
    ]
    shown = pa.Table.from_pylist(rows, schema=IMPRESSIONS)
    found = expected_outcomes(world, shown, ["for_you"])
    assert (found.books, found.clicks, found.ctr) == (2, pytest.approx(0.3), pytest.approx(0.15))
    assert found.finishes == pytest.approx(0.7 * finish)
    assert np.isnan(expected_outcomes(world, IMPRESSIONS.empty_table(), ["for_you"]).ctr)
