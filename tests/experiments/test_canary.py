"""The canary climbs on data alone, rolls back what is bad, and leaves to a person what a person decided."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.common.errors import InputError
from recsys_platform.experiments.canary import (
    CanaryPlan,
    CanaryState,
    Observation,
    Status,
    Traffic,
    pin,
    release,
    step,
    stop,
)
from recsys_platform.experiments.statistics.sums import Sums
from tests.support.reader_sums import reader_sums

START = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
PLAN = CanaryPlan()
HELD = (Status.PINNED, Status.STOPPED, Status.ROLLED_BACK, Status.COMPLETE)


def clicks(rate: float, readers: int = 2_000, seed: int = 1) -> Sums:
    random = np.random.default_rng(seed)
    seen, none = random.poisson(10, readers) + 1.0, np.zeros(readers)
    return reader_sums(
        random.binomial(seen.astype(int), random.beta(20 * rate, 20 - 20 * rate, readers)) * 1.0, seen, none, none, none
    )


def traffic(requests: int = 20_000, errors: int = 20, slow: int = 200, ctr: float = 0.1, seed: int = 1) -> Traffic:
    sums = clicks(ctr, seed=seed)
    return Traffic(requests, {"errors": errors, "slow": slow}, {"ctr": sums, "finishes": sums})


def seen(canary: Traffic | None = None, baseline: Traffic | None = None, wrong: int = 0) -> Observation:
    return Observation(traffic() if canary is None else canary, traffic() if baseline is None else baseline, wrong)


def after(minutes: float) -> dt.datetime:
    return START + dt.timedelta(minutes=minutes)


def test_a_good_model_climbs_to_all_traffic_stage_by_stage() -> None:
    state, now, shares = CanaryState(START), START, [1]
    while state.status is Status.RUNNING:
        now += dt.timedelta(minutes=30)
        state = step(state, seen(), now)
        shares.append(state.percent(PLAN))
    assert shares == [1, 5, 10, 25, 50, 100, 100]
    assert (state.status, state.reason) == (Status.COMPLETE, "complete: the new model has all traffic")
    assert now == after(180)


@pytest.mark.parametrize(
    ("observation", "minutes", "reason"),
    [
        (None, 60, "held: there are no data"),
        (Observation(), 60, "held: 0 of 1000 requests by the canary"),
        (seen(traffic(999, 1, 9)), 60, "held: 999 of 1000 requests by the canary"),
        (seen(baseline=traffic(0, 0, 0)), 60, "held: 0 of 1000 requests by the baseline"),
        (seen(), 29, "held: 29 of 30 minutes at this stage"),
        (seen(Traffic(20_000, {}, traffic().readers)), 60, "held: there are no data of errors"),
        (seen(Traffic(20_000, traffic().events, {})), 60, "held: there are too few data of ctr"),
        (seen(traffic(ctr=0.09)), 60, "perhaps by chance"),
        (
            seen(traffic(errors=30)),
            60,
            "held: errors in 0.15% of the canary's requests and 0.10% of the baseline's, perhaps by chance",
        ),
    ],
)
def test_it_stays_without_enough_data_time_or_certainty(
    observation: Observation | None, minutes: float, reason: str
) -> None:
    state = step(CanaryState(START), observation, after(minutes))
    assert (state.status, state.stage) == (Status.RUNNING, 0)
    assert reason in state.reason


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (seen(traffic(60, 7, 0)), "errors in 11.7% of the requests, above the hard limit of 10.0%"),
        (seen(wrong=2), "2 known answers are wrong"),
        (
            seen(traffic(errors=80)),
            "errors in 0.40% of the canary's requests and 0.10% of the baseline's, significantly more than 1.2",
        ),
        (seen(traffic(slow=600)), "slow in 3.00%"),
        (seen(traffic(ctr=0.07)), "ctr is -"),
    ],
)
def test_it_rolls_back_at_once_what_is_significantly_bad(observation: Observation, reason: str) -> None:
    state = step(CanaryState(START, stage=2), observation, after(1))
    assert (state.status, state.percent(PLAN)) == (Status.ROLLED_BACK, 0)
    assert state.reason.startswith("rolled back: ")
    assert reason in state.reason


def test_all_traffic_has_no_baseline_and_keeps_the_hard_limits() -> None:
    last = CanaryState(START, stage=5)
    alone = Observation(traffic(errors=20))
    assert step(last, alone, after(30)).status is Status.COMPLETE
    assert step(last, Observation(traffic(errors=5_000)), after(1)).status is Status.ROLLED_BACK
    assert step(last, Observation(Traffic(20_000)), after(30)).reason == "held: there are no data of errors"


def test_a_stage_above_half_of_the_traffic_is_compared_with_the_smaller_rest() -> None:
    plan = replace(PLAN, stages=(10, 80, 100))
    rest = traffic(5_000, errors=5, slow=50)
    bad = step(CanaryState(START, stage=1), seen(traffic(slow=600), rest), after(1), plan=plan)
    assert (bad.status, "slow in 3.00%" in bad.reason) == (Status.ROLLED_BACK, True)
    assert step(CanaryState(START, stage=1), seen(traffic(), rest), after(30), plan=plan).stage == 2


def test_what_was_rolled_back_or_stopped_starts_again_only_when_a_person_releases_it() -> None:
    for state in (CanaryState(START, 3, Status.ROLLED_BACK), stop(CanaryState(START, 3), "bad covers")):
        assert step(state, seen(), after(600)) == state
        again = release(state, after(600), "fixed")
        assert (again.status, again.stage, again.since, again.reason) == (Status.RUNNING, 0, after(600), "fixed")


def test_a_pinned_canary_goes_on_from_its_stage() -> None:
    pinned = pin(CanaryState(START, 2), "holidays")
    assert (pinned.percent(PLAN), step(pinned, seen(), after(600)), step(pinned, None, after(600))) == (
        10,
        pinned,
        pinned,
    )
    broken = step(pinned, seen(wrong=9), after(600))
    assert broken == replace(pinned, finding="pinned, so not rolled back: 9 known answers are wrong", is_broken=True)
    assert step(broken, seen(wrong=1), after(601)) == step(broken, None, after(601)) == broken
    recovered = replace(pinned, finding="recovered: no guardrail is broken any more")
    assert step(broken, seen(), after(601)) == step(recovered, seen(), after(602)) == recovered
    assert release(pinned, after(600), "back").stage == 2


def test_a_person_cannot_pin_what_does_not_run_or_release_what_does() -> None:
    with pytest.raises(InputError, match="is rolled back: only a running one can be pinned"):
        pin(CanaryState(START, 1, Status.ROLLED_BACK), "no")
    for status in (Status.RUNNING, Status.COMPLETE):
        with pytest.raises(InputError, match="nothing to release"):
            release(CanaryState(START, 1, status), START, "no")


@pytest.mark.parametrize("stages", [(), (1, 5, 50), (5, 1, 100), (0, 100), (1, 1, 100)])
def test_stages_rise_to_all_traffic(stages: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="rising percents above 0 and end with 100"):
        CanaryPlan(stages=stages)


READERS = {rate: clicks(rate, 300) for rate in (0.05, 0.1, 0.15)}
counted = st.integers(0, 5_000)
groups = st.builds(
    lambda requests, errors, slow, rate, has: Traffic(
        requests,
        {"errors": min(errors, requests), "slow": min(slow, requests)} if has else {},
        {"ctr": READERS[rate], "finishes": READERS[rate]} if has else {},
    ),
    counted,
    counted,
    counted,
    st.sampled_from(sorted(READERS)),
    st.booleans(),
)
observations = st.none() | st.builds(Observation, groups, groups, st.integers(0, 1))
states = st.builds(CanaryState, st.just(START), st.integers(0, 5), st.sampled_from(Status))
times = st.integers(0, 10_000).map(after)


@settings(max_examples=200)
@given(states, observations, times)
def test_a_step_goes_one_stage_up_at_most_and_only_with_data(
    state: CanaryState, observation: Observation | None, now: dt.datetime
) -> None:
    later = step(state, observation, now)
    if later.stage != state.stage or later.status is Status.COMPLETE is not state.status:
        assert later.stage - state.stage in (0, 1)
        assert state.status is Status.RUNNING
        assert observation is not None
        assert observation.canary.requests >= PLAN.least_requests
        assert state.stage == 5 or observation.baseline.requests >= PLAN.least_requests
        assert "errors" in observation.canary.events
        assert (now - state.since).total_seconds() >= 60 * PLAN.least_minutes


@settings(max_examples=100)
@given(states, st.lists(st.tuples(observations, times), max_size=5))
def test_what_a_person_must_decide_waits_for_a_person(
    state: CanaryState, steps: list[tuple[Observation | None, dt.datetime]]
) -> None:
    held: CanaryState | None = state if state.status in HELD else None
    for observation, now in steps:
        state = step(state, observation, now)
        if held is not None and held.status is Status.PINNED:  # what is broken, or no more, is told though it stays
            held = replace(held, finding=state.finding, is_broken=state.is_broken)
        assert held is None or state == held
        held = state if state.status in HELD else None


@settings(max_examples=50)
@given(states, times)
def test_no_data_change_nothing_but_the_reason(state: CanaryState, now: dt.datetime) -> None:
    for nothing in (None, Observation()):
        later = step(state, nothing, now)
        assert replace(later, reason=state.reason) == state


def test_a_model_as_good_as_the_old_one_is_seldom_rolled_back_and_a_bad_one_soon() -> None:
    """A look every ten minutes for four hours at one stage; errors are rare, as they are."""
    random = np.random.default_rng(9)

    def steps_until_rollback(error_rate: float) -> int:
        counts = np.cumsum(random.poisson([[error_rate * 1_000, 0.002 * 1_000]] * 24), axis=0)
        for number, (own, other) in enumerate(counts.tolist(), start=1):
            size = 1_000 * number
            groups = (Traffic(size, {"errors": count, "slow": 0}) for count in (own, other))
            plan = CanaryPlan(tolerated_losses={}, least_minutes=10_000)
            if (
                step(CanaryState(START), Observation(*groups), after(10 * number), plan=plan).status
                is Status.ROLLED_BACK
            ):
                return number
        return 25

    assert np.mean([steps_until_rollback(0.002) <= 24 for _ in range(200)]) < 0.01
    assert np.median([steps_until_rollback(0.02) for _ in range(50)]) <= 3
