"""What is learned where nothing, or too little, counts as liked."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.splits import hold_out
from recsys_platform.recommender.evaluation.evaluate import EvaluationParams
from recsys_platform.recommender.lists.rules import Rules, apply_rules
from recsys_platform.recommender.training.candidates import evaluate_variants
from recsys_platform.recommender.training.variants import variant_of

WEIGHTS = {"Book Finished": 5.0, "Book Saved": 3.0, "Book Started": 2.0, "Book Viewed": 0.5, "Audio Heard": 1.5}
START = pd.Timestamp("2026-01-01")
Did = Sequence[tuple[int, str, int]]
"""So many readers, what they did, to how many books each."""


def world(*did: tuple[int, str, int], books: int = 60, disliked: int = 0) -> Dataset:
    """Readers of one kind after the other; each meets the books one a day. The first `disliked` pairs weigh less than nothing."""
    kinds = [(action, many) for readers, action, many in did for _ in range(readers)]
    rows = pd.DataFrame(
        [
            (f"u{n:04d}", f"b{(n + 7 * k) % books:03d}", action, START + pd.Timedelta(n + 60 * 24 * k, "min"))
            for n, (action, many) in enumerate(kinds)
            for k in range(many)
        ],
        columns=["user_id", "book_id", "strongest_action", "last_at"],
    )
    rows["strongest_weight"] = rows["weight"] = rows["strongest_action"].map(WEIGHTS)
    rows.loc[rows.index < disliked, "weight"] = -5.0
    rows["is_positive"] = (rows["strongest_weight"] >= 3) & (rows["weight"] > 0)
    rows["first_liked_at"] = rows["last_at"].where(rows["is_positive"])
    rows["first_at"] = rows["first_strongest_at"] = rows["last_at"]
    catalogue = pd.DataFrame({"book_id": [f"b{n:03d}" for n in range(books)]})
    rows["is_finished"] = rows["strongest_action"] == "Book Finished"
    return build_dataset(rows, pd.DataFrame({"user_id": rows["user_id"].unique()}), catalogue)


@pytest.mark.parametrize(
    ("did", "verb", "pairs"),
    [
        ([(80, "Book Finished", 4), (900, "Book Viewed", 5)], "liked", 320),
        ([(900, "Book Viewed", 5)], "opened", 4500),
        ([(3, "Book Saved", 4), (900, "Book Viewed", 5)], "opened", 4512),
        ([(80, "Book Finished", 1), (300, "Book Started", 2), (900, "Book Viewed", 5)], "started or finished", 680),
        ([(4, "Book Started", 9), (90, "Book Viewed", 3)], "opened or started", 306),
        # A small world in which not so few like anything learns from what they like.
        ([(12, "Book Finished", 5), (40, "Book Viewed", 5)], "liked", 60),
        ([(12, "Book Viewed", 5)], "opened", 60),
        ([(70, "Audio Heard", 3)], 'met with "Audio Heard"', 210),
        ([(5, "Book Finished", 1)], "liked", 5),
    ],
)
def test_the_strongest_signal_that_enough_readers_give_is_learned(
    did: list[tuple[int, str, int]], verb: str, pairs: int
) -> None:
    data = world(*did)
    assert data.signal.verb == verb
    assert data.interactions.positive.sum() == pairs
    assert bool(data.signal.why) == (verb != "liked")
    assert sum(level.learned for level in data.signal.levels) == pairs
    assert sum(level.pairs for level in data.signal.levels) == len(data.interactions)


def test_what_was_disliked_is_never_learned() -> None:
    data = world((100, "Book Viewed", 5), disliked=7)
    assert data.signal.verb == "opened"
    assert not data.interactions.positive[data.interactions.weight < 0].any()


def test_interactions_that_do_not_say_what_was_done_stay_as_they_are(make_dataset) -> None:
    data = make_dataset({"u1": ["b1", "b2"]}, ["b1", "b2"], is_positive=False)
    assert data.signal.is_liked
    assert not data.interactions.positive.any()


def test_a_pair_with_a_stronger_action_is_as_old_as_its_first_event() -> None:
    rows = pd.DataFrame(
        [(f"u{n:02d}", f"b{k}", "Book Viewed", 0.5, k, k) for n in range(60) for k in range(1, 4)]
        + [("u00", "b9", "Book Started", 2.0, 1, 30)],
        columns=["user_id", "book_id", "strongest_action", "strongest_weight", "first", "strong"],
    )
    for column, day in (("first_at", "first"), ("first_strongest_at", "strong"), ("last_at", "strong")):
        rows[column] = START + pd.to_timedelta(rows[day], "D")
    rows = rows.assign(weight=1.0, is_positive=False, first_liked_at=pd.NaT, is_finished=False)
    books = pd.DataFrame({"book_id": [f"b{k}" for k in range(10)]})
    data = build_dataset(rows, pd.DataFrame({"user_id": rows["user_id"].unique()}), books)
    place = (data.interactions.user == 0) & (data.interactions.book == 9)
    assert data.signal.verb == "opened"
    assert data.interactions.liked_at[place].tolist() == [START + pd.Timedelta(1, "D")]


def test_every_figure_of_a_world_of_views_says_so() -> None:
    variants = {name: variant_of(name, {}) for name in ("popularity", "ease")}
    found = evaluate_variants(world((300, "Book Viewed", 6)), variants=variants, params=EvaluationParams(resamples=10))
    assert found.task.verb == "opened"
    assert "opened next" in found.protocol
    assert "what readers opened next" in found.task.description


def test_lists_leave_out_what_is_learned_only_where_nothing_tells_what_was_read() -> None:
    read, opened = world((60, "Book Finished", 3), (60, "Book Viewed", 3)), world((120, "Book Viewed", 3))
    saved = world((120, "Book Saved", 3))
    assert left_out(Rules(), read) == 180
    assert left_out(Rules(), opened) == left_out(Rules(), saved) == 360
    assert left_out(Rules(finished=False), opened) == 0
    # Readers who met half of the catalogue keep theirs.
    assert left_out(Rules(), world((120, "Book Viewed", 30))) == 0


def test_what_is_offered_to_nobody_does_not_count_as_left() -> None:
    data = world((120, "Book Viewed", 3))
    premium = dataclasses.replace(data, premium=np.arange(60) >= 5, is_free=np.ones(120, dtype=bool))
    assert left_out(Rules(), premium) == 0
    assert left_out(Rules(premium=False), premium) == 360


def left_out(rules: Rules, data: Dataset) -> int:
    """How many pairs the rules leave out."""
    exclude = apply_rules(rules, data).exclude
    return exclude.nnz if exclude is not None else 0


def test_the_signal_is_the_same_whatever_is_held_out() -> None:
    data = world((3, "Book Saved", 4), (300, "Book Viewed", 6))
    split = hold_out(data)
    assert split.train.signal == data.signal
    assert {field.name for field in dataclasses.fields(split.train.interactions)} >= {"positive", "liked_at"}
    assert np.isin(split.test.indices, np.arange(60)).all()
