"""Always-valid intervals: their algebra, and simulated peeking."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm

from recsys_platform.experiments.statistics.always_valid import excess_p_value, half_width, mixing_for, p_value


def test_the_p_value_is_the_likelihood_of_no_effect_over_that_of_effects_mixed_normally() -> None:
    difference, error, mixing = 0.7, 0.2, 0.5
    mixed = quad(lambda effect: norm.pdf(difference, effect, error) * norm.pdf(effect, 0, mixing), -8, 8)[0]
    assert float(p_value(difference, error, mixing)) == pytest.approx(norm.pdf(difference, 0, error) / mixed, rel=1e-6)


def test_the_interval_holds_just_the_effects_that_the_p_value_does_not_refuse() -> None:
    half = float(half_width(0.2, 0.5, 0.05))
    assert float(p_value(half, 0.2, 0.5)) == pytest.approx(0.05)


def test_the_mixing_is_the_one_with_the_narrowest_interval() -> None:
    best = float(mixing_for(0.3, 0.05))
    widths = half_width(np.full(3, 0.3), best * np.array([0.8, 1.0, 1.25]), 0.05)
    assert np.argmin(widths) == 1
    assert float(widths[1]) / 0.3 == pytest.approx(3.04, abs=0.02)  # beside 1.96 for one look


def test_looking_a_thousand_times_errs_less_often_than_alpha() -> None:
    random = np.random.default_rng(4)
    looks = np.arange(1, 1_001)
    means = np.cumsum(random.standard_normal((2_000, 1_000)), axis=1) / looks
    limits = half_width(1 / np.sqrt(looks), float(mixing_for(1 / np.sqrt(300), 0.05)), 0.05)
    assert (np.abs(means) > limits).any(axis=1).mean() < 0.05
    assert (np.abs(means) > 1.96 / np.sqrt(looks)).any(axis=1).mean() > 0.4


def test_rare_events_are_compared_by_the_likelihood_of_shares_mixed_evenly() -> None:
    mixed = quad(lambda share: binom.pmf(14, 18, share) / 0.5, 0.5, 1)[0]
    expected = binom.pmf(14, 18, 0.5) / mixed
    assert excess_p_value(14, 1_000, 4, 1_000) == pytest.approx(expected, rel=1e-6)


def test_tolerated_excess_is_no_finding() -> None:
    assert excess_p_value(300, 10_000, 200, 10_000) < 0.01
    assert excess_p_value(300, 10_000, 200, 10_000, tolerated=1.5) > 0.2
    assert excess_p_value(150, 10_000, 200, 10_000) == 1.0
    assert excess_p_value(0, 10_000, 2_000, 10_000) == 1.0


@pytest.mark.parametrize("counts", [(0, 10, 0, 10), (3, 10, 1, 0), (0, 0, 0, 0)])
def test_without_events_or_without_a_group_nothing_is_known(counts: tuple[int, int, int, int]) -> None:
    assert excess_p_value(*counts) == 1.0


def test_watching_rare_errors_every_minute_raises_few_false_alarms_and_sees_a_bad_model_soon() -> None:
    random = np.random.default_rng(5)

    def minutes_until_alarm(rate: float, other: float) -> np.ndarray:
        counts, others = (np.cumsum(random.poisson(each * 100, (200, 120)), axis=1) for each in (rate, other))
        p = np.vectorize(lambda a, b, n: excess_p_value(a, n, b, n))(counts, others, 100 * np.arange(1, 121))
        return np.where((p < 0.05).any(axis=1), (p < 0.05).argmax(axis=1), 120)

    assert (minutes_until_alarm(0.01, 0.01) < 120).mean() < 0.05
    assert np.median(minutes_until_alarm(0.03, 0.01)) < 30
