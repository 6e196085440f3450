"""Worlds of two books whose truth is known, by hand and by simulation."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from recsys_platform.experiments.off_policy import (
    Estimate,
    Exposures,
    as_table,
    doubly_robust,
    effective_size,
    exposures_of,
    first_showings,
    ips,
    is_listed_at,
    snips,
    with_exploration,
)
from recsys_platform.recommender.errors import DataError

CLICKS = np.array([0.1, 0.3])
"""How likely a reader clicks each of two books."""
LOGGED, TARGET = np.array([0.7, 0.3]), np.array([0.2, 0.8])
TRUTH = float(TARGET @ CLICKS)


def exposures(
    reward: list[float], propensity: list[float], target: list[float], group: list[int] | None = None
) -> Exposures:
    own = np.arange(len(reward)) if group is None else np.array(group)
    return Exposures(np.array(reward), np.array(propensity), np.array(target), own.astype(np.int32))


FOUR = exposures([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.5], [0.25, 0.5, 1, 0])
"""Weights ½, 1, 4, 0."""


def simulated(seed: int, rows: int = 2000, rows_a_reader: int = 1) -> tuple[Exposures, np.ndarray]:
    """What a bandit logged that knows nothing of the reader, and which book it showed; readers differ in how much they click."""
    random = np.random.default_rng(seed)
    book = (random.random(rows) < LOGGED[1]).astype(int)
    reader = np.arange(rows) // rows_a_reader
    eager = 1.0 if rows_a_reader == 1 else random.choice([0.0, 2.0], size=rows)[reader]
    reward = (random.random(rows) < CLICKS[book] * eager).astype(float)
    return Exposures(reward, LOGGED[book], TARGET[book], reader.astype(np.int32)), book


def test_ips_is_the_mean_of_weighted_rewards() -> None:
    assert ips(FOUR).value == pytest.approx((0.5 * 1 + 1 * 0 + 4 * 1 + 0 * 0) / 4)


def test_snips_divides_by_the_weights() -> None:
    assert snips(FOUR).value == pytest.approx((0.5 * 1 + 4 * 1) / (0.5 + 1 + 4 + 0))


def test_doubly_robust_corrects_the_model_where_it_was_seen_to_err() -> None:
    shown, expected = np.array([0.5, 0.5, 0.75, 0.0]), np.array([0.6, 0.6, 0.7, 0.2])
    parts = [0.6 + 0.5 * (1 - 0.5), 0.6 + 1 * (0 - 0.5), 0.7 + 4 * (1 - 0.75), 0.2 + 0 * (0 - 0.0)]
    assert doubly_robust(FOUR, shown=shown, expected=expected).value == pytest.approx(sum(parts) / 4)


def test_clipping_cuts_the_large_weights_and_says_so() -> None:
    found = ips(FOUR, clip=2)
    assert found.value == pytest.approx((0.5 + 2) / 4)
    assert found.clipped == 1 / 4
    assert any("clipped" in warning for warning in found.warnings)


def test_the_interval_is_students_of_independent_rows() -> None:
    parts = np.array([0.5, 0, 4, 0])
    half = stdtrit(3, 0.975) * parts.std(ddof=1) / np.sqrt(4)
    found = ips(FOUR)
    assert [found.low, found.high] == pytest.approx([parts.mean() - half, parts.mean() + half])


def test_rows_of_one_reader_count_as_one_observation() -> None:
    twice = exposures([1, 1, 0, 0, 1, 1], [0.5] * 6, [0.5] * 6, group=[0, 0, 1, 1, 2, 2])
    once = exposures([1, 0, 1], [0.5] * 3, [0.5] * 3)
    assert (ips(twice).low, ips(twice).high) == pytest.approx((ips(once).low, ips(once).high))
    assert ips(twice).groups == 3


def test_one_reader_alone_proves_nothing() -> None:
    found = ips(exposures([1, 0], [0.5, 0.5], [0.5, 0.5], group=[7, 7]))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_a_policy_that_is_the_logged_one_gains_nothing_for_certain() -> None:
    found = ips(exposures([1, 0, 1, 0], [0.5, 0.2, 0.3, 1], [0.5, 0.2, 0.3, 1]))
    assert (found.value, found.gain, found.gain_low, found.gain_high) == pytest.approx((0.5, 0, 0, 0))


def test_the_effective_size_is_that_of_equal_weights() -> None:
    assert effective_size(np.array([2.0, 2, 2])) == pytest.approx(3)
    assert effective_size(np.array([5.0, 0, 0])) == pytest.approx(1)
    assert effective_size(np.array([1.0, 3])) == pytest.approx((1 + 3) ** 2 / (1 + 9))
    assert effective_size(np.zeros(3)) == 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("propensity", 0.0, "propensity of 0"),
        ("propensity", np.nan, "no propensity"),
        ("propensity", 1.5, "propensity above 1"),
        ("target", np.nan, "not between 0 and 1"),
        ("target", -0.1, "not between 0 and 1"),
        ("reward", np.inf, "not a finite number"),
    ],
)
def test_what_cannot_be_is_refused_with_how_many_there_are(column: str, value: float, said: str) -> None:
    column_of_four = getattr(FOUR, column).astype(float)
    column_of_four[2] = value
    with pytest.raises(DataError, match=f"1 of 4.*{said}"):
        replace(FOUR, **{column: column_of_four})


def test_nothing_shown_and_nothing_in_common_are_named() -> None:
    with pytest.raises(DataError, match="no exposures"):
        exposures([], [], [])
    with pytest.raises(DataError, match="none of the books that were shown"):
        snips(exposures([1, 0], [0.5, 0.5], [0, 0]))
    with pytest.raises(DataError, match="reward model"):
        doubly_robust(FOUR, shown=np.full(4, np.nan), expected=np.zeros(4))


def test_a_weight_that_blows_up_is_warned_of() -> None:
    n = 200
    blown = exposures([1.0] * n, [1e-4] + [1.0] * (n - 1), [1.0] * n)
    said = " ".join(ips(blown).warnings)
    assert "effective sample size of 1:" in said
    assert "One reader's exposures carry 98%" in said


def test_what_could_never_have_been_shown_is_warned_of() -> None:
    never = exposures([0, 1] * 50, [1.0] * 100, [0.5] * 100)
    assert ["Only 50%" in warning for warning in snips(never).warnings] == [True]
    assert snips(never).coverage == pytest.approx(0.5)


def test_propensities_that_are_all_too_small_are_warned_of() -> None:
    logged, _ = simulated(1)
    assert any(
        "propensities are wrong" in each for each in ips(replace(logged, propensity=logged.propensity / 2)).warnings
    )
    assert ips(logged).warnings == ()


def test_a_list_with_exploration_is_a_policy_with_probabilities() -> None:
    lists = np.array([[4, 7], [7, 4]], dtype=np.int32)
    request, book, place = np.array([0, 0, 1, 1]), np.array([4, 9, 4, 7]), np.array([1, 2, 1, 3])
    standing = is_listed_at(lists, request, book, place)
    assert standing.tolist() == [True, False, False, False]
    likely = with_exploration(standing, share=0.2, explored=np.array([1 / 10, 1 / 10, 1 / 10, 0]))
    assert likely == pytest.approx([0.8 + 0.02, 0.02, 0.02, 0])


def test_a_place_that_only_explores_shows_each_book_of_its_pool_alike() -> None:
    standing = np.array([True, False])
    assert with_exploration(standing, share=np.array([1.0, 0.0]), explored=1 / 4) == pytest.approx([1 / 4, 0])


def test_exposures_come_from_the_mart_with_visitors_as_groups() -> None:
    shown = pa.table(
        {"visitor_id": ["a", "b", "a"], "is_clicked": [True, False, False], "propensity": pa.array([0.5, None, 1.0])}
    )
    with pytest.raises(DataError, match="1 of 3 exposures have no propensity"):
        exposures_of(shown, np.ones(3))
    rows = exposures_of(shown.filter(pa.array([True, False, True])), np.ones(2))
    assert (rows.reward.tolist(), rows.group.tolist()) == ([1, 0], [0, 0])


def test_the_table_has_a_row_an_estimator() -> None:
    assert as_table(ips(FOUR), snips(FOUR))["estimator"].tolist() == ["ips", "snips"]


def covered(estimates: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= TRUTH <= high for low, high in estimates]))


@pytest.mark.parametrize("rows_a_reader", [1, 4])
def test_intervals_cover_the_truth_about_as_often_as_they_say(rows_a_reader: int) -> None:
    worlds = [simulated(seed, rows_a_reader=rows_a_reader)[0] for seed in range(600)]
    for estimator in (ips, snips):
        found = [estimator(world) for world in worlds]
        assert covered([(each.low, each.high) for each in found]) == pytest.approx(0.95, abs=0.025)
        assert np.mean([each.value for each in found]) == pytest.approx(TRUTH, abs=0.005)


def test_doubly_robust_covers_too_and_varies_less_than_ips() -> None:
    worlds = [simulated(seed) for seed in range(600)]
    robust = [doubly_robust(rows, shown=CLICKS[book], expected=np.full(len(rows), TRUTH)) for rows, book in worlds]
    plain = [ips(rows) for rows, _ in worlds]
    assert covered([(each.low, each.high) for each in robust]) == pytest.approx(0.95, abs=0.025)
    assert np.std([each.value for each in robust]) < 0.95 * np.std([each.value for each in plain])
    assert np.mean([each.high - each.low for each in robust]) < np.mean([each.high - each.low for each in plain])


def test_doubly_robust_is_right_with_a_wrong_model_and_right_propensities() -> None:
    wrong = 1 - CLICKS
    worlds = [simulated(seed) for seed in range(300)]
    found = [
        doubly_robust(rows, shown=wrong[book], expected=np.full(len(rows), TARGET @ wrong)).value
        for rows, book in worlds
    ]
    assert np.mean(found) == pytest.approx(TRUTH, abs=0.01)


def test_doubly_robust_is_right_with_wrong_propensities_and_a_right_model() -> None:
    worlds = [simulated(seed) for seed in range(300)]
    bent = [(replace(rows, propensity=np.full(len(rows), 0.9)), book) for rows, book in worlds]
    found = [doubly_robust(rows, shown=CLICKS[book], expected=np.full(len(rows), TRUTH)).value for rows, book in bent]
    assert np.mean(found) == pytest.approx(TRUTH, abs=0.005)
    assert np.mean([ips(rows).value for rows, _ in bent]) != pytest.approx(TRUTH, abs=0.05)


probabilities = st.floats(0.01, 1)
logged_rows = st.lists(st.tuples(st.booleans(), probabilities, probabilities), min_size=2, max_size=20)


@given(logged_rows, st.floats(0.1, 1))
def test_snips_does_not_change_if_all_propensities_are_wrong_by_one_factor(
    rows: list[tuple[bool, float, float]], factor: float
) -> None:
    reward, propensity, target = map(list, zip(*rows, strict=True))
    right = exposures(reward, propensity, target)
    wrong = replace(right, propensity=right.propensity * factor)
    assert snips(wrong).value == pytest.approx(snips(right).value)
    assert ips(wrong).value == pytest.approx(ips(right).value / factor)


@given(logged_rows)
def test_snips_stays_between_the_rewards_and_effective_size_below_the_rows(
    rows: list[tuple[bool, float, float]],
) -> None:
    found = snips(exposures(*map(list, zip(*rows, strict=True))))
    assert -1e-9 <= found.value <= 1 + 1e-9
    assert 1 - 1e-9 <= found.effective <= len(rows) + 1e-9


@given(st.lists(st.tuples(probabilities, st.floats(0, 1), probabilities), min_size=1, max_size=6))
@settings(max_examples=50)
def test_ips_is_unbiased_over_all_that_may_have_been_shown(books: list[tuple[float, float, float]]) -> None:
    chance, click, wanted = (np.array(column) for column in zip(*books, strict=True))
    logged, target = chance / chance.sum(), wanted / wanted.sum()
    values = [ips(exposures([click[book]], [logged[book]], [target[book]])).value for book in range(len(books))]
    assert logged @ np.array(values) == pytest.approx(target @ click)


def kept_until_liked(seed: int, *, readers: int = 1_500, visits: int = 6) -> pa.Table:
    """Exposures of readers who are shown one of four books until they click it; then another is drawn."""
    chance = np.random.default_rng(seed)
    rows = []
    for reader in range(readers):
        draw, book = 0, int(chance.integers(4))
        for visit in range(visits):
            clicked = bool(chance.random() < RATES[book])
            at = dt.datetime(2026, 11, 22, visit)
            named = {"visitor_id": f"u{reader}", "request_id": f"{reader}-{visit}", "draw_id": f"{reader}-{draw}"}
            rows.append(
                {**named, "book": book, "position": 5, "propensity": 0.25, "is_clicked": clicked, "shown_at": at}
            )
            if clicked:
                draw, book = draw + 1, int(chance.integers(4))
    return pa.Table.from_pylist(rows).take(chance.permutation(len(rows)))


RATES = (0.05, 0.1, 0.3, 0.8)


def estimate_of_uniform_draws(shown: pa.Table) -> Estimate:
    return ips(exposures_of(shown, np.full(len(shown), 0.25)))


def test_a_draw_that_stays_until_it_is_liked_counts_at_its_first_showing_alone():
    truth, found = float(np.mean(RATES)), []
    for seed in range(20):
        shown = kept_until_liked(seed)
        everything, first = estimate_of_uniform_draws(shown), estimate_of_uniform_draws(first_showings(shown))
        assert everything.high < truth, "what is not wanted is shown longer: no clustering makes up for that"
        found.append(first.low <= truth <= first.high)
    assert sum(found) >= 16  # of 20 intervals of 95 %, fewer would hold once in 3,000 runs
    assert len(first_showings(shown)) == len(set(shown["draw_id"].to_pylist()))


def test_rows_without_the_id_of_a_draw_are_draws_of_their_own():
    shown = pa.table(
        {
            "draw_id": pa.array([None, None, "d", "d", "d"], pa.string()),
            "position": [1, 1, 1, 1, 2],
            "shown_at": [dt.datetime(2026, 11, 22, hour) for hour in (1, 2, 4, 3, 5)],
            "request_id": ["q1", "q2", "q3", "q4", "q5"],
            "visitor_id": ["u"] * 5,
        }
    )
    assert first_showings(shown)["request_id"].to_pylist() == ["q1", "q2", "q4", "q5"]
