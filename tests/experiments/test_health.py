"""What is wrong with an experiment is found and named."""

import datetime as dt

import numpy as np
import pytest

from recsys_platform.experiments.statistics.health import (
    contamination,
    contradictions,
    missing_metric,
    outlier,
    sample_ratio_mismatch,
    sample_ratio_p_value,
    sequential_sample_ratio_p_value,
)

HALVES = {"control": 1.0, "treatment": 1.0}
COOKIES = {"control": 44_700, "treatment": 45_489}
"""Players of a published A/B test of a mobile game, who were to be split in halves."""


def test_44700_to_45489_is_a_mismatch_at_the_end_at_one_percent() -> None:
    assert sample_ratio_p_value(COOKIES, HALVES) == pytest.approx(0.0086, abs=1e-4)
    found = sample_ratio_mismatch(COOKIES, HALVES, is_ended=True)
    assert found is not None
    assert found.is_fatal
    assert found.sentence == (
        "The groups do not have the sizes of their weights: control 44,700 (expected 45,094), treatment 45,489 (expected 45,094);"
        " chance alone does so with probability 0.0086. Readers were lost or assigned wrongly, and those who are left cannot be"
        " compared."
    )


def test_the_same_counts_are_not_enough_for_an_alarm_while_it_runs() -> None:
    """A look every day must not add up to many false alarms: the sequential test asks for more."""
    assert sample_ratio_mismatch(COOKIES, HALVES, is_ended=False) is None
    assert sample_ratio_mismatch({"control": 44_000, "treatment": 46_000}, HALVES, is_ended=False) is not None


def test_watching_the_sample_ratio_every_day_gives_few_false_alarms() -> None:
    random = np.random.default_rng(6)
    control = np.cumsum(random.binomial(1_000, 0.5, (500, 30)), axis=1)
    alarms = [
        any(
            sequential_sample_ratio_p_value({"control": int(n), "treatment": 1_000 * day - int(n)}, HALVES) < 0.01
            for day, n in enumerate(days, start=1)
        )
        for days in control
    ]
    assert np.mean(alarms) <= 0.01


def test_uneven_weights_and_three_variants_are_judged_by_their_weights() -> None:
    weights = {"control": 80.0, "a": 10.0, "b": 10.0}
    assert sample_ratio_mismatch({"control": 8_000, "a": 1_010, "b": 990}, weights, is_ended=True) is None
    assert sample_ratio_mismatch({"control": 8_000, "a": 1_150, "b": 850}, weights, is_ended=False) is not None


def test_a_variant_without_any_reader_is_a_mismatch() -> None:
    found = sample_ratio_mismatch({"control": 500}, HALVES, is_ended=False)
    assert found is not None
    assert "treatment 0 (expected 250); chance alone does so with probability less than 0.000001" in found.sentence


def test_nobody_yet_is_nothing_to_say() -> None:
    assert sample_ratio_mismatch({}, HALVES, is_ended=False) is None
    assert sample_ratio_mismatch({}, HALVES, is_ended=True) is None


def test_readers_in_two_variants_are_counted_and_above_one_percent_fatal() -> None:
    assert contamination(10_000, 0) is None
    few, many = contamination(10_000, 40), contamination(10_000, 240)
    assert few is not None
    assert many is not None
    assert (few.is_fatal, few.sentence) == (False, "40 of 10,000 readers (0.40%) saw two variants and were left out.")
    assert many.is_fatal
    assert many.sentence.endswith("left out: more than 1% is too many.")


def test_a_group_and_a_page_that_disagree_are_counted() -> None:
    found = contradictions(294_478, 3_893)
    assert found is not None
    assert (found.name, found.is_fatal) == ("contradictions", True)
    assert "3,893 of 294,478 exposures (1.32%)" in found.sentence


def test_a_metric_that_stopped_two_weeks_ago_is_missing_not_0() -> None:
    found = missing_metric("finishes", dt.date(2026, 11, 1), dt.date(2026, 11, 15))
    assert found is not None
    assert found.sentence == (
        "finishes has no value since 2026-11-01 (14 days), although readers were exposed until 2026-11-15: its events are missing,"
        " not 0."
    )
    assert missing_metric("finishes", dt.date(2026, 11, 14), dt.date(2026, 11, 15)) is None
    never = missing_metric("finishes", None, dt.date(2026, 11, 15))
    assert never is not None
    assert "has no value at all" in never.sentence


def test_a_reader_with_a_thousand_times_the_mean_is_named() -> None:
    found = outlier("revenue", 12_000.0, 10.0, 150.0)
    assert found is not None
    assert not found.is_fatal
    assert found.sentence == (
        "One reader has 12000 of revenue, 1,200 times the mean: it counts as 150, the limit from the pre-period."
    )
    assert outlier("revenue", 9_999.0, 10.0, None) is None
    unlimited = outlier("revenue", 12_000.0, 10.0, None)
    assert unlimited is not None
    assert "winsorise" in unlimited.sentence


def test_an_outlier_decides_a_mean_and_not_a_winsorised_one() -> None:
    """A limit from the pre-period leaves one buyer of a thousand times the mean without say."""
    from recsys_platform.experiments.statistics.estimators import compare, level_of
    from tests.support.reader_sums import mean_sums

    random = np.random.default_rng(7)
    control, treatment = random.exponential(10.0, 2_000), random.exponential(12.0, 2_000)
    treatment[0] = 12_000.0
    plain, limited = (
        compare(
            *(mean_sums(2_000, x.sum(), (x**2).sum()) for x in (np.minimum(control, cap), np.minimum(treatment, cap)))
        )
        for cap in (np.inf, 60.0)
    )
    assert float(plain.error) > 10 * float(limited.error)
    assert float(limited.p_value) < 0.001 < float(plain.p_value)
    assert float(level_of(mean_sums(2_000, control.sum(), (control**2).sum())).value) == pytest.approx(10, rel=0.1)
