"""A canary: a new model gets a small share of the traffic, more while its guardrails hold, none when one is broken.

Belongs here: the next state of a canary, as a pure function of its state, what was observed and the time; what a person may do.
Does not: who routes traffic, who counts, who stores the state.

The yardstick is a baseline: as many visitors as the canary gets, as far as there are, at the same time, by the old model. The rest
of the traffic is not compared with. Tests are always valid (statistics/always_valid.py), so the canary may be judged every minute.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from recsys_platform.common.errors import InputError
from recsys_platform.experiments.statistics.always_valid import excess_p_value, half_width
from recsys_platform.experiments.statistics.estimators import compare, lift_interval
from recsys_platform.experiments.statistics.sums import Sums


class Status(StrEnum):
    """Who decides next: the tests (`running`), a person (`pinned`, `stopped`, `rolled back`), or nobody (`complete`)."""

    RUNNING = "running"
    PINNED = "pinned"
    STOPPED = "stopped"
    ROLLED_BACK = "rolled back"
    COMPLETE = "complete"


class Trouble(StrEnum):
    """Why a person is to look at a canary."""

    ROLLED_BACK = "rolled back"
    BROKEN_BUT_PINNED = "broken but pinned"
    HELD = "held"


@dataclass(frozen=True)
class CanaryPlan:
    """How a canary climbs and what ends it.

    `stages`: percent of the traffic; the last one has no baseline, and only the hard limits hold there. `least_requests`, in each
    group, and `least_minutes`: of a stage. `alpha`: chance to roll back a model that is within all tolerances, over the whole canary.
    `tolerated_ratios`: of counted events (`errors`, `slow`), how many times the baseline's share is tolerated. `tolerated_losses`: of
    metrics per reader, such as clicks ÷ exposures, which share of the baseline's may be lost; judged from `least_readers` on.
    `hard_limits`: share of the canary's requests above which it is rolled back without a test, from `hard_limit_requests` on.
    `slow_over_ms`: milliseconds above which an answer is slow.
    """

    stages: tuple[int, ...] = (1, 5, 10, 25, 50, 100)
    least_requests: int = 1_000
    least_minutes: int = 30
    least_readers: int = 100
    alpha: float = 0.05
    tolerated_ratios: Mapping[str, float] = field(default_factory=lambda: {"errors": 1.2, "slow": 1.2})
    tolerated_losses: Mapping[str, float] = field(default_factory=lambda: {"ctr": 0.05, "finishes": 0.1})
    hard_limits: Mapping[str, float] = field(default_factory=lambda: {"errors": 0.1})
    hard_limit_requests: int = 50
    slow_over_ms: int = 100

    def __post_init__(self) -> None:
        if self.stages[-1:] != (100,) or list(self.stages) != sorted({each for each in self.stages if each > 0}):
            raise InputError("The stages of a canary must be rising percents above 0 and end with 100.")
        if not 0 < self.alpha < 1:
            raise InputError("The alpha of a canary must be between 0 and 1.")

    @property
    def test_alpha(self) -> float:
        """Alpha of one guardrail at one stage."""
        tests = len(self.tolerated_ratios) + len(self.tolerated_losses)
        return self.alpha / max(1, tests * (len(self.stages) - 1))


@dataclass(frozen=True)
class Traffic:
    """What one group did since the stage began. `events`: counts by name among the requests. `readers`: sums by metric."""

    requests: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    readers: Mapping[str, Sums] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """Both groups since the stage began. `wrong_answers`: requests with a known right answer that the canary answered wrongly."""

    canary: Traffic = Traffic()
    baseline: Traffic = Traffic()
    wrong_answers: int = 0


@dataclass(frozen=True)
class CanaryState:
    """Where a canary is. `stage`: index of the plan's stages. `since`: when this stage began. `reason`: of the last step, of a pinned
    canary the person's; `finding`: what the tests found since it was pinned; `is_broken`: whether they would roll it back.
    """

    since: dt.datetime
    stage: int = 0
    status: Status = Status.RUNNING
    reason: str = "the canary has started"
    finding: str = ""
    is_broken: bool = False

    def percent(self, plan: CanaryPlan) -> int:
        """Return the percent of the traffic that the new model gets; the baseline gets as much, as far as there is."""
        return 0 if self.status in (Status.STOPPED, Status.ROLLED_BACK) else plan.stages[self.stage]


DEFAULT_PLAN = CanaryPlan()
BROKEN_BUT_PINNED = "pinned, so not rolled back: "
"""What the finding begins with of a canary that a person keeps at its share though it is broken."""
RECOVERED = "recovered: no guardrail is broken any more"


def step(
    state: CanaryState, observation: Observation | None, now: dt.datetime, *, plan: CanaryPlan = DEFAULT_PLAN
) -> CanaryState:
    """Return the next state: a stage further, the same, or rolled back. Without data it stays; nothing but a person moves a canary
    that is pinned, stopped or rolled back, but the finding of a pinned one tells what would have rolled it back.
    `observation`: None if nothing could be read.
    """
    if state.status is Status.PINNED:
        return _watched(state, observation, plan) if observation else state
    if state.status is not Status.RUNNING:
        return state
    if observation is None:
        return replace(state, reason="held: there are no data")
    broken = _broken(state, observation, plan)
    if broken:
        return replace(state, status=Status.ROLLED_BACK, reason=f"rolled back: {broken}")
    hold = next(_reasons_to_hold(state, observation, now, plan), None)
    if hold:
        return replace(state, reason=f"held: {hold}")
    return _next_stage(state, now, plan)


def _watched(state: CanaryState, seen: Observation, plan: CanaryPlan) -> CanaryState:
    """The state of a pinned canary: one that breaks or recovers is told; another guardrail, while one is broken, is no news."""
    broken = _broken(state, seen, plan)
    if bool(broken) == state.is_broken:
        return state
    return replace(state, finding=f"{BROKEN_BUT_PINNED}{broken}" if broken else RECOVERED, is_broken=bool(broken))


def _broken(state: CanaryState, seen: Observation, plan: CanaryPlan) -> str | None:
    """The first hard limit or guardrail that is broken."""
    return next(_broken_limits(seen, plan), None) or next(_broken_guardrails(state, seen, plan), None)


def pin(state: CanaryState, reason: str) -> CanaryState:
    """Keep a running canary at its stage, until a person releases or stops it."""
    if state.status not in (Status.RUNNING, Status.PINNED):
        raise InputError(f"The canary is {state.status}: only a running one can be pinned.")
    return CanaryState(state.since, state.stage, Status.PINNED, reason)


def stop(state: CanaryState, reason: str) -> CanaryState:
    """Take all traffic from the new model, until a person releases it."""
    return CanaryState(state.since, state.stage, Status.STOPPED, reason)


def release(state: CanaryState, now: dt.datetime, reason: str) -> CanaryState:
    """Let the tests decide again: a pinned canary from its stage on, one that was stopped or rolled back from the first."""
    if state.status in (Status.RUNNING, Status.COMPLETE):
        raise InputError(f"The canary is {state.status}: there is nothing to release.")
    stage = state.stage if state.status is Status.PINNED else 0
    return CanaryState(since=now, stage=stage, status=Status.RUNNING, reason=reason)


def _next_stage(state: CanaryState, now: dt.datetime, plan: CanaryPlan) -> CanaryState:
    if state.stage == len(plan.stages) - 1:
        return replace(state, status=Status.COMPLETE, reason="complete: the new model has all traffic")
    stage = state.stage + 1
    return CanaryState(now, stage, Status.RUNNING, f"advanced to {plan.stages[stage]} %: all guardrails hold")


def _broken_limits(seen: Observation, plan: CanaryPlan) -> Iterator[str]:
    """Hard limits that are crossed, without any test."""
    if seen.wrong_answers:
        yield f"{seen.wrong_answers} known answers are wrong"
    requests = seen.canary.requests
    for name, limit in plan.hard_limits.items():
        count = seen.canary.events.get(name, 0)
        if requests >= plan.hard_limit_requests and count > limit * requests:
            yield f"{name} in {count / requests:.1%} of the requests, above the hard limit of {limit:.1%}"


def _broken_guardrails(state: CanaryState, seen: Observation, plan: CanaryPlan) -> Iterator[str]:
    """Guardrails that are significantly worse than what is tolerated of the baseline."""
    if _has_no_baseline(state, plan):
        return
    for name, ratio in plan.tolerated_ratios.items():
        counts = _counts(name, seen)
        if excess_p_value(*counts, tolerated=ratio) < plan.test_alpha:
            yield f"{name} in {_shares(*counts)}, significantly more than {ratio:g} times as often"
    for name, loss in plan.tolerated_losses.items():
        lift, high = _lift_and_high(name, seen, loss, plan)
        if high < -loss:
            yield f"{name} is {lift:+.1%} against the baseline, significantly a loss of more than {loss:.1%}"


def _reasons_to_hold(state: CanaryState, seen: Observation, now: dt.datetime, plan: CanaryPlan) -> Iterator[str]:
    groups = {"canary": seen.canary} if _has_no_baseline(state, plan) else _groups(seen)
    for name, traffic in groups.items():
        if traffic.requests < max(1, plan.least_requests):
            yield f"{traffic.requests} of {plan.least_requests} requests by the {name}"
    minutes = (now - state.since).total_seconds() / 60
    if not minutes >= plan.least_minutes:
        yield f"{minutes:.0f} of {plan.least_minutes} minutes at this stage"
    yield from (f"there are no data of {name}" for name in plan.hard_limits if name not in seen.canary.events)
    if not _has_no_baseline(state, plan):
        yield from _unsettled_guardrails(seen, plan)


def _unsettled_guardrails(seen: Observation, plan: CanaryPlan) -> Iterator[str]:
    """Guardrails that look worse than what is tolerated, though not significantly, and those without data."""
    for name, ratio in plan.tolerated_ratios.items():
        if any(name not in traffic.events for traffic in _groups(seen).values()):
            yield f"there are no data of {name}"
            continue
        count, size, other, other_size = _counts(name, seen)
        if count * other_size > ratio * other * size and count > 1:
            yield f"{name} in {_shares(count, size, other, other_size)}, perhaps by chance"
    for name, loss in plan.tolerated_losses.items():
        lift, _ = _lift_and_high(name, seen, loss, plan)
        if np.isnan(lift):
            yield f"there are too few data of {name}"
        elif lift < -loss:
            yield f"{name} is {lift:+.1%} against the baseline, perhaps by chance"


def _lift_and_high(name: str, seen: Observation, loss: float, plan: CanaryPlan) -> tuple[float, float]:
    """The lift of a metric and the upper end of its always-valid interval; NaN with too few readers."""
    groups = [traffic.readers.get(name) for traffic in (seen.baseline, seen.canary)]
    sums = [each for each in groups if each is not None and each.n >= max(2, plan.least_readers)]
    if len(sums) < 2:
        return np.nan, np.nan
    comparison = compare(*sums)
    if not (np.isfinite(comparison.lift) and comparison.lift_error > 0):
        return np.nan, np.nan
    # Effects of the size of the tolerated loss matter: the test is tuned to them.
    critical = half_width(comparison.lift_error, loss, plan.test_alpha) / comparison.lift_error
    return float(comparison.lift), float(lift_interval(comparison, critical).high)


def _groups(seen: Observation) -> dict[str, Traffic]:
    return {"canary": seen.canary, "baseline": seen.baseline}


def _counts(name: str, seen: Observation) -> tuple[int, int, int, int]:
    canary, baseline = seen.canary, seen.baseline
    return canary.events.get(name, 0), canary.requests, baseline.events.get(name, 0), baseline.requests


def _shares(count: int, size: int, other: int, other_size: int) -> str:
    return f"{count / size:.2%} of the canary's requests and {other / other_size:.2%} of the baseline's"


def _has_no_baseline(state: CanaryState, plan: CanaryPlan) -> bool:
    return state.stage == len(plan.stages) - 1
