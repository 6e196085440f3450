"""Worlds that stand still, and worlds of which one thing moves."""

from collections.abc import Callable
from math import inf, log

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.drift import (
    best_scores,
    drift,
    name_counts,
    noise,
    number_counts,
    psi,
    verdict,
)
from recsys_platform.recommender.models.histories import histories_from
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import load_variants

DAY = np.timedelta64(1, "D")
NOW = np.datetime64("2026-11-20T12:00:00", "us")


def interactions(
    seed: int, rows: int = 3000, *, newest: np.datetime64 = NOW, eager: float = 1.0, days: int = 28
) -> pa.Table:
    """Readers who finish or open books within some days; `eager` times as many finish."""
    random = np.random.default_rng(seed)
    finished = random.random(rows) < 0.3 * eager
    last_at = newest - (random.random(rows) * days * 86_400e6).astype("timedelta64[us]")
    last_at[0] = newest
    return pa.table(
        {
            "user_id": [f"u{number}" for number in random.integers(0, 900, rows)],
            "book_id": [f"b{number}" for number in random.integers(0, 300, rows)],
            "last_action": np.where(finished, "Book Finished", "Book Viewed").tolist(),
            "weight": np.where(finished, 5.0, random.choice([0.5, 1.0], rows)),
            "last_at": last_at,
        }
    )


def books(n: int = 2000, *, german: float = 0.2, categories: tuple[str, ...] = ("sleep", "work", "mind")) -> pa.Table:
    random = np.random.default_rng(0)
    return pa.table(
        {
            "language": np.where(random.random(n) < german, "de", "en-GB").tolist(),
            "categories": pa.array([[str(random.choice(categories))] for _ in range(n)], pa.list_(pa.string())),
            "published_at": NOW - random.integers(0, 2000, n) * DAY,
        }
    )


def verdicts(reference: dict[str, pa.Table], current: dict[str, pa.Table], **more: object) -> dict[str, str]:
    table = drift(reference, current, **more)  # type: ignore[arg-type]
    return dict(zip(table["what"], table["verdict"], strict=True))


THEN = {"fct_interactions": interactions(1), "dim_books": books()}


def test_the_index_is_what_its_definition_says() -> None:
    then, now = np.array([50.0, 30, 20]), np.array([20.0, 30, 50])
    p, q = [51 / 103, 31 / 103, 21 / 103], [21 / 103, 31 / 103, 51 / 103]
    assert psi(then, now) == pytest.approx(sum((b - a) * log(b / a) for a, b in zip(p, q, strict=True)))


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=12))
def test_the_index_is_never_negative_and_the_same_both_ways(bins: list[tuple[int, int]]) -> None:
    then, now = (np.array(counts, dtype=float) for counts in zip(*bins, strict=True))
    assert psi(then, now) >= -1e-12
    assert psi(then, now) == pytest.approx(psi(now, then))
    assert psi(then, then) == pytest.approx(0)


def test_best_scores_are_of_the_books_that_the_model_knows(make_dataset: Callable[..., Dataset]) -> None:
    old = make_dataset({"u1": ["b1", "b2"], "u2": ["b1", "b2"], "u3": ["b2"]}, ["b1", "b2", "b3"])
    model = TrainedModel(Fitter(old, load_variants()).fit_without_fallback("ease"), old.user_ids, old.book_ids)
    new = make_dataset({"u9": ["a0"], "u4": ["a0", "b2"]}, ["a0", "b2"])
    expected = model.model.fold_in(histories_from([[1], []], 3)).max(axis=1)
    assert best_scores(model, new).tolist() == expected.tolist()


def test_a_bin_empty_in_both_says_nothing() -> None:
    assert psi(np.array([5.0, 0, 9]), np.array([7.0, 0, 3])) == psi(np.array([5.0, 9]), np.array([7.0, 3]))


def test_an_empty_bin_is_no_infinite_drift() -> None:
    assert 0 < psi(np.array([100.0, 0]), np.array([0.0, 100])) < inf


def test_numbers_are_counted_in_tenths_of_the_reference_with_open_ends() -> None:
    then, now = number_counts(np.arange(1000.0), np.array([-5.0, 50, 99, 2000]))
    assert then.tolist() == [100] * 10
    assert now.tolist() == [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_value_that_many_share_has_a_bin_of_its_own() -> None:
    then, now = number_counts(np.array([0.5] * 50 + [5.0] * 50), np.array([0.4, 0.5, 0.6, 5.0, 6.0]))
    assert then.sum() == 100
    assert sorted(now[now > 0].tolist()) == [1] * 5


def test_names_beyond_the_most_frequent_are_counted_together() -> None:
    then, now = name_counts([f"n{number}" for number in range(25) for _ in range(number + 1)], ["n24", "n0", "new"])
    assert (len(then), then[0], then[-1]) == (21, 25, 1 + 2 + 3 + 4 + 5)
    assert (now[0], now[-1]) == (1, 2)


@pytest.mark.parametrize(("index", "said"), [(0.09, "stable"), (0.1, "moves"), (0.25, "moves"), (0.26, "drifted")])
def test_the_limits_are_the_customary_ones(index: float, said: str) -> None:
    assert verdict(index, expected=0.01) == said


def test_chance_gives_about_the_index_that_is_expected_of_it() -> None:
    random = np.random.default_rng(0)
    indices = [psi(*number_counts(random.random(500), random.random(400))) for _ in range(200)]
    assert np.mean(indices) == pytest.approx(noise(500, 400, bins=10), rel=0.15)


def test_where_chance_alone_would_look_like_a_move_there_is_no_verdict() -> None:
    few = {"fct_interactions": interactions(2, 100), "dim_books": books(50)}
    assert set(verdicts(few, few).values()) <= {"too few", "stable"}
    assert verdicts(few, few)["age in days"] == "too few"
    assert noise(0, 5, bins=3) == inf


def test_a_world_that_stands_still_is_stable_in_everything() -> None:
    later = {"fct_interactions": interactions(2, newest=NOW + 28 * DAY), "dim_books": books()}
    assert verdicts(THEN, later) == dict.fromkeys(
        ["weight", "last action", "books a reader", "language", "category", "age in days"], "stable"
    )


def test_readers_who_finish_more_drift_in_weight_and_action_only() -> None:
    found = verdicts(THEN, {**THEN, "fct_interactions": interactions(2, eager=2.5)})
    assert {what for what, said in found.items() if said != "stable"} == {"weight", "last action"}
    assert found["last action"] == "drifted"


def test_half_as_many_books_a_reader_are_seen() -> None:
    assert verdicts(THEN, {**THEN, "fct_interactions": interactions(2, 1200)})["books a reader"] == "drifted"


def test_a_catalogue_with_other_languages_and_a_new_category_is_seen() -> None:
    other = books(german=0.6, categories=("sleep", "work", "mind", "money"))
    found = verdicts(THEN, {**THEN, "dim_books": other})
    assert (found["language"], found["category"], found["weight"]) == ("drifted", "drifted", "stable")


def test_a_catalogue_that_nobody_renews_grows_old() -> None:
    later = {"fct_interactions": interactions(2, newest=NOW + 900 * DAY), "dim_books": books()}
    assert verdicts(THEN, later)["age in days"] == "drifted"


def test_only_the_last_days_of_each_are_compared() -> None:
    long_ago = interactions(3, 9000, newest=NOW - 40 * DAY, eager=3)
    with_history = {**THEN, "fct_interactions": pa.concat_tables([long_ago, THEN["fct_interactions"]])}
    assert drift(THEN, with_history).equals(drift(THEN, THEN))


def test_scores_are_compared_if_there_are_some_and_infinite_ones_left_out() -> None:
    random = np.random.default_rng(0)
    then, now = random.normal(size=2000), random.normal(loc=1, size=2000)
    assert verdicts(THEN, THEN, scores=(then, now))["score"] == "drifted"
    assert verdicts(THEN, THEN, scores=(then, np.append(then, -inf)))["score"] == "stable"
    assert verdicts(THEN, THEN, scores=(then[:0], now))["score"] == "too few"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(DataError, match="no interactions"):
        drift({**THEN, "fct_interactions": THEN["fct_interactions"].slice(0, 0)}, THEN)
    with pytest.raises(DataError, match="dim_books has no column language"):
        drift(THEN, {**THEN, "dim_books": books().drop_columns(["language"])})
