"""Corrections for many tests at once.

Belongs here: Holm for variants × primary metrics, Benjamini-Hochberg for segments, non-inferiority of guardrails. Does not: p-values.
"""

from enum import StrEnum

import numpy as np

from recsys_platform.experiments.statistics.estimators import Interval
from recsys_platform.recommender.arrays import DoubleArray


class Guardrail(StrEnum):
    """What is known of a guardrail: no worse than the margin, worse than it, or neither yet."""

    HOLDS = "holds"
    HARMED = "harmed"
    OPEN = "open"


def holm(p_values: DoubleArray) -> DoubleArray:
    """Adjust p-values so that the chance of any false finding is at most alpha (Holm 1979). Use it on primary metrics × variants."""
    order = np.argsort(p_values)
    count = len(p_values)
    scaled = np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(count, 0, -1))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(scaled, 1.0)
    return adjusted


def benjamini_hochberg(p_values: DoubleArray) -> DoubleArray:
    """Adjust p-values so that the share of false among all findings is at most alpha. Use it on segments, which are exploratory."""
    from scipy.stats import false_discovery_control  # two seconds of CPU, which planning need not pay

    return np.asarray(false_discovery_control(p_values), dtype=np.float64)


def guardrail_state(gain: Interval, margin: float) -> Guardrail:
    """Return what an interval of a guardrail's gain says; `margin`: the loss that is tolerated, as a share of the control, 0 or more.

    Gain is the lift, with its sign turned if less is better. The interval is two-sided at 2 · alpha: each side is a test at alpha.
    Alpha is not corrected for the number of guardrails, since all of them must hold; the power is (see planning.py; Schultzberg,
    Ankargren & Frånberg 2024, "Risk-aware product decisions in A/B tests with multiple metrics").
    """
    if gain.low > -margin:
        return Guardrail.HOLDS
    return Guardrail.HARMED if gain.high < -margin else Guardrail.OPEN
