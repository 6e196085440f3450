"""The same numbers as independent implementations, to five decimals: statsmodels and tea-tasting."""

import numpy as np
import pytest

from recsys_platform.experiments.statistics import estimators, planning
from recsys_platform.experiments.statistics.corrections import benjamini_hochberg, holm
from recsys_platform.experiments.statistics.sums import Sums
from tests.support.reader_sums import critical_t, difference_interval, proportion_sums, reader_sums

DIGITS = 1e-5
COLUMNS = ("clicks", "seen", "pre_clicks", "pre_seen")


@pytest.fixture(scope="module")
def groups() -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(2)
    found = []
    for size in (900, 1100):
        rate, seen, before = random.beta(2, 8, size), random.poisson(9, size) + 1, random.poisson(9, size) + 1
        found.append(
            {
                "clicks": random.binomial(seen, rate) * 1.0,
                "seen": seen * 1.0,
                "pre_clicks": random.binomial(before, rate) * 1.0,
                "pre_seen": before * 1.0,
            }
        )
    return found


def ours_of(group: dict[str, np.ndarray], known: float) -> Sums:
    return reader_sums(*(group[name] for name in COLUMNS), np.full(len(group["seen"]), known))


def theirs_of(group: dict[str, np.ndarray], *names: str):
    from tea_tasting.aggr import Aggregates

    pairs = [tuple(sorted((a, b))) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Aggregates(
        count_=len(group["seen"]),
        mean_={name: float(group[name].mean()) for name in names},
        var_={name: float(group[name].var(ddof=1)) for name in names},
        cov_={pair: float(np.cov(group[pair[0]], group[pair[1]])[0, 1]) for pair in pairs},
    )


def assert_same(ours: estimators.Comparison, theirs: object, digits: float = DIGITS) -> None:
    interval = difference_interval(ours, critical_t(ours, 0.05))
    assert float(ours.p_value) == pytest.approx(theirs.pvalue, abs=digits)
    assert float(ours.statistic) == pytest.approx(theirs.statistic, abs=100 * digits)
    assert float(ours.difference) == pytest.approx(theirs.effect_size, abs=digits)
    assert float(ours.lift) == pytest.approx(theirs.rel_effect_size, abs=digits)
    assert float(interval.low) == pytest.approx(theirs.effect_size_ci_lower, abs=digits)
    assert float(interval.high) == pytest.approx(theirs.effect_size_ci_upper, abs=digits)


def test_a_ratio_is_that_of_tea_tasting(groups: list[dict[str, np.ndarray]]) -> None:
    from tea_tasting.metrics import RatioOfMeans

    theirs = RatioOfMeans("clicks", "seen").analyze_aggregates(*(theirs_of(each, "clicks", "seen") for each in groups))
    assert_same(estimators.compare(*(ours_of(each, 0.0) for each in groups)), theirs)


def test_cuped_of_a_mean_is_that_of_tea_tasting(groups: list[dict[str, np.ndarray]]) -> None:
    from tea_tasting.metrics import Mean

    metric = Mean("clicks", "pre_clicks")
    theirs = metric.analyze_aggregates(*(theirs_of(each, "clicks", "pre_clicks") for each in groups))
    ones = [each | {"seen": np.ones(len(each["seen"])), "pre_seen": np.ones(len(each["seen"]))} for each in groups]
    assert_same(estimators.compare_with_pre_period(*(ours_of(each, 1.0) for each in ones)), theirs)


def test_cuped_of_a_ratio_is_that_of_tea_tasting_but_for_second_order_terms(
    groups: list[dict[str, np.ndarray]],
) -> None:
    """Theirs takes the ratio of the pre-period in each group, ours its linearisation."""
    from tea_tasting.metrics import RatioOfMeans

    metric = RatioOfMeans("clicks", "seen", "pre_clicks", "pre_seen")
    theirs = metric.analyze_aggregates(*(theirs_of(each, *COLUMNS) for each in groups))
    ours = estimators.compare_with_pre_period(*(ours_of(each, 1.0) for each in groups))
    assert float(ours.difference) == pytest.approx(theirs.effect_size, abs=1e-4)
    assert float(ours.p_value) == pytest.approx(theirs.pvalue, abs=0.02)


def test_proportions_are_those_of_statsmodels() -> None:
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    yes, no = np.array([1.0, 0.0]), (np.array([300.0, 700.0]), np.array([350.0, 650.0]))
    theirs = CompareMeans(*(DescrStatsW(yes, weights=counts) for counts in reversed(no)))
    ours = estimators.compare(proportion_sums(1000, 300), proportion_sums(1000, 350))
    statistic, p_value, degrees = theirs.ttest_ind(usevar="unequal")
    assert (float(ours.statistic), float(ours.p_value)) == pytest.approx((statistic, p_value), abs=DIGITS)
    assert float(ours.degrees) == pytest.approx(degrees, rel=DIGITS)
    interval = difference_interval(ours, critical_t(ours, 0.05))
    low, high = theirs.tconfint_diff(usevar="unequal")
    assert (float(interval.low), float(interval.high)) == pytest.approx((low, high), abs=DIGITS)


def test_corrections_are_those_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p_values = np.random.default_rng(3).beta(0.5, 3, 25)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=DIGITS)
    assert benjamini_hochberg(p_values) == pytest.approx(multipletests(p_values, method="fdr_bh")[1], abs=DIGITS)


@pytest.mark.parametrize("lift", [0.03, 0.05, 0.1])
def test_power_of_one_look_is_that_of_statsmodels(lift: float) -> None:
    from statsmodels.stats.power import NormalIndPower

    baseline, once = planning.Baseline(2.0, 9.0), planning.Design(looks=1)
    spread = np.sqrt((9 + 9 * (1 + lift) ** planning.TAYLOR) / 2)
    theirs = NormalIndPower()
    readers = planning.required_readers(baseline, lift, once)
    assert readers == np.ceil(theirs.solve_power(2 * lift / spread, alpha=0.05, power=0.8, ratio=1.0))
    for size in (500, 5_000):
        expected = theirs.power(2 * lift / spread, size, 0.05)
        assert planning.power_with(baseline, lift, size, once) == pytest.approx(expected, abs=DIGITS)


def test_the_sample_ratio_test_is_pearsons() -> None:
    from scipy.stats import chisquare

    from recsys_platform.experiments.statistics.health import sample_ratio_p_value

    ours = sample_ratio_p_value({"a": 5_100, "b": 4_900, "c": 20_300}, {"a": 1, "b": 1, "c": 4})
    assert ours == pytest.approx(chisquare([5_100, 4_900, 20_300], [5_050, 5_050, 20_200]).pvalue, abs=DIGITS)
