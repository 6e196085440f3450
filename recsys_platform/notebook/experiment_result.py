"""The read-out of an experiment, as a notebook reads it.

Belongs here: tables, sentences and the plot of a read-out. Does not: reading it (experiments/readouts.py), its statistics.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from recsys_platform.experiments.plans import Plan
from recsys_platform.experiments.plots import lifts_plot
from recsys_platform.experiments.readouts import ExperimentReport
from recsys_platform.experiments.statistics.planning import (
    Baseline,
    Design,
    required_readers,
    required_readers_of_guardrail,
)
from recsys_platform.experiments.statistics.readout import Reading
from recsys_platform.notebook.plot import Plot

__all__ = ["ExperimentResult"]


@dataclass(frozen=True, eq=False)
class ExperimentResult:
    """What an experiment has found until the last day that is over."""

    name: str
    _plan: Plan = field(repr=False)
    _report: ExperimentReport = field(repr=False)

    @property
    def verdict(self) -> str:
        """`ship`, `keep running`, `stop: futile`, `stop: guardrail` or `invalid`; `nothing to read` without a day or a reader."""
        return str(self._report.result.decision.verdict) if self._report.result else "nothing to read"

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, with the metric, its lift and the interval."""
        return self._report.result.decision.sentence if self._report.result else self._report.why_nothing or ""

    @property
    def findings(self) -> list[str]:
        """What the health checks found, a sentence each. With any that is fatal the verdict is `invalid`: use no figure then."""
        return [each.sentence for each in self._report.result.findings] if self._report.result else []

    def readers(self) -> pd.DataFrame:
        """Return how many readers count in each variant, and how many were left out and why."""
        counted = [("counts", name, number) for name, number in (self._report.readers or {}).items()]
        left_out = [("left out", reason, number) for reason, number in self._report.left_out.items()]
        return pd.DataFrame([*counted, *left_out], columns=["", "group", "readers"]).set_index(["", "group"])

    def table(self) -> pd.DataFrame:
        """Return a row for each variant and metric.

        `lift`: treatment ÷ control - 1, less noisy by what is known of the readers from before. `low` to `high`: the interval that
        holds on all days together. `power`: chance to find the smallest effect worth having (of a guardrail: to show that the
        tolerated loss is ruled out) with the readers so far. `needed`: readers of each variant for the planned power.
        """
        readings = self._report.result.readings if self._report.result else ()
        rows = [self._reading_row(each) for each in readings]
        return pd.DataFrame(rows).set_index(["variant", "metric"]) if rows else pd.DataFrame()

    def segments(self) -> pd.DataFrame:
        """Return the primary metrics by tier, language, platform and arrival; exploratory: they suggest the next experiment.

        `p_value` is corrected for all segments of the metric.
        """
        rows = [
            {
                "segment": each.segment,
                "value": each.value,
                "variant": each.reading.variant,
                "metric": each.reading.metric.name,
                **_lift_of(each.reading),
                "p_value": each.p_value,
            }
            for each in self._report.segments
        ]
        return pd.DataFrame(rows).set_index(["segment", "value"]) if rows else pd.DataFrame()

    def plot(self) -> Plot:
        """Draw the lift of each metric by day with the interval that holds on all days. ValueError without a result."""
        if self._report.result is None:
            raise ValueError(self.sentence)
        return Plot(lifts_plot(self._report))

    def _reading_row(self, each: Reading) -> dict[str, Any]:
        return {
            "variant": each.variant,
            "metric": each.metric.name,
            "role": "guardrail" if each.metric.is_guardrail else "primary",
            "control": each.control,
            "treatment": each.treatment,
            **_lift_of(each),
            "p_value": each.p_value,
            "power": each.power,
            "needed": self._needed_readers(each),
        }

    def _needed_readers(self, each: Reading) -> float:
        """By the error of the lift so far; NaN before there is one."""
        readers = self._report.readers or {}
        group = min(readers[self._plan.control], readers[each.variant])
        if not np.isfinite(each.error[-1]):
            return float("nan")
        baseline = Baseline(1.0, float(each.error[-1]) ** 2 * group / 2)
        design = self._test_design(len(readers) - 1)
        if each.metric.is_guardrail:
            return float(required_readers_of_guardrail(baseline, each.metric.margin, design))
        return float(required_readers(baseline, each.metric.smallest_effect, design))

    def _test_design(self, variants: int) -> Design:
        plan = self._plan
        counts = {"variants": variants, "metrics": len(plan.primary), "guardrails": len(plan.guardrails)}
        return Design(plan.alpha, plan.power, min(plan.days, 14), **counts)


def _lift_of(each: Reading) -> dict[str, float]:
    low, high = (float(np.asarray(side)[-1]) for side in (each.repeated.low, each.repeated.high))
    return {"lift": float(each.lift[-1]), "low": low, "high": high}
