"""From the sums of each day to the verdict: experiments whose truth is known."""

from math import inf, nan

import numpy as np
import pytest

from recsys_platform.experiments.statistics.decision import (
    Gain,
    Primary,
    Progress,
    VariantResult,
    Verdict,
    decide,
)
from recsys_platform.experiments.statistics.health import sample_ratio_mismatch
from recsys_platform.experiments.statistics.readout import Metric, ReadOut, Rules, read_metric, read_out, read_segments
from recsys_platform.experiments.statistics.sums import Sums
from tests.support.reader_sums import reader_sums

DAYS = 10
CTR, FINISHES = Metric("ctr", smallest_effect=0.05), Metric("finishes", is_guardrail=True, margin=0.1)
SLOW = Metric("slow", is_guardrail=True, higher_is_better=False, margin=0.2)
RULES = Rules((CTR, FINISHES, SLOW))


def group(
    seed: int, ctr: float = 0.1, finishes: float = 0.3, slow: float = 0.2, readers: int = 4_000
) -> dict[str, Sums]:
    """One variant: readers come by tenths, each sees ten books once; a pre-period of the same reader tells much of CTR."""
    random = np.random.default_rng(seed)
    taste = random.beta(20 * 0.1, 20 * 0.9, readers)
    before = random.binomial(30, taste) * 1.0
    clicks = random.binomial(10, np.minimum(taste * ctr / 0.1, 1)) * 1.0
    values = {
        "ctr": clicks,
        "finishes": (random.random(readers) < finishes) * 1.0,
        "slow": (random.random(readers) < slow) * 1.0,
    }
    found = {}
    for name, value in values.items():
        y = np.full(readers, 10.0 if name == "ctr" else 1.0)
        known = np.full(readers, 1.0 if name == "ctr" else 0.0)
        days = [slice(0, readers * day // DAYS) for day in range(1, DAYS + 1)]
        parts = [reader_sums(value[d], y[d], before[d], np.full(readers, 30.0)[d], known[d]) for d in days]
        found[name] = Sums(*(np.array(each) for each in zip(*(vars(part).values() for part in parts), strict=True)))
    return found


def reading(rules: Rules = RULES, days: int = DAYS, **variants: dict[str, Sums]) -> ReadOut:
    sums = {
        variant: {name: Sums(*(each[:days] for each in vars(one).values())) for name, one in metrics.items()}
        for variant, metrics in {"control": group(1), **variants}.items()
    }
    return read_out(rules, sums, np.arange(1, days + 1) / DAYS, days_left=DAYS - days)


@pytest.mark.parametrize(
    ("treatment", "days", "verdict", "sentence"),
    [
        (
            group(2, ctr=0.12),
            DAYS,
            Verdict.SHIP,
            "Ship treatment: ctr +19.9% (+14.5% to +25.3%); all 2 guardrails hold.",
        ),
        (group(2, ctr=0.12), 2, Verdict.KEEP_RUNNING, "8 days to the planned end"),
        (group(2, ctr=0.08), DAYS, Verdict.STOP_FUTILE, "Stop treatment: it is worse"),
        (group(2), DAYS, Verdict.STOP_FUTILE, "Stop treatment: "),
        (group(2, ctr=0.12, finishes=0.2), 6, Verdict.STOP_GUARDRAIL, "guardrail finishes -"),
        (group(2, ctr=0.12, slow=0.4), 6, Verdict.STOP_GUARDRAIL, "guardrail slow -"),
    ],
)
def test_the_verdict_is_that_of_the_planted_truth(
    treatment: dict[str, Sums], days: int, verdict: Verdict, sentence: str
) -> None:
    decision = reading(days=days, treatment=treatment).decision
    assert decision.verdict is verdict, decision.sentence
    assert sentence in decision.sentence


@pytest.mark.parametrize(
    ("in_treatment", "days", "verdict", "sentence"),
    [
        (0.0, DAYS, Verdict.SHIP, "all 2 guardrails hold"),
        (0.05, 2, Verdict.STOP_GUARDRAIL, "guardrail slow (the control has none): significantly more than"),
        (0.0005, DAYS, Verdict.STOP_GUARDRAIL, "(the control has none): at the end it is not shown"),
    ],
)
def test_a_guardrail_of_which_a_healthy_control_has_none_is_judged_by_the_difference(
    in_treatment: float, days: int, verdict: Verdict, sentence: str
) -> None:
    """Of nothing there is no lift: no empty answer in either group holds, and one in twenty is harm within two days."""
    nothing = {"control": group(1, slow=0.0), "treatment": group(2, ctr=0.12, slow=in_treatment)}
    decision = reading(days=days, **nothing).decision
    assert decision.verdict is verdict, decision.sentence
    assert sentence in decision.sentence


def test_the_best_variant_ships_though_another_metric_has_no_lift_yet() -> None:
    unknown = Primary(Gain("subscriptions", nan, -inf, inf), 1.0, 0.02)
    variants = [
        VariantResult(name, (unknown, Primary(Gain("ctr", gain, gain - 0.01, gain + 0.01), 0.001, 0.02)))
        for name, gain in (("a", 0.03), ("b", 0.12))
    ]
    assert decide(variants, [], Progress(is_ended=True)).variant == "b"


def test_a_reading_tells_level_lift_interval_and_power() -> None:
    found = reading(treatment=group(2, ctr=0.12)).readings[0]
    assert (found.control, found.treatment) == pytest.approx((0.1, 0.12), abs=0.005)
    assert found.repeated.low[-1] < 0.2 < found.repeated.high[-1]
    assert found.always_valid.low[-1] < found.repeated.low[-1] < found.repeated.high[-1] < found.always_valid.high[-1]
    assert found.repeated.high[1] > found.repeated.high[-1]
    assert found.p_value < 0.001
    assert 0.2 < found.saved < 0.6
    assert 0.3 < found.power < 0.9


def test_less_of_a_bad_thing_is_a_gain() -> None:
    found = next(each for each in reading(treatment=group(2, slow=0.1)).readings if each.metric is SLOW)
    assert found.lift[-1] < -0.4
    assert found.gain.value > 0.4
    assert found.gain.low < found.gain.value < found.gain.high


def test_several_variants_are_corrected_for_each_other() -> None:
    one = reading(treatment=group(2, ctr=0.108))
    three = reading(treatment=group(2, ctr=0.108), b=group(3), c=group(4))
    assert three.readings[0].p_value == one.readings[0].p_value
    assert three.readings[0].repeated.high[-1] > one.readings[0].repeated.high[-1]


def test_segments_are_corrected_for_their_number() -> None:
    """Of four segments one has the effect; the smallest p-value counts four times."""
    control = group(1)["ctr"]
    segments = {"new": group(2, ctr=0.12)["ctr"], "a": group(3)["ctr"], "b": group(4)["ctr"], "c": group(5)["ctr"]}
    pairs = {name: (control, each) for name, each in segments.items()}
    found = read_segments("treatment", CTR, pairs, np.arange(1, DAYS + 1) / DAYS, 0.05)
    assert [name for name, (_, p_value) in found.items() if p_value < 0.05] == ["new"]
    assert found["new"][1] == pytest.approx(4 * found["new"][0].p_value)


def test_a_broken_sample_ratio_is_told_instead_of_the_win() -> None:
    broken = sample_ratio_mismatch(
        {"control": 4_000, "treatment": 3_000}, {"control": 1, "treatment": 1}, is_ended=True
    )
    assert broken is not None
    sums = {"control": group(1), "treatment": group(2, ctr=0.12)}
    found = read_out(RULES, sums, np.arange(1, DAYS + 1) / DAYS, [broken])
    assert found.decision.verdict is Verdict.INVALID
    assert len(found.readings) == 3


def test_days_with_few_readers_are_no_looks() -> None:
    """Ten readers a day, of whom none clicked at first: no interval, no error, and the bounds of the later days hold."""
    control, treatment = group(1, readers=400), group(2, readers=400)
    found = read_metric("treatment", CTR, (control["ctr"], treatment["ctr"]), np.arange(1, DAYS + 1) / DAYS, 0.05)
    assert np.isinf(found.repeated.high[:2]).all()
    assert np.isfinite(found.repeated.high[-1])
    empty = Sums(*np.zeros((18, DAYS)))
    nothing = read_metric("treatment", CTR, (empty, empty), np.arange(1, DAYS + 1) / DAYS, 0.05)
    assert (nothing.p_value, nothing.power) == (1.0, 0.0)
    assert np.isnan(nothing.lift).all()
