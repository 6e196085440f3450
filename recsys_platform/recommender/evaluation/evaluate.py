"""Evaluate models on held-out interactions, with bootstrap confidence intervals.

The segment `all` is all readers with history. Readers without history get nearly the same list from every model, so they are a
separate segment.

Belongs here: full ranking of the test users by several models, means, intervals, the summary tables. Does not: the metrics
(metrics.py), plots (reports/evaluation_plots.py), promotion (registry/).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import permutations
from typing import Any, Literal

import numpy as np
import pandas as pd

from recsys_platform.recommender.arrays import BoolArray, DoubleArray, IntArray
from recsys_platform.recommender.data.splits import ENOUGH_READERS, Split
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.comparison import Difference, Task
from recsys_platform.recommender.evaluation.evaluator import HIT_METRICS, Evaluator, UserMetrics
from recsys_platform.recommender.evaluation.intervals import Means, interval, resamples_of
from recsys_platform.recommender.evaluation.search_score import sample
from recsys_platform.recommender.models.protocol import Recommender

ALL = "all"
"""The segment of all readers with likes in training."""
COLD_START = "0"
"""The segment of readers without likes in training."""
COLD_BOOKS = "cold books"
"""The segment of readers of `all` with a test book that nobody liked in training; only such books count as relevant."""
SEGMENTS = {COLD_START: (0, 0), "1-4": (1, 4), "5-19": (5, 19), "20+": (20, np.inf)}
"""Users by number of likes in training, both ends included."""
REPORTED_METRICS = (
    "ndcg",
    "map",
    "precision",
    "recall",
    "hit_rate",
    "mrr",
    "auc",
    "coverage",
    "novelty",
    "diversity",
    "popularity_lift",
)
"""Metrics in the summary table."""


@dataclass(frozen=True)
class EvaluationParams:
    """How to evaluate.

    `k`: length of the ranked lists; `ks`: further lengths. `by`: the split: all likes after one `moment`, or the latest of each
    `reader`; `auto` takes the moment if it gives `min_readers` test readers with history. `max_users`: evaluate a seeded sample of at
    most so many users with history, and as many without; None for all. `resamples`: number of bootstrap resamples.
    """

    k: int = 10
    ks: tuple[int, ...] = (5, 20)
    by: Literal["auto", "moment", "reader"] = "auto"
    min_readers: int = ENOUGH_READERS
    max_users: int | None = None
    resamples: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """Results of an evaluation as tables; `low` to `high` is the 95 % interval (NaN for coverage, which has none).

    `table`: model, segment, metric, value, low, high, users. `ratios`: model, baseline, segment, value, low, high; the NDCG divided
    by the baseline's on the same users. `differences`: the fields of `Difference`, for every pair of models, so that the gate can
    compare with any of them. `readers`: number of readers with history; all or a sample of them were tested.
    """

    k: int
    table: pd.DataFrame
    ratios: pd.DataFrame
    differences: pd.DataFrame
    task: Task = field(default_factory=Task)
    readers: int = 0

    @property
    def tested(self) -> int:
        """Number of readers with history that were tested."""
        return int(self.table.loc[self.table["segment"] == ALL, "users"].max())

    @property
    def protocol(self) -> str:
        """The test protocol in one sentence."""
        of = (
            f"a seeded sample of {self.tested:,} of {self.readers:,}"
            if self.tested < self.readers
            else f"{self.tested:,}"
        )
        how = self.task.held_out or "all likes after one time are held out"
        return f"What {of} readers with history {self.task.verb} next: {how}."

    @property
    def segments(self) -> tuple[str, ...]:
        """The non-empty segments, `all` first."""
        return tuple(self.table["segment"].drop_duplicates())

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the evaluated models."""
        return tuple(self.table["model"].drop_duplicates())

    @property
    def baselines(self) -> tuple[str, ...]:
        """Names of the models that the others were compared with."""
        return tuple(self.differences["baseline"].drop_duplicates())

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = ALL) -> Difference:
        """Return the paired difference of two models. KeyError if it was not evaluated."""
        condition = "model == @model and baseline == @baseline and metric == @metric and segment == @segment"
        found = self.differences.query(condition)
        if found.empty:
            raise KeyError(f"{metric} of {model} minus {baseline} in segment {segment} was not evaluated")
        return Difference(**{str(name): value for name, value in found.iloc[0].items()})

    def value(self, model: str, metric: str = "ndcg", segment: str = ALL) -> float:
        """Return the value of a metric. KeyError if it was not evaluated."""
        found = self.table.query("model == @model and metric == @metric and segment == @segment")
        if found.empty:
            raise KeyError(f"{metric} of {model} in segment {segment} was not evaluated")
        return float(found["value"].iloc[0])

    def with_values(self, values: Iterable[tuple[str, str, float]], segment: str) -> "Evaluation":
        """Return a copy with further values (model, metric, value) of one segment, without intervals."""
        users = int(self.table.loc[self.table["segment"] == segment, "users"].max())
        rows = [
            {"model": model, "segment": segment, "metric": metric, "value": value, "users": users}
            for model, metric, value in values
        ]
        return replace(self, table=pd.concat([self.table, pd.DataFrame(rows)], ignore_index=True)) if rows else self

    def markdown(self) -> str:
        """Return the summary as Markdown: metrics by model, NDCG by history, ratios."""
        return "\n\n".join([self._overall_table(), self._history_table(), self._ratio_table()])

    def _overall_table(self) -> str:
        rows = self.table[(self.table["segment"] == ALL) & self.table["metric"].isin(REPORTED_METRICS)]
        body = [
            [str(model), *map(_with_interval, some.set_index("metric").loc[list(REPORTED_METRICS)].itertuples())]
            for model, some in rows.groupby("model", sort=False)
        ]
        return _markdown_table([f"k = {self.k}", *REPORTED_METRICS], body)

    def _history_table(self) -> str:
        rows = self.table[(self.table["metric"] == "ndcg") & (self.table["segment"] != ALL)]
        body = [
            [str(model), *map(_with_interval, some.itertuples())] for model, some in rows.groupby("model", sort=False)
        ]
        sizes = rows.drop_duplicates("segment")
        names = [f"{row.segment} ({row.users} users)" for row in sizes.itertuples()]
        return _markdown_table([f"ndcg@{self.k}", *names], body)

    def _ratio_table(self) -> str:
        rows = self.ratios[self.ratios["segment"] == ALL]
        body = [[f"{row.model} ÷ {row.baseline}", _with_interval(row, digits=2)] for row in rows.itertuples()]
        return _markdown_table([f"ndcg@{self.k}", "ratio"], body)


OnProgress = Callable[[str, int, int], None]
"""Called with a text, steps done and steps in total; both are 0 when a step starts."""
NO_TEST_READERS = "No reader has enough liked books to hold some out. Load more events before evaluating."
RATIO_COLUMNS = ["model", "baseline", "segment", "value", "low", "high"]


def evaluate(
    models: Sequence[Recommender],
    split: Split,
    params: EvaluationParams,
    *,
    baselines: Sequence[str],
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Rank all books outside a user's training data with every model, unavailable ones too, and return the metrics.

    `split`: of `hold_out`; `models` are fitted on its `train`. `baselines`: models that the ratios compare with.
    Raises DataError if no reader with history can be tested, KeyError if a baseline is not among the models.
    """
    if not len(split.readers):
        raise DataError(NO_TEST_READERS)
    users = np.union1d(
        *(sample(some, params.max_users, params.seed) for some in (split.readers, split.cold_start_readers))
    )
    evaluator = Evaluator(split, users, params.k, params.ks)
    segments = _segment_flags(split.train.positives_per_user[users], evaluator.has_cold)
    resamples = resamples_of(segments, params.resamples, params.seed)
    found = _evaluate_models(models, evaluator, on_progress)
    means = {name: resamples.means(_by_segment(each, segments)) for name, each in found.items()}
    sizes = {segment: int(chosen.sum()) for segment, chosen in segments.items()}
    rows = [
        row
        for name, each in found.items()
        for row in _metric_rows(name, means[name], evaluator.names, sizes, each.coverage)
    ]
    pairs = [(name, baseline) for baseline in baselines for name in found if name != baseline]
    ratios = [row for name, baseline in pairs for row in _ratio_rows(name, baseline, means)]
    differences = [row for name, other in permutations(found, 2) for row in _difference_rows(name, other, means, sizes)]
    return Evaluation(
        k=params.k,
        table=pd.DataFrame(rows),
        ratios=pd.DataFrame(ratios, columns=RATIO_COLUMNS),
        differences=pd.DataFrame(differences, columns=[each.name for each in fields(Difference)]),
        task=task_of(split),
        readers=len(split.readers),
    )


def _evaluate_models(
    models: Sequence[Recommender], evaluator: Evaluator, on_progress: OnProgress | None
) -> dict[str, UserMetrics]:
    found = {}
    for number, model in enumerate(models, 1):
        if on_progress:
            readers = f"{len(evaluator.users):,} readers ({number} of {len(models)})"
            on_progress(f"ranking with {model.name} for {readers}", 0, 0)
        found[model.name] = evaluator.evaluate(model)
    return found


def task_of(split: Split) -> Task:
    """Return the prediction task of a split."""
    since = f", since {split.why}" if split.why else ""
    own = "" if split.by == "moment" else f"each reader's latest likes are held out{since}"
    return Task(split.train.signal.verb, own)


def _segment_flags(history: IntArray, has_cold: BoolArray) -> dict[str, BoolArray]:
    by_history = {name: (history >= low) & (history <= high) for name, (low, high) in SEGMENTS.items()}
    named = {ALL: history > 0} | by_history | {COLD_BOOKS: has_cold & (history > 0)}
    return {name: chosen for name, chosen in named.items() if chosen.any()}


def _by_segment(found: UserMetrics, segments: Mapping[str, BoolArray]) -> dict[str, DoubleArray]:
    return {name: (found.cold if name == COLD_BOOKS else found.values)[chosen] for name, chosen in segments.items()}


def _metric_rows(
    model: str, means: Means, names: Sequence[str], sizes: Mapping[str, int], coverage: float
) -> Iterator[dict[str, Any]]:
    for segment, (value, draws) in means.items():
        low, high = interval(draws)
        for number, metric in enumerate(names[: len(value)]):
            found = {"value": value[number], "low": low[number], "high": high[number]}
            yield {"model": model, "segment": segment, "metric": metric, **found, "users": sizes[segment]}
        if segment == ALL:
            found = {"value": coverage, "low": np.nan, "high": np.nan}
            yield {"model": model, "segment": ALL, "metric": "coverage", **found, "users": sizes[ALL]}


def _ratio_rows(model: str, baseline: str, means: Mapping[str, Means]) -> Iterator[dict[str, Any]]:
    ndcg = list(HIT_METRICS).index("ndcg")
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = interval(_safe_ratio(draws[:, ndcg], base_draws[:, ndcg]))
        ratio = float(_safe_ratio(value[ndcg], base_value[ndcg]))
        yield {"model": model, "baseline": baseline, "segment": segment, "value": ratio, "low": low, "high": high}


def _difference_rows(
    model: str, baseline: str, means: Mapping[str, Means], sizes: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Paired bootstrap: the difference of both models on the same resampled users."""
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = interval(draws - base_draws)
        for number, metric in enumerate(HIT_METRICS):
            found = {"value": value[number] - base_value[number], "low": low[number], "high": high[number]}
            named = {"model": model, "baseline": baseline, "metric": metric, "segment": segment}
            yield {**named, **found, "users": sizes[segment]}


def _safe_ratio(value: DoubleArray, base: DoubleArray) -> DoubleArray:
    """The ratio; 1 if both are zero, because two models without hits are equally good."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((value == 0) & (base == 0), 1.0, value / base)


def _with_interval(row: Any, digits: int = 4) -> str:
    value = f"{row.value:.{digits}f}"
    return value if np.isnan(row.low) else f"{value} ({row.low:.{digits}f}–{row.high:.{digits}f})"


def _markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
