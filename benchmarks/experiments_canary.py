"""Simulated canaries: how often a model like the old one is rolled back, and how soon a bad one is."""

import datetime as dt
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

sys.path.append(str(Path(__file__).parents[1]))  # for tests/support

from recsys_platform.experiments.canary import DEFAULT_PLAN, CanaryState, Observation, Status, Traffic, step
from recsys_platform.experiments.statistics.sums import Sums
from tests.support.reader_sums import proportion_sums, reader_sums

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MINUTES, REQUESTS_A_MINUTE, REQUESTS_A_READER, BOOKS = 5, 10_000, 3, 10
LONGEST = 24 * 60


@dataclass(frozen=True)
class Model:
    """What a model does: rates of errors and slow answers per request, of clicks per book, of readers who finish one."""

    errors: float = 0.002
    slow: float = 0.02
    ctr: float = 0.1
    finishes: float = 0.05


OLD = Model()
BAD = {
    "errors": Model(errors=0.01),
    "slow": Model(slow=0.04),
    "ctr": Model(ctr=0.08),
}


@dataclass(frozen=True)
class Ending:
    """How a canary ended: its status, the minutes, and the share of all requests in that time that the new model answered."""

    status: Status
    minutes: int
    exposed: float


def _traffic(random: Generator, model: Model, requests: int) -> Traffic:
    readers = max(2, requests // REQUESTS_A_READER)
    rate = random.beta(20 * model.ctr, 20 * (1 - model.ctr), readers)
    seen, none = random.poisson(BOOKS, readers) + 1.0, np.zeros(readers)
    clicks = random.binomial(seen.astype(np.int64), rate).astype(np.float64)
    events = {
        "errors": int(random.binomial(requests, model.errors)),
        "slow": int(random.binomial(requests, model.slow)),
    }
    finished = proportion_sums(float(readers), float(random.binomial(readers, model.finishes)))
    return Traffic(requests, events, {"ctr": reader_sums(clicks, seen, none, none, none), "finishes": finished})


def _together(first: Traffic, second: Traffic) -> Traffic:
    def sums(name: str) -> Sums:
        return first.readers[name] + second.readers[name] if first.readers else second.readers[name]

    events = {name: first.events.get(name, 0) + count for name, count in second.events.items()}
    return Traffic(first.requests + second.requests, events, {name: sums(name) for name in second.readers})


def run_canary(random: Generator, model: Model) -> Ending:
    """Let a canary run, with a step every few minutes, until it ends or a day is over."""
    state, canary, baseline, answered = CanaryState(START), Traffic(), Traffic(), 0
    for minute in range(MINUTES, LONGEST + 1, MINUTES):
        percent = state.percent(DEFAULT_PLAN)
        requests = REQUESTS_A_MINUTE * MINUTES * percent // 100
        answered += requests
        canary = _together(canary, _traffic(random, model, requests))
        baseline = baseline if percent > 50 else _together(baseline, _traffic(random, OLD, requests))
        before, state = state, step(state, Observation(canary, baseline), START + dt.timedelta(minutes=minute))
        if state.status is not Status.RUNNING:
            return Ending(state.status, minute, answered / (REQUESTS_A_MINUTE * minute))
        if state.stage != before.stage:
            canary, baseline = Traffic(), Traffic()
    return Ending(state.status, LONGEST, answered / (REQUESTS_A_MINUTE * LONGEST))


def canary_figures(random: Generator, canaries: int) -> dict[str, float]:
    """`canary_false_rollbacks`: share of models like the old one that were rolled back; `canary_minutes`: median until they have all
    traffic. `canary_caught`: share of bad ones (five times the errors, twice the slow answers, a fifth fewer clicks) that were; of
    those that are, `canary_bad_exposed` is the largest median share of requests that they answered.
    """
    same = [run_canary(random, OLD) for _ in range(canaries)]
    bad = {name: [run_canary(random, model) for _ in range(canaries // 2)] for name, model in BAD.items()}
    return {
        "canary_false_rollbacks": float(np.mean([each.status is Status.ROLLED_BACK for each in same])),
        "canary_minutes": float(np.median([each.minutes for each in same])),
        "canary_caught": min(float(np.mean([e.status is Status.ROLLED_BACK for e in ends])) for ends in bad.values()),
        "canary_bad_exposed": max(float(np.median([each.exposed for each in ends])) for ends in bad.values()),
    }
