"""How good models are on what was held out, and how sure that is.

Belongs here: full ranking of the test users by several models, averages, bootstrap intervals, the tables people read.
Does not: the metrics (metrics.py), the figure (plots.py), what is promoted because of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from recsys_platform.recommender import metrics
from recsys_platform.recommender.arrays import BoolArray, DoubleArray, IntArray
from recsys_platform.recommender.comparison import Difference
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking import top_k
from recsys_platform.recommender.splits import Split

PER_USER = {
    "ndcg": metrics.ndcg,
    "map": metrics.average_precision,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "hit_rate": metrics.hit_rate,
}
ALL = "all"
SEGMENTS = {"1-4": (1, 4), "5-19": (5, 19), "20+": (20, np.inf)}
"""Users by how many books they liked in training, both ends included."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class EvaluationParams:
    """`max_users`: test on a seeded sample of so many users, None for all. `resamples`: of the bootstrap."""

    k: int = 10
    max_users: int | None = None
    resamples: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """`table`: model, segment, metric, value, low, high, users. `ratios`: model, baseline, segment, value, low, high.

    A ratio is the NDCG divided by the baseline's on the same users. `differences`: the fields of `Difference`, a row each.
    `low` to `high` is the 95 % interval; coverage has none (NaN).
    """

    k: int
    table: pd.DataFrame
    ratios: pd.DataFrame
    differences: pd.DataFrame

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that somebody is in, all users first."""
        return tuple(self.table["segment"].drop_duplicates())

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = ALL) -> Difference:
        """How a model differs from a baseline on the same users; KeyError if it was not measured."""
        asked = "model == @model and baseline == @baseline and metric == @metric and segment == @segment"
        found = self.differences.query(asked)
        if found.empty:
            raise KeyError(f"{metric} of {model} less that of {baseline} in segment {segment} was not measured")
        return Difference(**{str(name): value for name, value in found.iloc[0].items()})

    def value(self, model: str, metric: str = "ndcg", segment: str = ALL) -> float:
        """One figure; KeyError if it was not measured."""
        found = self.table.query("model == @model and metric == @metric and segment == @segment")
        if found.empty:
            raise KeyError(f"{metric} of {model} in segment {segment} was not measured")
        return float(found["value"].iloc[0])

    def markdown(self) -> str:
        """One row a model over all users, then NDCG by history, then the ratios."""
        return "\n\n".join([self._overall(), self._by_history(), self._compared()])

    def _overall(self) -> str:
        rows = self.table[self.table["segment"] == ALL]
        names = [f"{metric}@{self.k}" for metric in (*PER_USER, "coverage")]
        body = [
            [str(model), *map(_with_interval, some.itertuples())] for model, some in rows.groupby("model", sort=False)
        ]
        return _markdown(["model", *names], body)

    def _by_history(self) -> str:
        rows = self.table[(self.table["metric"] == "ndcg") & (self.table["segment"] != ALL)]
        body = [
            [str(model), *map(_with_interval, some.itertuples())] for model, some in rows.groupby("model", sort=False)
        ]
        sizes = rows.drop_duplicates("segment")
        names = [f"{row.segment} liked ({row.users} users)" for row in sizes.itertuples()]
        return _markdown([f"ndcg@{self.k}", *names], body)

    def _compared(self) -> str:
        rows = self.ratios[self.ratios["segment"] == ALL]
        body = [[f"{row.model} ÷ {row.baseline}", _with_interval(row, digits=2)] for row in rows.itertuples()]
        return _markdown([f"ndcg@{self.k}", "ratio"], body)


RATIO_COLUMNS = ["model", "baseline", "segment", "value", "low", "high"]


def evaluate(
    models: Sequence[Recommender], split: Split, params: EvaluationParams, *, baselines: Sequence[str]
) -> Evaluation:
    """Rank all books that are not in a user's training data, for a sample of the test users, with every model.

    Books that are unavailable now are ranked too: they were there when they were read.
    Raises DataError if nobody can be tested, KeyError if no model is named as one of `baselines`.
    """
    users = _sample(split.test_users, params)
    if not len(users):
        raise DataError("Nobody has enough liked books to hold some out. Load more events before evaluating.")
    figures = {model.name: _per_user(model, split, users, params.k) for model in models}
    segments = _segments(split.train.positives_per_user[users])
    means = {name: _resampled(per_user, segments, params) for name, (per_user, _) in figures.items()}
    shares = {name: share for name, (_, share) in figures.items()}
    table = pd.DataFrame([row for name in figures for row in _rows(name, means[name], segments, shares[name])])
    pairs = [(name, baseline) for baseline in baselines for name in figures if name != baseline]
    ratios = [row for name, baseline in pairs for row in _ratios(name, baseline, means)]
    differences = [row for name, baseline in pairs for row in _differences(name, baseline, means, segments)]
    return Evaluation(
        k=params.k,
        table=table,
        ratios=pd.DataFrame(ratios, columns=RATIO_COLUMNS),
        differences=pd.DataFrame(differences, columns=[each.name for each in fields(Difference)]),
    )


Means = Mapping[str, tuple[DoubleArray, DoubleArray]]
"""For each segment the mean of every metric (n_metrics,) and of every resample (resamples, n_metrics)."""


def _sample(users: IntArray, params: EvaluationParams) -> IntArray:
    if params.max_users is None or len(users) <= params.max_users:
        return users
    return np.sort(np.random.default_rng(params.seed).choice(users, params.max_users, replace=False))


def _per_user(model: Recommender, split: Split, users: IntArray, k: int) -> tuple[DoubleArray, float]:
    """Every metric of every user, shape (n_users, n_metrics), and the coverage."""
    books = top_k(model.scores, users, k=k, exclude=split.train.pairs()).books
    test = split.test[users]
    hits, relevant = metrics.hits_of(books, test), np.diff(test.indptr)
    per_user = np.column_stack([metric(hits, relevant) for metric in PER_USER.values()])
    return per_user, metrics.coverage(books, len(split.train.book_ids))


def _segments(history: IntArray) -> dict[str, BoolArray]:
    by_history = {name: (history >= low) & (history <= high) for name, (low, high) in SEGMENTS.items()}
    return {name: chosen for name, chosen in ({ALL: history >= 0} | by_history).items() if chosen.any()}


def _resampled(per_user: DoubleArray, segments: Mapping[str, BoolArray], params: EvaluationParams) -> Means:
    """The bootstrap of the mean (Efron 1979), with one seed: all models are compared on the same resampled users."""
    return {name: _bootstrap(per_user[chosen], params) for name, chosen in segments.items()}


def _bootstrap(values: DoubleArray, params: EvaluationParams) -> tuple[DoubleArray, DoubleArray]:
    random = np.random.default_rng(params.seed)
    draws = (random.integers(len(values), size=len(values)) for _ in range(params.resamples))
    means = [np.bincount(draw, minlength=len(values)) @ values / len(values) for draw in draws]
    return values.mean(axis=0), np.array(means).reshape(-1, values.shape[1])


def _rows(model: str, means: Means, segments: Mapping[str, BoolArray], share: float) -> Iterator[dict[str, Any]]:
    for segment, (value, draws) in means.items():
        low, high = _interval(draws)
        for number, metric in enumerate(PER_USER):
            found = {"value": value[number], "low": low[number], "high": high[number]}
            yield {"model": model, "segment": segment, "metric": metric, **found, "users": int(segments[segment].sum())}
        if segment == ALL:
            found = {"value": share, "low": np.nan, "high": np.nan}
            yield {"model": model, "segment": ALL, "metric": "coverage", **found, "users": int(segments[ALL].sum())}


def _ratios(model: str, baseline: str, means: Mapping[str, Means]) -> Iterator[dict[str, Any]]:
    ndcg = list(PER_USER).index("ndcg")
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = _interval(_divided(draws[:, ndcg], base_draws[:, ndcg]))
        ratio = float(_divided(value[ndcg], base_value[ndcg]))
        yield {"model": model, "baseline": baseline, "segment": segment, "value": ratio, "low": low, "high": high}


def _differences(
    model: str, baseline: str, means: Mapping[str, Means], segments: Mapping[str, BoolArray]
) -> Iterator[dict[str, Any]]:
    """The paired bootstrap: both models on the same resampled users, one less the other."""
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = _interval(draws - base_draws)
        users = int(segments[segment].sum())
        for number, metric in enumerate(PER_USER):
            found = {"value": value[number] - base_value[number], "low": low[number], "high": high[number]}
            yield {"model": model, "baseline": baseline, "metric": metric, "segment": segment, **found, "users": users}


def _divided(value: DoubleArray, base: DoubleArray) -> DoubleArray:
    """The ratio; 1 where both are zero: two models that find nothing are equally good."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((value == 0) & (base == 0), 1.0, value / base)


def _interval(draws: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """The middle 95 % of the resampled values (axis 0), by nearest rank so that an infinite ratio stays one."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0, method="nearest")
    return low, high


def _with_interval(row: Any, digits: int = 4) -> str:
    value = f"{row.value:.{digits}f}"
    return value if np.isnan(row.low) else f"{value} ({row.low:.{digits}f}–{row.high:.{digits}f})"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
