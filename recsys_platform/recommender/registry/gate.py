"""What may go before readers: a recipe that is better than popularity and than what is live, and nowhere clearly worse.

Belongs here: the decision, and its reasons in sentences. Does not: measuring (evaluation/held_out.py), doing what was decided
(promotion.py).

Readers with history decide. Newcomers get popularity by their language and interests from every recipe: how good that is is told, but
throws no recipe away.

Recipes are judged, not trained models: all are trained on the same past and tested on the same readers, the one that is live too, so
nobody has seen what is held out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recsys_platform.recommender.evaluation.comparison import Difference, Task

ALL = "all"
"""The segment of all readers with history."""
NEWCOMERS = "0"
"""The segment of readers without."""


class Measured(Protocol):
    """What the gate asks of an evaluation."""

    @property
    def models(self) -> Sequence[str]:
        """The recipes that were measured."""

    @property
    def baselines(self) -> Sequence[str]:
        """The recipes that all others were compared with."""

    @property
    def segments(self) -> Sequence[str]:
        """The segments that were measured, `all` among them."""

    @property
    def task(self) -> Task:
        """What the recipes were asked."""

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = ALL) -> Difference:
        """KeyError if it was not measured."""

    def value(self, model: str, metric: str = "ndcg", segment: str = ALL) -> float:
        """KeyError if it was not measured."""


@dataclass(frozen=True)
class GateParams:
    """`margin`: a segment may fall behind what is live by this share of its figure, as far as the interval can tell.

    What is live stays while it is ahead of the baseline by this share, whatever the interval says. `fewest`: a segment of fewer
    readers is not judged, since its interval says nothing. `fewest_of_all`: with fewer readers in all nothing is judged.
    """

    metric: str = "ndcg"
    baseline: str = "popularity"
    margin: float = 0.05
    fewest: int = 50
    fewest_of_all: int = 10


@dataclass(frozen=True)
class Decision:
    """Whether a candidate may go live, and why or why not; `unjudged`: segments with too few readers."""

    candidate: str
    promote: bool
    reasons: tuple[str, ...]
    unjudged: tuple[str, ...] = ()


def decide(
    candidate: str, incumbent: str | None, measured: Measured, params: GateParams, *, rolled_back: bool = False
) -> Decision:
    """Judge one candidate against the baseline and what is live (None if nothing is: then the baseline stands for it).

    Better: the 95 % interval of the paired difference over all readers with history lies above 0. Clearly worse in a segment: the
    upper end of its interval lies below -margin × what the incumbent reaches there. A candidate with the incumbent's own recipe need
    only keep ahead of the baseline (`_keeps_ahead`): it is the same model on newer data. `rolled_back`: a person took this recipe
    out of production.
    """
    if candidate == params.baseline and incumbent is None:
        return Decision(candidate, promote=True, reasons=(f"Nothing is live yet: {candidate} is where to begin.",))
    if candidate not in measured.models:
        return Decision(candidate, promote=False, reasons=(_unmeasured(candidate),))
    refusals = [_rolled_back(candidate)] if rolled_back else []
    if candidate != params.baseline and not (candidate == incumbent and _keeps_ahead(candidate, measured, params)):
        refusals += _not_better(candidate, params.baseline, measured, params)
    unjudged: tuple[str, ...] = ()
    rival = incumbent or params.baseline
    if rival != candidate:
        refusals += [] if rival == params.baseline else _not_better(candidate, rival, measured, params)
        worse, unjudged = _worse_segments(candidate, rival, measured, params)
        refusals += worse
    return Decision(
        candidate, not refusals, tuple(refusals) or (_praise(candidate, incumbent, measured, params),), unjudged
    )


def best_of(decisions: Sequence[Decision], measured: Measured, params: GateParams) -> Decision | None:
    """The decision for the candidate that may go live and has the highest figure; None if none may."""
    passed = [decision for decision in decisions if decision.promote]
    return max(passed, key=lambda decision: measured.value(decision.candidate, params.metric), default=None)


def challenger_of(candidates: Sequence[str], live: str | None, measured: Measured, params: GateParams) -> str | None:
    """The best recipe besides the live one that beats the baseline: what an experiment should try; None if there is none."""
    others = [name for name in better_than_baseline(candidates, measured, params) if name != live]
    return max(others, key=lambda name: measured.value(name, params.metric), default=None)


def better_than_baseline(candidates: Sequence[str], measured: Measured, params: GateParams) -> list[str]:
    """The candidates that are surely better than the baseline, whether they may go live or not."""
    others = [name for name in candidates if name in measured.models and name != params.baseline]
    return [name for name in others if not _not_better(name, params.baseline, measured, params)]


def _not_better(candidate: str, rival: str, measured: Measured, params: GateParams) -> list[str]:
    found = measured.difference(candidate, rival, metric=params.metric)
    if found.users < params.fewest_of_all:
        return [f"{_sentence(found, measured)}: nothing is judged on fewer than {params.fewest_of_all}."]
    return [] if found.low > 0 else [f"{_sentence(found, measured)}: that is not surely better."]


def _keeps_ahead(live: str, measured: Measured, params: GateParams) -> bool:
    """Whether what is live stays before the baseline: what is better by the margin, or may not be judged, is not put out by chance."""
    found = measured.difference(live, params.baseline, metric=params.metric)
    least = params.margin * measured.value(params.baseline, params.metric)
    is_ahead = found.value > 0 and (found.low > 0 or found.value > least or math.isclose(found.value, least))
    return is_ahead or found.users < params.fewest_of_all


def _worse_segments(
    candidate: str, incumbent: str, measured: Measured, params: GateParams
) -> tuple[list[str], tuple[str, ...]]:
    refusals, unjudged = [], []
    for segment in measured.segments:
        if segment in (ALL, NEWCOMERS):
            continue
        found = measured.difference(candidate, incumbent, metric=params.metric, segment=segment)
        if found.users < params.fewest:
            unjudged.append(segment)
        elif found.high < -params.margin * measured.value(incumbent, params.metric, segment):
            refusals.append(f"{_sentence(found, measured)}: more than {params.margin:.0%} worse.")
    return refusals, tuple(unjudged)


def _praise(candidate: str, incumbent: str | None, measured: Measured, params: GateParams) -> str:
    rival = params.baseline if incumbent is None or incumbent == candidate else incumbent
    if rival == candidate:
        return f"{candidate} is live and stays, on newer data."
    told = [
        f"{_sentence(measured.difference(candidate, rival, metric=params.metric, segment=segment), measured)}."
        for segment in (ALL, *(name for name in measured.segments if name == NEWCOMERS))
    ]
    return " ".join([*told, *_why_unsure_stays(candidate, rival, measured, params)])


def _why_unsure_stays(candidate: str, rival: str, measured: Measured, params: GateParams) -> list[str]:
    """Of what is live and not surely better: why it stays."""
    if not _not_better(candidate, rival, measured, params):
        return []
    if measured.difference(candidate, rival, metric=params.metric).users < params.fewest_of_all:
        return [f"On fewer than {params.fewest_of_all} readers nothing is judged: what is live stays."]
    return [f"That is not surely better, but what is live stays while it is {params.margin:.0%} ahead."]


def _rolled_back(candidate: str) -> str:
    return f"{candidate} was rolled back: `recsys promote` brings it back, or another recipe."


def _unmeasured(candidate: str) -> str:
    return f"{candidate} was not measured: too little was liked in the past that it would be tested on."


def _sentence(found: Difference, measured: Measured) -> str:
    where = {ALL: "", NEWCOMERS: " for newcomers"}.get(found.segment, f" in segment {found.segment}")
    asked = f" ({measured.task.in_words})" if measured.task.in_words else ""
    return (
        f"{found.metric.upper()} of {found.model} is {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f}) "
        f"against {found.baseline}{where}, on {found.users:,} readers{asked}"
    )
