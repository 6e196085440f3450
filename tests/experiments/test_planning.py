"""Plans: sample sizes that can be checked by hand, and what the command prints."""

import numpy as np
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.experiments.statistics.planning import (
    Baseline,
    Design,
    Traffic,
    days_for,
    mean_baseline,
    measured_baseline,
    plan_duration,
    power_with,
    proportion_baseline,
    ratio_baseline,
    required_readers,
    required_readers_of_guardrail,
    smallest_lift,
)
from tests.support.commands import recsys
from tests.support.reader_sums import reader_sums

ONCE = Design(looks=1)


def test_sixteen_variances_over_the_squared_effect() -> None:
    """The rule of thumb: 2 · (1.96 + .84)² ≈ 15.7 times variance ÷ effect², for a small effect."""
    readers = required_readers(mean_baseline(100.0, 50.0), 0.001, ONCE)
    assert readers * 0.1**2 / 50.0**2 == pytest.approx(15.7, abs=0.05)


def test_a_proportion_varies_by_its_own_rate_in_each_group() -> None:
    """30 % against 33 %: (1.96 + .84)² · (.3 · .7 + .33 · .67) ÷ .03²."""
    assert required_readers(proportion_baseline(0.3), 0.1, ONCE) == pytest.approx(
        7.8489 * (0.21 + 0.2211) / 0.03**2, abs=2
    )


def test_looking_every_day_takes_about_four_percent_more_readers() -> None:
    once, daily = (required_readers(mean_baseline(3, 5), 0.05, Design(looks=looks)) for looks in (1, 14))
    assert daily / once == pytest.approx(1.042, abs=0.002)


def test_what_is_promised_is_reached_and_just_so() -> None:
    baseline, design = (
        ratio_baseline(0.1, 20, icc=0.05, exposures_cv=1.0),
        Design(variants=2, metrics=2, guardrails=1),
    )
    readers = required_readers(baseline, 0.04, design)
    assert power_with(baseline, 0.04, readers, design) == pytest.approx(design.corrected_power, abs=1e-4)
    assert smallest_lift(baseline, readers, design) == pytest.approx(0.04, rel=1e-3)
    assert design.corrected_alpha == 0.0125
    assert design.corrected_power == pytest.approx(0.9)


def test_readers_who_are_alike_inside_cost_more_readers() -> None:
    alone, alike = ratio_baseline(0.1, 20), ratio_baseline(0.1, 20, icc=0.05)
    assert alike.variance / alone.variance == pytest.approx(1 + 19 * 0.05)


def test_the_variance_of_a_ratio_is_that_of_readers_with_such_likeness() -> None:
    random = np.random.default_rng(8)
    rate, seen = random.beta(2, 18, 200_000), random.poisson(20, 200_000) * 1.0
    clicks, none = random.binomial(seen.astype(int), rate) * 1.0, np.zeros(200_000)
    measured = measured_baseline(reader_sums(clicks, seen, none, none, none))
    planned = ratio_baseline(0.1, 20, icc=1 / 21, exposures_cv=1 / np.sqrt(20))
    assert (measured.value, measured.variance) == pytest.approx((planned.value, planned.variance), rel=0.02)


def test_a_pre_period_saves_the_share_that_it_explains() -> None:
    without, with_pre = (required_readers(mean_baseline(3, 5), 0.05, Design(correlation=r)) for r in (0.0, 0.6))
    assert with_pre / without == pytest.approx(1 - 0.36, abs=1e-3)


def test_a_guardrail_needs_readers_of_its_own() -> None:
    """One-sided: (1.645 + 1.282)² · 2 · variance ÷ (margin · mean)², with 90 % power for one guardrail beside the primary."""
    design = Design(looks=1, guardrails=1)
    expected = (1.6449 + 1.2816) ** 2 * 2 * 25 / (0.02 * 3) ** 2
    assert required_readers_of_guardrail(mean_baseline(3, 5), 0.02, design) == pytest.approx(expected, rel=0.001)
    planned = plan_duration(mean_baseline(3, 5), 0.05, design, Traffic(1_000), margin=0.02)
    assert planned.readers == required_readers_of_guardrail(mean_baseline(3, 5), 0.02, design)


def test_days_follow_from_traffic_groups_and_share() -> None:
    assert days_for(1_000, Design(variants=2), Traffic(600, 0.5)) == 10
    planned = plan_duration(mean_baseline(3, 5), 0.05, Design(), Traffic(2_000))
    assert planned.days == planned.design.looks == days_for(planned.readers, planned.design, Traffic(2_000))


@pytest.mark.parametrize(
    ("baseline", "lift", "design", "sentence"),
    [
        (Baseline(3, 25), 0.0, ONCE, "The effect must not be 0"),
        (Baseline(0, 25), 0.1, ONCE, "must be above 0 today"),
        (proportion_baseline(0.6), 0.8, ONCE, "would make the rate 1.08"),
        (Baseline(3, 25), 0.1, Design(power=1.0), "between 0 and 1"),
        (Baseline(3, 25), 0.1, Design(looks=0), "at least 1"),
        (Baseline(3, 25), 0.1, Design(correlation=1.0), "correlation"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_sentence(
    baseline: Baseline, lift: float, design: Design, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        required_readers(baseline, lift, design)


def planned(
    *arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], exit_code: int = 0
) -> str:
    assert recsys("experiments", "plan", *arguments, patch=monkeypatch) == exit_code
    printed = capsys.readouterr()
    return " ".join((printed.out + printed.err).split())


def test_the_command_tells_readers_days_and_power(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rate", "0.3", "--mde", "0.05", "--daily-readers", "1000")
    text = planned(*options, monkeypatch=monkeypatch, capsys=capsys)
    assert "readers of each variant 15,596" in text
    assert "days 32 (whole weeks: 35)" in text
    assert "looks every day, 32 in all" in text
    assert "with one look, at the end 14,853 readers of each variant, 30 days" in text
    assert "power for +5.0% 80.0%" in text
    assert "looks one, at the end" in planned(*options, "--fixed-horizon", monkeypatch=monkeypatch, capsys=capsys)


def test_the_command_tells_what_a_given_number_of_readers_finds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rate", "0.3", "--mde", "0.05", "--daily-readers", "1000", "--readers", "4000")
    text = planned(*options, monkeypatch=monkeypatch, capsys=capsys)
    assert "days 8 (whole weeks: 14)" in text
    assert "power for +5.0% 29.6%" in text
    assert "smallest gain found +9.86%" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "Give one metric of today"),
        (("--rate", "0.3", "--ctr", "0.1"), "Give one metric of today"),
        (("--mean", "3"), "--mean needs --std-dev"),
        (("--ctr", "0.1"), "--ctr needs --exposures"),
        (("--rate", "0.3", "--share", "0"), "above 0 and at most 1"),
    ],
)
def test_the_command_refuses_what_it_cannot_plan(
    options: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (*options, "--mde", "0.05", "--daily-readers", "1000")
    text = planned(*given, monkeypatch=monkeypatch, capsys=capsys, exit_code=1)
    assert text.startswith("error: ")
    assert sentence in text
