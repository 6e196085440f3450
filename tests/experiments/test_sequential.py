"""Group-sequential bounds: published tables, other projects' cases, and properties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from recsys_platform.experiments.statistics.sequential import (
    bounds,
    crossing_probabilities,
    daily_bounds,
    drift_of,
    power_of_drift,
    repeated_p_value,
    spent_error,
)

FIVE = np.arange(1, 6) / 5


def test_five_equal_looks_have_the_published_bounds() -> None:
    """Lan & DeMets with O'Brien-Fleming-like spending, two-sided .05, as the R package ldbounds prints them (it searches to 1e-7)."""
    assert daily_bounds(FIVE, FIVE, 0.05) == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


@pytest.mark.parametrize(
    ("looks", "spent", "sides", "published"),
    [
        ((1 / 3, 2 / 3, 1), None, 2, (3.7103, 2.5114, 1.9930)),  # asOF, one-sided .025; gsDesign's sfLDOF has the same
        ((0.25, 0.5, 0.75, 1), (0.01, 0.02, 0.03, 0.05), 1, (2.3263479, 2.2192994, 2.1201347, 1.8189562)),  # asUser
        ((0.2, 0.4, 1), (0.006, 0.012, 0.03), 1, (2.5121443, 2.4228747, 2.0280392)),  # asHSD, gamma 0
        (
            (0.3, 0.6, 0.8, 1),
            (0.00054745752, 0.0059439465, 0.014151805, 0.025),
            2,
            (3.4563925, 2.7688119, 2.5253005, 2.3512665),
        ),  # Wang & Tsiatis, by what it spends
        (
            (0.4, 0.75, 0.85, 1),
            (0.016665509, 0.080406163, 0.10053322, 0.13),
            1,
            (2.1280732, 1.4368565, 1.422873, 1.2970881),
        ),  # asOF, one-sided .13
    ],
)
def test_unequal_looks_have_the_bounds_of_rpacts_own_tests(
    looks: tuple[float, ...], spent: tuple[float, ...] | None, sides: int, published: tuple[float, ...]
) -> None:
    """`tests/testthat/test-f_design_group_sequential.R` of the R package rpact."""
    information = np.array(looks)
    error = spent_error(information, 0.05) if spent is None else np.array(spent)
    assert bounds(information, error, sides=sides) == pytest.approx(published, abs=1e-4 if spent is None else 3e-6)


def test_spending_follows_rpacts_own_tests() -> None:
    """asOF, one-sided .13: spent .016665509, .080406163, .10053322, .13."""
    published = [0.016665509, 0.080406163, 0.10053322, 0.13]
    assert spent_error(np.array([0.4, 0.75, 0.85, 1.0]), 0.26) / 2 == pytest.approx(published, abs=1e-8)


def test_thirty_days_of_a_real_experiment_have_the_bounds_of_spotify_confidence() -> None:
    """The first days of `test_many_days` in its tests/frequentist/test_bounds.py: alpha .01 ÷ 3, spent by the square of the share.

    It searches to a probability of 1e-7: of the first days' bounds, which may spend no more than that, hardly a digit is known.
    """
    published_shares = """
        0.0016169976 0.0057857956 0.0122003791 0.0201995917 0.0295644106 0.0404710272 0.0529298254 0.0658009230
        0.0787843982 0.0914849695 0.1028893343 0.1128434998 0.1229893426 0.1328097991 0.1426799778 0.1528196394
        0.1629317621 0.1719877846 0.1799674792 0.1878611054 0.1955669737 0.2033501369 0.2127705590 0.2214832878
        0.2295912741 0.2364058695 0.2431234831 0.2498729247 0.2568336066 0.2649271881
    """
    share = np.array([float(each) for each in published_shares.split()])
    last = [4.21444005, 4.18809224, 4.17037988, 4.15702106, 4.13796352, 4.12345883, 4.10808648, 4.07898394, 4.06169498]
    last += [4.04985422, 4.04453139, 4.03288177, 4.02205301, 4.00664024, 3.98770613]
    found = bounds(share, 0.003333333 * share**2)
    assert found[0] == pytest.approx(5.75400023, abs=1e-5)
    assert found[-15:] == pytest.approx(last, abs=5e-3)


@pytest.mark.parametrize(
    ("looks", "pocock", "obrien_fleming"),
    [(2, 2.178, 1.977), (3, 2.289, 2.004), (5, 2.413, 2.040), (10, 2.555, 2.087)],
)
def test_the_tables_of_jennison_and_turnbull_hold(looks: int, pocock: float, obrien_fleming: float) -> None:
    """Tables 2.1 and 2.3, alpha .05: their bounds are crossed with that probability."""
    share = np.arange(1, looks + 1) / looks
    for limits in (np.full(looks, pocock), obrien_fleming / np.sqrt(share)):
        assert crossing_probabilities(share, limits, 0.0)[-1] == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize("looks", [(0.4, 0.41, 0.9, 0.905, 1), (0.01, 0.5, 0.505, 0.51, 1), (0.2, 0.4, 0.6, 0.8, 1)])
def test_uneven_looks_agree_with_the_multivariate_normal_distribution(looks: tuple[float, ...]) -> None:
    """By the integration of Genz in scipy, which knows nothing of looks."""
    information = np.array(looks)
    limits = bounds(information, np.array([0.01, 0.02, 0.03, 0.04, 0.05]))
    correlation = np.sqrt(np.minimum.outer(information, information) / np.maximum.outer(information, information))
    inside = multivariate_normal(np.zeros(5), correlation, seed=1).cdf(limits, lower_limit=-limits)
    assert 1 - inside == pytest.approx(0.05, abs=1e-4)


def test_power_by_look_is_that_of_rpact() -> None:
    """asHSD, gamma 0, one-sided .03, power .86: shift 9.4594101, power by look .12783451, .34055165, .86."""
    share = np.array([0.2, 0.4, 1.0])
    limits = bounds(share, np.array([0.006, 0.012, 0.03]), sides=1)
    found = crossing_probabilities(share, limits, float(np.sqrt(9.4594101)), sides=1)
    assert found == pytest.approx([0.12783451, 0.34055165, 0.86], abs=1e-6)


def test_one_look_is_the_usual_test() -> None:
    one = np.ones(1)
    assert float(daily_bounds(one, one, 0.05)[0]) == pytest.approx(1.959964, abs=1e-6)
    assert drift_of(0.05, 0.8, 1) == pytest.approx(1.959964 + 0.841621, abs=1e-4)
    assert repeated_p_value(np.array([1.959964]), one, one) == pytest.approx(0.05, abs=1e-4)


def test_a_look_every_day_costs_little_power() -> None:
    for looks in (14, 28):
        drift = drift_of(0.05, 0.8, 1)
        assert power_of_drift(drift, 0.05, looks) / 0.8 > 0.95
        times_the_readers = (drift_of(0.05, 0.8, looks) / drift) ** 2
        assert 1.02 < times_the_readers < 1.06
        assert power_of_drift(drift_of(0.05, 0.8, looks), 0.05, looks) == pytest.approx(0.8, abs=1e-6)


def test_looking_on_after_the_end_finds_nothing_more() -> None:
    share = np.array([0.5, 1.0, 1.0])
    information = np.array([50.0, 100.0, 130.0])
    assert np.isinf(daily_bounds(share, information, 0.05)[2])


def test_information_that_does_not_grow_is_one_look_and_no_more() -> None:
    """Five times the same z: it is called different where the narrowest bound is crossed, at most with probability alpha."""
    found = daily_bounds(FIVE, np.full(5, 10.0), 0.05)
    assert 0.04 < 2 * norm.sf(found.min()) <= 0.05


@settings(max_examples=15)
@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.sampled_from([0.01, 0.05, 0.1]))
def test_any_looks_spend_alpha_in_all(steps: list[float], alpha: float) -> None:
    share = np.cumsum(steps) / sum(steps)
    found = daily_bounds(share, 40 * share, alpha)
    information = np.maximum.accumulate(share)
    if np.all(information[1:] >= 1.005 * information[:-1]):
        assert crossing_probabilities(40 * share, found, 0.0)[-1] == pytest.approx(alpha, abs=1e-6)


@settings(max_examples=10)
@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_p_value_is_below_alpha_just_when_a_bound_was_crossed(statistics: list[float], alpha: float) -> None:
    share = np.array([0.4, 0.7, 1.0])
    distance = np.abs(statistics) - daily_bounds(share, share, alpha)
    p_value = repeated_p_value(np.array(statistics), share, share)
    if np.abs(distance.max()) > 1e-3:
        assert (p_value <= alpha) == bool((distance >= 0).any())
