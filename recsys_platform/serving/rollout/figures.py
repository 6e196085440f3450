"""The figures of both groups of a canary, as texts for tables."""

import numpy as np

from recsys_platform.experiments.canary import Observation, Traffic
from recsys_platform.serving.rollout.record import BASELINE, CANARY


def group_rows(seen: Observation) -> list[dict[str, str]]:
    """Return a row for each group: requests and shares of errors and slow answers at this stage, metrics of readers of all stages."""
    metrics = list(dict.fromkeys([*seen.canary.readers, *seen.baseline.readers]))
    groups = {CANARY: seen.canary, BASELINE: seen.baseline}
    return [_row(name, traffic, metrics) for name, traffic in groups.items()]


def _row(name: str, traffic: Traffic, metrics: list[str]) -> dict[str, str]:
    shares = {event: _share(traffic, event) for event in ("errors", "slow")}
    return {
        "group": name,
        "requests": f"{traffic.requests:,}",
        **shares,
        **{each: _mean(traffic, each) for each in metrics},
    }


def _share(traffic: Traffic, event: str) -> str:
    return f"{traffic.events[event] / traffic.requests:.2%}" if event in traffic.events and traffic.requests else "-"


def _mean(traffic: Traffic, metric: str) -> str:
    sums = traffic.readers.get(metric)
    if sums is None or not float(np.asarray(sums.y)):
        return "-"
    return f"{float(np.asarray(sums.x) / np.asarray(sums.y)):.4g} ({int(np.asarray(sums.n)):,} readers)"
