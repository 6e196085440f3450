"""The verdict on an experiment, with its one sentence.

Belongs here: the rule from results to a verdict. Does not: the results (estimators.py, sequential.py, corrections.py, health.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isinf, isnan

from recsys_platform.experiments.statistics.corrections import Guardrail
from recsys_platform.experiments.statistics.health import Finding


class Verdict(StrEnum):
    """What to do with a variant, or with the experiment."""

    SHIP = "ship"
    STOP_GUARDRAIL = "stop: guardrail"
    STOP_FUTILE = "stop: futile"
    KEEP_RUNNING = "keep running"
    INVALID = "invalid"


@dataclass(frozen=True)
class Gain:
    """The lift of a metric with its interval, the signs turned if less of the metric is better."""

    metric: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if isnan(self.value):
            return f"{self.metric} (no result yet)"
        if isinf(self.value):
            return f"{self.metric} (the control has none)"
        return f"{self.metric} {self.value:+.1%} ({self.low:+.1%} to {self.high:+.1%})"


@dataclass(frozen=True)
class Primary:
    """The result of a primary metric. `p_value`: corrected for variants × primary metrics, valid at this look.

    `smallest_effect`: the gain below which nobody would ship, as a share.
    """

    gain: Gain
    p_value: float
    smallest_effect: float


@dataclass(frozen=True)
class GuardrailResult:
    """The result of a guardrail. `margin`: the loss that is tolerated, as a share."""

    gain: Gain
    state: Guardrail
    margin: float


@dataclass(frozen=True)
class VariantResult:
    """All that is decided about one variant; at least one primary metric."""

    variant: str
    primaries: tuple[Primary, ...]
    guardrails: tuple[GuardrailResult, ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far the experiment is. `is_ended`: its planned sample or its last day is reached. `days_left`: to the planned end."""

    is_ended: bool
    days_left: int | None = None


@dataclass(frozen=True)
class Decision:
    """A verdict and the sentence that gives its reason. `variant`: None for the whole experiment, if it is invalid."""

    verdict: Verdict
    sentence: str
    variant: str | None = None


def decide(
    results: Sequence[VariantResult], findings: Sequence[Finding], progress: Progress, *, alpha: float = 0.05
) -> Decision:
    """Decide on an experiment: invalid if its data are; else ship the best variant that may be shipped; else go on if any may win.

    Stops of single variants are told in the sentence of an experiment that goes on.
    """
    fatal = [each for each in findings if each.is_fatal]
    if fatal:
        return Decision(Verdict.INVALID, f"Invalid: {' '.join(each.sentence for each in fatal)}")
    decisions = [decide_variant(each, progress, alpha=alpha) for each in results]
    by_gain = sorted(zip(results, decisions, strict=True), key=lambda pair: -_best_gain(pair[0]))
    for verdict in (Verdict.SHIP, Verdict.KEEP_RUNNING, Verdict.STOP_GUARDRAIL, Verdict.STOP_FUTILE):
        chosen = [decision for _, decision in by_gain if decision.verdict is verdict]
        if chosen:
            stopped = [each for _, each in by_gain if each.verdict is Verdict.STOP_GUARDRAIL and each not in chosen]
            return Decision(verdict, " ".join(each.sentence for each in (chosen[0], *stopped)), chosen[0].variant)
    raise ValueError("an experiment has at least one variant besides the control")


def decide_variant(result: VariantResult, progress: Progress, *, alpha: float = 0.05) -> Decision:
    """Decide on one variant of a valid experiment.

    A guardrail that is significantly worse than its margin stops it at once; a primary metric that is significantly worse, or
    significantly below the smallest effect of interest, too. It ships when a primary metric is significantly better and may reach the
    smallest effect, none is significantly worse, and every guardrail is significantly within its margin. At the end, what is not shown
    does not ship.
    """
    harmed = [each for each in result.guardrails if each.state is Guardrail.HARMED]
    unproven = [each for each in result.guardrails if each.state is Guardrail.OPEN]
    won = [
        each for each in result.primaries if _is_sure(each, alpha) and each.gain.value > 0 and not _is_too_small(each)
    ]
    lost = [each for each in result.primaries if _is_sure(each, alpha) and each.gain.value < 0]
    if harmed:
        return _stop_for_guardrail(
            result.variant, harmed[0], "significantly more than the loss of {margin:.1%} that is tolerated"
        )
    if lost:
        return _futile(result.variant, f"it is worse: {lost[0].gain}")
    if won and not unproven:
        return _ship(result.variant, won, len(result.guardrails))
    if won and progress.is_ended:
        text = "at the end it is not shown to lose less than the {margin:.1%} that is tolerated"
        return _stop_for_guardrail(result.variant, unproven[0], text)
    if not won and all(_is_too_small(each) for each in result.primaries):
        first = result.primaries[0]
        return _futile(result.variant, f"a gain of {first.smallest_effect:.1%} is ruled out: {first.gain}")
    if not won and progress.is_ended:
        return _futile(
            result.variant, f"at the end no primary metric is significantly better: {result.primaries[0].gain}"
        )
    return _keep_running(result, won, progress)


def _is_sure(primary: Primary, alpha: float) -> bool:
    return primary.p_value <= alpha


def _is_too_small(primary: Primary) -> bool:
    """Whether the smallest effect of interest is ruled out, also where the gain is significantly above 0."""
    return primary.gain.high < primary.smallest_effect


def _best_gain(result: VariantResult) -> float:
    """The largest gain that is known: a metric of which the control has none yet has no lift."""
    return max((each.gain.value for each in result.primaries if not isnan(each.gain.value)), default=-inf)


def _ship(variant: str, won: Sequence[Primary], guardrails: int) -> Decision:
    gains = ", ".join(str(each.gain) for each in won)
    held = {0: "there are no guardrails", 1: "the guardrail holds"}.get(guardrails, f"all {guardrails} guardrails hold")
    return Decision(Verdict.SHIP, f"Ship {variant}: {gains}; {held}.", variant)


def _stop_for_guardrail(variant: str, guardrail: GuardrailResult, why: str) -> Decision:
    reason = why.format(margin=guardrail.margin)
    return Decision(Verdict.STOP_GUARDRAIL, f"Stop {variant}: guardrail {guardrail.gain}: {reason}.", variant)


def _futile(variant: str, why: str) -> Decision:
    return Decision(Verdict.STOP_FUTILE, f"Stop {variant}: {why}.", variant)


def _keep_running(result: VariantResult, won: Sequence[Primary], progress: Progress) -> Decision:
    left = "" if progress.days_left is None else f"; {progress.days_left} days to the planned end"
    open_question = (
        f"{won[0].gain} is better, but a guardrail is open" if won else f"{result.primaries[0].gain} is open"
    )
    return Decision(Verdict.KEEP_RUNNING, f"Keep running {result.variant}: {open_question}{left}.", result.variant)
