"""Estimators from sums alone: by hand, against scipy, and against each other."""

import numpy as np
import pytest
from scipy import stats

from recsys_platform.experiments.statistics.estimators import (
    Comparison,
    Level,
    compare,
    compare_with_pre_period,
    fieller_interval,
    level_of,
    lift_interval,
)
from recsys_platform.experiments.statistics.sums import Sums
from tests.support.reader_sums import (
    PrePeriod,
    critical_t,
    difference_interval,
    mean_sums,
    proportion_sums,
    reader_sums,
)

DIGITS = 1e-5


def sums_of(x: np.ndarray, y: np.ndarray | None = None) -> Sums:
    none = np.zeros(len(x))
    return reader_sums(x, np.ones(len(x)) if y is None else y, none, none, none)


@pytest.fixture(scope="module")
def readers() -> dict[str, np.ndarray]:
    """Two groups of different size and spread, with exposures, clicks and a pre-period that only most readers have."""
    random = np.random.default_rng(1)
    found = {}
    for group, size in (("control", 700), ("treatment", 500)):
        rate, seen = random.beta(2, 8, size), random.poisson(12, size) + 1.0
        found[f"{group}_seen"], found[f"{group}_clicks"] = seen, random.binomial(seen.astype(int), rate).astype(float)
        found[f"{group}_pre_seen"] = random.poisson(12, size) + 1.0
        found[f"{group}_pre_clicks"] = random.binomial(found[f"{group}_pre_seen"].astype(int), rate).astype(float)
        found[f"{group}_known"] = (random.random(size) < 0.7).astype(float)
    return found


def test_three_readers_by_hand() -> None:
    """1, 2 and 3 clicks: mean 2, variance 1, squared error 1 ÷ 3."""
    level = level_of(mean_sums(3, 6, 14))
    assert (float(level.value), float(level.squared_error)) == (2.0, pytest.approx(1 / 3))


def test_a_ratio_of_readers_who_all_have_the_same_rate_has_no_error() -> None:
    seen = np.array([1.0, 2.0, 10.0])
    level = level_of(sums_of(0.5 * seen, seen))
    assert (float(level.value), float(level.squared_error)) == (0.5, pytest.approx(0, abs=1e-15))


def test_means_agree_with_welchs_t_test(readers: dict[str, np.ndarray]) -> None:
    control, treatment = readers["control_clicks"], readers["treatment_clicks"]
    ours = compare(sums_of(control), sums_of(treatment))
    theirs = stats.ttest_ind(treatment, control, equal_var=False)
    interval = difference_interval(ours, critical_t(ours, 0.05))
    assert float(ours.p_value) == pytest.approx(theirs.pvalue, abs=DIGITS)
    assert float(ours.statistic) == pytest.approx(theirs.statistic, abs=DIGITS)
    assert float(ours.degrees) == pytest.approx(theirs.df, rel=DIGITS)
    assert (float(interval.low), float(interval.high)) == pytest.approx(tuple(theirs.confidence_interval()), abs=DIGITS)


def test_a_proportion_is_the_mean_of_yes_and_no() -> None:
    answers = np.repeat([1.0, 0.0], [30, 70])
    ours, theirs = level_of(proportion_sums(100, 30)), level_of(sums_of(answers))
    assert float(ours.value) == float(theirs.value) == 0.3
    assert float(ours.squared_error) == pytest.approx(float(theirs.squared_error))


def test_the_error_of_a_ratio_is_that_of_the_jackknife(readers: dict[str, np.ndarray]) -> None:
    """Leave out one reader after another: an error that knows nothing of the delta method."""
    clicks, seen = readers["control_clicks"], readers["control_seen"]
    without = (clicks.sum() - clicks) / (seen.sum() - seen)
    jackknife = (len(clicks) - 1) / len(clicks) * np.sum((without - without.mean()) ** 2)
    assert float(level_of(sums_of(clicks, seen)).squared_error) == pytest.approx(jackknife, rel=0.01)


def adjusted(readers: dict[str, np.ndarray], known: float | None = None) -> Comparison:
    def sums(group: str) -> Sums:
        has = readers[f"{group}_known"] if known is None else np.full(len(readers[f"{group}_known"]), known)
        columns = (readers[f"{group}_{name}"] for name in ("clicks", "seen", "pre_clicks", "pre_seen"))
        return reader_sums(*columns, has)

    return compare_with_pre_period(sums("control"), sums("treatment"))


def test_cuped_agrees_with_least_squares_on_the_readers(readers: dict[str, np.ndarray]) -> None:
    """Of means: a regression on group, pre-period and having one, whose coefficient of the group is the adjusted difference."""
    names = ("clicks", "pre_clicks", "known")
    clicks, before, known = (np.concatenate([readers[f"{g}_{n}"] for g in ("control", "treatment")]) for n in names)
    group = np.repeat([0.0, 1.0], [700, 500])
    ones = np.ones(len(group))
    parts = [
        reader_sums(clicks[group == g], ones[group == g], before[group == g], ones[group == g], known[group == g])
        for g in (0, 1)
    ]
    ours = compare_with_pre_period(*parts)
    design = np.column_stack([ones, known, before * known])
    without_group = np.linalg.lstsq(design, clicks, rcond=None)[0]
    rest = clicks - design @ without_group
    assert float(ours.difference) == pytest.approx(rest[group == 1].mean() - rest[group == 0].mean(), abs=DIGITS)
    theirs = stats.ttest_ind(rest[group == 1], rest[group == 0], equal_var=False)
    assert float(ours.p_value) == pytest.approx(theirs.pvalue, abs=DIGITS)


def test_a_pre_period_makes_the_error_smaller_and_none_leaves_all_as_it_is(readers: dict[str, np.ndarray]) -> None:
    with_all, with_most, without = adjusted(readers, 1.0), adjusted(readers), adjusted(readers, 0.0)
    sums = [sums_of(readers[f"{g}_clicks"], readers[f"{g}_seen"]) for g in ("control", "treatment")]
    assert float(with_all.error) < float(with_most.error) < float(without.error)
    assert float(without.difference) == pytest.approx(float(compare(*sums).difference))
    assert float(without.error) == pytest.approx(float(compare(*sums).error))


def test_a_pre_period_that_explains_everything_leaves_no_error() -> None:
    before = np.array([1.0, 2.0, 3.0, 4.0])
    control = reader_sums(before, np.ones(4), before, np.ones(4), np.ones(4))
    treatment = reader_sums(before + 1, np.ones(4), before, np.ones(4), np.ones(4))
    found = compare_with_pre_period(control, treatment)
    assert (float(found.difference), float(found.error)) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-6))


def test_the_sums_of_a_mean_are_those_of_its_readers() -> None:
    x, before, known = np.array([1.0, 4.0, 2.0]), np.array([3.0, 1.0, 9.0]), np.array([1.0, 1.0, 0.0])
    short = mean_sums(3, 7, 21, PrePeriod(known=2, x=5, pre=4, pre_squared=10, product=7))
    whole = reader_sums(x, np.ones(3), before, np.ones(3), known)
    assert {name: float(value) for name, value in vars(short).items()} == {n: float(v) for n, v in vars(whole).items()}


def test_sums_of_strata_and_days_add_up() -> None:
    x = np.arange(6.0)
    together = sums_of(x[:2]) + sums_of(x[2:])
    assert {n: float(v) for n, v in vars(together).items()} == {n: float(v) for n, v in vars(sums_of(x)).items()}


def test_many_days_at_once_give_what_each_gives() -> None:
    days = [mean_sums(n, x, xx) for n, x, xx in ((10, 20.0, 60.0), (20, 45.0, 150.0))]
    both = mean_sums(np.array([10.0, 20.0]), np.array([20.0, 45.0]), np.array([60.0, 150.0]))
    assert compare(both, both + both).error == pytest.approx([float(compare(d, d + d).error) for d in days])


def comparison(control: float, control_error: float, treatment: float, error: float) -> Comparison:
    return Comparison(Level(control, control_error**2, 1000), Level(treatment, error**2, 1000))


def test_the_interval_of_a_lift_is_that_of_the_delta_method_far_from_0() -> None:
    found = comparison(10, 0.1, 11, 0.1)
    error = np.sqrt(0.1**2 + 1.1**2 * 0.1**2) / 10
    interval = lift_interval(found, 1.96)
    assert (float(interval.low), float(interval.high)) == pytest.approx((0.1 - 1.96 * error, 0.1 + 1.96 * error))
    assert float(fieller_interval(found, 1.96).low) == pytest.approx(float(interval.low), abs=0.001)


def test_near_0_fiellers_interval_holds_just_the_lifts_that_the_test_does_not_refuse() -> None:
    found = comparison(1, 0.25, 1.5, 0.2)
    interval = lift_interval(found, 1.96)
    for lift in (float(interval.low), float(interval.high)):
        distance = 1.5 - (1 + lift) * 1
        assert abs(distance) / np.sqrt(0.2**2 + (1 + lift) ** 2 * 0.25**2) == pytest.approx(1.96)
    assert float(interval.high) - 0.5 > 0.5 - float(interval.low)  # skewed, as it should be


def test_a_control_that_may_be_0_bounds_no_lift() -> None:
    interval = lift_interval(comparison(1, 0.6, 2, 0.2), 1.96)
    assert (float(interval.low), float(interval.high)) == (-np.inf, np.inf)


def test_an_infinite_bound_gives_an_infinite_interval() -> None:
    found = comparison(10, 0.0, 11, 0.0)
    assert float(lift_interval(found, np.inf).low) == -np.inf


def test_groups_without_readers_give_no_number_and_no_error() -> None:
    found = compare(mean_sums(0, 0, 0), mean_sums(0, 0, 0))
    assert np.isnan(found.difference)
    assert np.isnan(compare_with_pre_period(mean_sums(0, 0, 0), mean_sums(0, 0, 0)).difference)
