"""The verdict: a table over all combinations of what may be known, and the sentences."""

from itertools import product

import pytest

from recsys_platform.experiments.statistics.corrections import Guardrail
from recsys_platform.experiments.statistics.decision import (
    Gain,
    GuardrailResult,
    Primary,
    Progress,
    VariantResult,
    Verdict,
    decide,
    decide_variant,
)
from recsys_platform.experiments.statistics.health import Finding

SHIP, STOP, FUTILE, RUN = Verdict.SHIP, Verdict.STOP_GUARDRAIL, Verdict.STOP_FUTILE, Verdict.KEEP_RUNNING
PRIMARIES = {
    "better": Primary(Gain("ctr", 0.06, 0.02, 0.10), 0.004, 0.02),
    "worse": Primary(Gain("ctr", -0.06, -0.10, -0.02), 0.004, 0.02),
    "open": Primary(Gain("ctr", 0.02, -0.02, 0.06), 0.3, 0.02),
    "too small": Primary(Gain("ctr", 0.001, -0.01, 0.012), 0.8, 0.02),
    "better by too little": Primary(Gain("ctr", 0.006, 0.002, 0.01), 0.004, 0.02),
    "unknown": Primary(Gain("ctr", float("nan"), float("nan"), float("nan")), float("nan"), 0.02),
}
GUARDRAILS = {
    Guardrail.HOLDS: GuardrailResult(Gain("finishes", 0.0, -0.01, 0.01), Guardrail.HOLDS, 0.02),
    Guardrail.OPEN: GuardrailResult(Gain("finishes", -0.01, -0.04, 0.02), Guardrail.OPEN, 0.02),
    Guardrail.HARMED: GuardrailResult(Gain("finishes", -0.06, -0.09, -0.03), Guardrail.HARMED, 0.02),
}
TABLE = {
    # primary: {guardrail: (while it runs, at the end)}
    "better": {"none": (SHIP, SHIP), "holds": (SHIP, SHIP), "open": (RUN, STOP), "harmed": (STOP, STOP)},
    "worse": {"none": (FUTILE, FUTILE), "holds": (FUTILE, FUTILE), "open": (FUTILE, FUTILE), "harmed": (STOP, STOP)},
    "open": {"none": (RUN, FUTILE), "holds": (RUN, FUTILE), "open": (RUN, FUTILE), "harmed": (STOP, STOP)},
    "too small": {
        "none": (FUTILE, FUTILE),
        "holds": (FUTILE, FUTILE),
        "open": (FUTILE, FUTILE),
        "harmed": (STOP, STOP),
    },
    "better by too little": {
        "none": (FUTILE, FUTILE),
        "holds": (FUTILE, FUTILE),
        "open": (FUTILE, FUTILE),
        "harmed": (STOP, STOP),
    },
    "unknown": {"none": (RUN, FUTILE), "holds": (RUN, FUTILE), "open": (RUN, FUTILE), "harmed": (STOP, STOP)},
}
BROKEN = Finding("sample_ratio_mismatch", "The groups do not have the sizes of their weights.", is_fatal=True)
NOTE = Finding("outlier", "One reader has 12000 of revenue.", is_fatal=False)


def result(primary: str, guardrail: str, variant: str = "treatment") -> VariantResult:
    guardrails = () if guardrail == "none" else (GUARDRAILS[Guardrail(guardrail)],)
    return VariantResult(variant, (PRIMARIES[primary],), guardrails)


@pytest.mark.parametrize(
    ("primary", "guardrail", "is_ended", "findings"),
    list(product(TABLE, ("none", "holds", "open", "harmed"), (False, True), ((), (NOTE,), (BROKEN,), (NOTE, BROKEN)))),
)
def test_every_combination_has_its_verdict_and_one_sentence(
    primary: str, guardrail: str, is_ended: bool, findings: tuple[Finding, ...]
) -> None:
    found = decide([result(primary, guardrail)], findings, Progress(is_ended, None if is_ended else 3))
    expected = Verdict.INVALID if BROKEN in findings else TABLE[primary][guardrail][is_ended]
    assert found.verdict is expected
    assert found.sentence.endswith(".")
    assert "nan%" not in found.sentence


@pytest.mark.parametrize(("first", "second"), list(product(TABLE, TABLE)))
def test_two_variants_ship_if_one_does_and_go_on_if_one_may(first: str, second: str) -> None:
    verdicts = [TABLE[first]["holds"][0], TABLE[second]["holds"][0]]
    found = decide([result(first, "holds", "a"), result(second, "holds", "b")], (), Progress(is_ended=False))
    order = (SHIP, RUN, STOP, FUTILE)
    assert found.verdict is min(verdicts, key=order.index)


def test_of_two_that_may_ship_the_better_one_does() -> None:
    better = VariantResult("b", (Primary(Gain("ctr", 0.09, 0.05, 0.13), 0.001, 0.02),))
    assert decide([result("better", "none", "a"), better], (), Progress(is_ended=False)).variant == "b"


def test_a_harmful_variant_is_named_while_the_other_goes_on() -> None:
    found = decide(
        [result("open", "holds", "a"), result("better", "harmed", "b")], (), Progress(is_ended=False, days_left=4)
    )
    assert (found.verdict, found.variant) == (RUN, "a")
    assert found.sentence == (
        "Keep running a: ctr +2.0% (-2.0% to +6.0%) is open; 4 days to the planned end."
        " Stop b: guardrail finishes -6.0% (-9.0% to -3.0%): significantly more than the loss of 2.0% that is tolerated."
    )


def test_one_metric_better_and_another_worse_does_not_ship() -> None:
    both = VariantResult("treatment", (PRIMARIES["better"], PRIMARIES["worse"]))
    assert decide_variant(both, Progress(is_ended=False)).verdict is FUTILE


def test_one_metric_better_and_another_open_ships() -> None:
    both = VariantResult("treatment", (PRIMARIES["open"], PRIMARIES["better"]), (GUARDRAILS[Guardrail.HOLDS],) * 2)
    found = decide_variant(both, Progress(is_ended=False))
    assert found.sentence == "Ship treatment: ctr +6.0% (+2.0% to +10.0%); all 2 guardrails hold."


@pytest.mark.parametrize(
    ("primary", "guardrail", "is_ended", "sentence"),
    [
        ("better", "holds", False, "Ship treatment: ctr +6.0% (+2.0% to +10.0%); the guardrail holds."),
        ("better", "none", False, "Ship treatment: ctr +6.0% (+2.0% to +10.0%); there are no guardrails."),
        ("worse", "none", False, "Stop treatment: it is worse: ctr -6.0% (-10.0% to -2.0%)."),
        ("too small", "none", False, "Stop treatment: a gain of 2.0% is ruled out: ctr +0.1% (-1.0% to +1.2%)."),
        (
            "open",
            "none",
            True,
            "Stop treatment: at the end no primary metric is significantly better: ctr +2.0% (-2.0% to +6.0%).",
        ),
        (
            "better by too little",
            "none",
            False,
            "Stop treatment: a gain of 2.0% is ruled out: ctr +0.6% (+0.2% to +1.0%).",
        ),
        ("unknown", "none", False, "Keep running treatment: ctr (no result yet) is open."),
        (
            "better",
            "open",
            True,
            "Stop treatment: guardrail finishes -1.0% (-4.0% to +2.0%): at the end it is not shown to lose less than the 2.0% that is"
            " tolerated.",
        ),
        (
            "better",
            "open",
            False,
            "Keep running treatment: ctr +6.0% (+2.0% to +10.0%) is better, but a guardrail is open.",
        ),
    ],
)
def test_the_sentence_gives_the_reason(primary: str, guardrail: str, is_ended: bool, sentence: str) -> None:
    assert decide([result(primary, guardrail)], (), Progress(is_ended)).sentence == sentence


def test_an_invalid_experiment_tells_all_that_is_wrong() -> None:
    other = Finding("missing_metric", "finishes has no value at all.", is_fatal=True)
    found = decide([result("better", "holds")], (BROKEN, NOTE, other), Progress(is_ended=True))
    assert found.sentence == "Invalid: The groups do not have the sizes of their weights. finishes has no value at all."
    assert found.variant is None
