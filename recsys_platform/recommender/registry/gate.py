"""Promotion gate: a recipe may go live if it beats popularity and the live recipe, and no segment gets significantly worse.

Belongs here: the decision and its reasons. Does not: the evaluation (evaluation/evaluate.py), moving aliases (promotion.py).

Only readers with history count. For cold-start readers every recipe falls back to popularity by language and interests; their
metrics are reported but never block a promotion.

The gate compares recipes, not trained models. All recipes, the live one included, are trained on the same past and tested on the same
readers, so no model has seen the held-out interactions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recsys_platform.recommender.evaluation.comparison import Difference, Task

ALL = "all"
"""The segment of all readers with history."""
COLD_START = "0"
"""The segment of readers without history (cold start)."""


class EvaluationResults(Protocol):
    """The evaluation results that the gate needs."""

    @property
    def models(self) -> Sequence[str]:
        """The recipes that were evaluated."""

    @property
    def baselines(self) -> Sequence[str]:
        """The recipes that all others were compared with."""

    @property
    def segments(self) -> Sequence[str]:
        """The segments that were evaluated, `all` among them."""

    @property
    def task(self) -> Task:
        """The prediction task of the evaluation."""

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = ALL) -> Difference:
        """Return the paired difference of two recipes. KeyError if it was not evaluated."""

    def value(self, model: str, metric: str = "ndcg", segment: str = ALL) -> float:
        """Return the value of a metric. KeyError if it was not evaluated."""


@dataclass(frozen=True)
class GateParams:
    """Thresholds of the gate.

    `margin`: how far a segment may fall behind the live recipe, as a share of the live recipe's metric, by the upper end of the
    interval. The live recipe stays while it is ahead of the baseline by the same share, even if that is not significant.
    `min_readers`: smaller segments are skipped, because their intervals are too wide. `min_readers_in_all`: with fewer readers in
    total no candidate is promoted.
    """

    metric: str = "ndcg"
    baseline: str = "popularity"
    margin: float = 0.05
    min_readers: int = 50
    min_readers_in_all: int = 10


@dataclass(frozen=True)
class Decision:
    """Whether a candidate may go live, and the reasons. `skipped_segments`: segments with too few readers."""

    candidate: str
    promote: bool
    reasons: tuple[str, ...]
    skipped_segments: tuple[str, ...] = ()


def decide(
    candidate: str, incumbent: str | None, results: EvaluationResults, params: GateParams, *, rolled_back: bool = False
) -> Decision:
    """Decide whether one candidate may go live.

    Better: the 95 % interval of the paired difference over all readers with history is above 0. Worse in a segment: the upper end of
    the interval is below -margin × the incumbent's metric there. A candidate with the incumbent's recipe only has to stay ahead of
    the baseline (`_keeps_ahead`): it is the same recipe on newer data.

    Args:
        candidate: name of the recipe.
        incumbent: name of the live recipe; None if nothing is live, then the baseline takes its place.
        results: metrics of all recipes on the same held-out data.
        params: thresholds.
        rolled_back: whether a person took this recipe out of production.
    """
    if candidate == params.baseline and incumbent is None:
        return Decision(candidate, promote=True, reasons=(f"Nothing is live yet: {candidate} is the first model.",))
    if candidate not in results.models:
        return Decision(candidate, promote=False, reasons=(_not_evaluated_reason(candidate),))
    refusals = [_rolled_back_reason(candidate)] if rolled_back else []
    if candidate != params.baseline and not (candidate == incumbent and _keeps_ahead(candidate, results, params)):
        refusals += _reasons_not_better(candidate, params.baseline, results, params)
    skipped_segments: tuple[str, ...] = ()
    rival = incumbent or params.baseline
    if rival != candidate:
        refusals += [] if rival == params.baseline else _reasons_not_better(candidate, rival, results, params)
        worse, skipped_segments = _worse_segments(candidate, rival, results, params)
        refusals += worse
    return Decision(
        candidate,
        not refusals,
        tuple(refusals) or (_reason_to_promote(candidate, incumbent, results, params),),
        skipped_segments,
    )


def best_candidate(decisions: Sequence[Decision], results: EvaluationResults, params: GateParams) -> Decision | None:
    """Return the decision for the best candidate that may go live; None if none may."""
    passed = [decision for decision in decisions if decision.promote]
    return max(passed, key=lambda decision: results.value(decision.candidate, params.metric), default=None)


def choose_challenger(
    candidates: Sequence[str], live: str | None, results: EvaluationResults, params: GateParams
) -> str | None:
    """Return the best recipe besides the live one that beats the baseline, for the next experiment; None if there is none."""
    others = [name for name in better_than_baseline(candidates, results, params) if name != live]
    return max(others, key=lambda name: results.value(name, params.metric), default=None)


def better_than_baseline(candidates: Sequence[str], results: EvaluationResults, params: GateParams) -> list[str]:
    """Return the candidates that are significantly better than the baseline, whether they may go live or not."""
    others = [name for name in candidates if name in results.models and name != params.baseline]
    return [name for name in others if not _reasons_not_better(name, params.baseline, results, params)]


def _reasons_not_better(candidate: str, rival: str, results: EvaluationResults, params: GateParams) -> list[str]:
    found = results.difference(candidate, rival, metric=params.metric)
    if found.users < params.min_readers_in_all:
        return [
            f"{_difference_sentence(found, results)}: fewer than {params.min_readers_in_all} readers are too few to decide."
        ]
    return [] if found.low > 0 else [f"{_difference_sentence(found, results)}: not significantly better."]


def _keeps_ahead(live: str, results: EvaluationResults, params: GateParams) -> bool:
    """Whether the live recipe is still ahead of the baseline: significantly, or by the margin, or with too few readers to decide."""
    found = results.difference(live, params.baseline, metric=params.metric)
    least = params.margin * results.value(params.baseline, params.metric)
    is_ahead = found.value > 0 and (found.low > 0 or found.value > least or math.isclose(found.value, least))
    return is_ahead or found.users < params.min_readers_in_all


def _worse_segments(
    candidate: str, incumbent: str, results: EvaluationResults, params: GateParams
) -> tuple[list[str], tuple[str, ...]]:
    refusals, skipped_segments = [], []
    for segment in results.segments:
        if segment in (ALL, COLD_START):
            continue
        found = results.difference(candidate, incumbent, metric=params.metric, segment=segment)
        if found.users < params.min_readers:
            skipped_segments.append(segment)
        elif found.high < -params.margin * results.value(incumbent, params.metric, segment):
            refusals.append(f"{_difference_sentence(found, results)}: more than {params.margin:.0%} worse.")
    return refusals, tuple(skipped_segments)


def _reason_to_promote(candidate: str, incumbent: str | None, results: EvaluationResults, params: GateParams) -> str:
    rival = params.baseline if incumbent is None or incumbent == candidate else incumbent
    if rival == candidate:
        return f"{candidate} stays live, trained on newer data."
    sentences = [
        f"{_difference_sentence(results.difference(candidate, rival, metric=params.metric, segment=segment), results)}."
        for segment in (ALL, *(name for name in results.segments if name == COLD_START))
    ]
    return " ".join([*sentences, *_why_live_stays(candidate, rival, results, params)])


def _why_live_stays(candidate: str, rival: str, results: EvaluationResults, params: GateParams) -> list[str]:
    """Why a live recipe that is not significantly better stays; empty if it is better."""
    if not _reasons_not_better(candidate, rival, results, params):
        return []
    if results.difference(candidate, rival, metric=params.metric).users < params.min_readers_in_all:
        return [f"Fewer than {params.min_readers_in_all} readers are too few to decide: the live model stays."]
    return [f"Not significantly better, but the live model stays while it is {params.margin:.0%} ahead."]


def _rolled_back_reason(candidate: str) -> str:
    return f"{candidate} was rolled back: bring it back with `recsys promote`, or change its recipe."


def _not_evaluated_reason(candidate: str) -> str:
    return f"{candidate} was not evaluated: its training period holds too few liked books."


def _difference_sentence(found: Difference, results: EvaluationResults) -> str:
    where = {ALL: "", COLD_START: " for readers without history"}.get(found.segment, f" in segment {found.segment}")
    asked = f" ({results.task.description})" if results.task.description else ""
    return (
        f"{found.metric.upper()} of {found.model} is {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f}) "
        f"against {found.baseline}{where}, on {found.users:,} readers{asked}"
    )
