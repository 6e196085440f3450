"""Many tests at once."""

import numpy as np
import pytest

from recsys_platform.experiments.statistics.corrections import Guardrail, benjamini_hochberg, guardrail_state, holm
from recsys_platform.experiments.statistics.estimators import Interval


def test_holm_multiplies_the_smallest_most_and_never_falls() -> None:
    assert holm(np.array([0.03, 0.01, 0.02])) == pytest.approx([0.04, 0.03, 0.04])
    assert holm(np.array([0.5, 0.9])) == pytest.approx([1.0, 1.0])
    assert len(holm(np.array([]))) == 0


def test_benjamini_hochberg_is_milder() -> None:
    assert benjamini_hochberg(np.array([0.03, 0.01, 0.02])) == pytest.approx([0.03, 0.03, 0.03])


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (-0.01, 0.03, Guardrail.HOLDS),
        (-0.019, -0.001, Guardrail.HOLDS),  # significantly worse, and significantly within the margin
        (-0.03, 0.01, Guardrail.OPEN),
        (-0.05, -0.021, Guardrail.HARMED),
        (-np.inf, np.inf, Guardrail.OPEN),
        (np.nan, np.nan, Guardrail.OPEN),
    ],
)
def test_a_guardrail_holds_if_its_interval_is_above_the_margin(low: float, high: float, state: Guardrail) -> None:
    assert guardrail_state(Interval(low, high), 0.02) is state
