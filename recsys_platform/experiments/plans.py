"""How an experiment is judged: the `plan` of an experiment in `experiments.yaml`.

Belongs here: what a plan says, and what contradicts itself. Does not: the assignment (assignment.py), the numbers (readouts.py).
"""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

MetricName = Literal[
    "ctr", "clicks", "starts", "finishes", "saves", "subscriptions", "revenue", "empty_answers", "fallback_share"
]
Share = Annotated[float, Field(gt=0, lt=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Plan:
    """Metrics, levels and days of an experiment.

    `primary`: metrics with the smallest effect worth having. `guardrails`: metrics with the loss that is tolerated. Both as shares of
    the control. `days`: the longest duration. `stopped_on`: the last day that counts, if it was stopped early.
    """

    starts_on: dt.date
    days: Annotated[int, Field(gt=0, le=366)]
    primary: Annotated[Mapping[MetricName, Share], Field(min_length=1)]
    guardrails: Mapping[MetricName, Share] = Field(default_factory=dict)
    control: str = "control"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    stopped_on: dt.date | None = None

    @property
    def last_day(self) -> dt.date:
        """The last day that counts."""
        planned = self.starts_on + dt.timedelta(days=self.days - 1)
        return min(planned, self.stopped_on) if self.stopped_on else planned

    def mistake(self, variants: Collection[str]) -> str | None:
        """What contradicts the variants or the plan itself, without a full stop; None if nothing does."""
        if self.control not in variants:
            return f"the control is {self.control}, which is no variant: name one of {', '.join(variants)} as `control`"
        if len(variants) < 2:
            return "a plan compares variants: name a second one"
        both = sorted(set(self.primary) & set(self.guardrails))
        if both:
            return f"{both[0]} is both a primary metric and a guardrail: choose one"
        if self.stopped_on and self.stopped_on < self.starts_on:
            return f"it was stopped on {self.stopped_on}, before it started on {self.starts_on}"
        return None
