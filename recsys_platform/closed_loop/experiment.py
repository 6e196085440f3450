"""The experiment of the closed loop: the blend against LightFM.

Belongs here: its definition, and what was found. Does not: statistics (experiments/).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np

from recsys_platform.experiments.readouts import ExperimentReport
from recsys_platform.experiments.statistics.readout import Reading

NAME = "blend_against_lightfm"
CONTROL, TREATMENT = "control", "treatment"
SURFACES = ("for_you", "home.for_you")
METRICS = ("ctr", "finishes")
SMALLEST_EFFECT = 0.02


@dataclass(frozen=True)
class Found:
    """The lift of a metric, with the interval that holds on all days together."""

    lift: float
    low: float
    high: float


@dataclass(frozen=True)
class ExperimentOutcome:
    """What the experiment found: the verdict with its sentence, readers by variant, and each metric."""

    verdict: str
    sentence: str
    readers: dict[str, int]
    metrics: dict[str, Found]


def experiment_content(starts_on: dt.date | None = None, days: int = 0) -> dict[str, Any]:
    """The experiment as it stands in `experiments.yaml`; without a plan unless it has a first day."""
    content: dict[str, Any] = {
        "hypothesis": "readers click more on the lists of the blend, and finish more books",
        "surfaces": list(SURFACES),
        "audience": {"readers": "signed_in"},  # who looks at lists without signing in would see two variants
        "variants": {
            CONTROL: {"model": "production", "weight": 50},
            TREATMENT: {"model": "challenger", "weight": 50},
        },
    }
    if starts_on:
        content["plan"] = {
            "starts_on": starts_on,
            "days": days,
            "primary": dict.fromkeys(METRICS, SMALLEST_EFFECT),
        }
    return content


def outcome_of(report: ExperimentReport) -> ExperimentOutcome:
    """What a read-out says, as figures. Without a result the verdict is why there is none."""
    readers = dict(report.readers or {})
    if report.result is None:
        return ExperimentOutcome("nothing to read", report.why_nothing or "", readers, {})
    decision = report.result.decision
    found = {each.metric.name: _found(each) for each in report.result.readings}
    return ExperimentOutcome(str(decision.verdict), decision.sentence, readers, found)


def _found(reading: Reading) -> Found:
    last = (np.asarray(each)[-1] for each in (reading.lift, reading.repeated.low, reading.repeated.high))
    return Found(*map(float, last))
