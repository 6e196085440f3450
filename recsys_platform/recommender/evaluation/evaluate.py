"""How good models are on what was held out, and how sure that is.

Readers with history decide: `all` is all of them. Readers without any get the same from every model but for their interests, so they
are a segment of their own.

Belongs here: full ranking of the test users by several models, averages, bootstrap intervals, the tables people read.
Does not: the metrics (metrics.py), the figure (plots.py), what is promoted because of it.
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
from recsys_platform.recommender.evaluation.evaluator import OF_HITS, PerUser, Yardstick
from recsys_platform.recommender.evaluation.intervals import Means, interval, resamples_of
from recsys_platform.recommender.evaluation.search_score import sample
from recsys_platform.recommender.models.protocol import Recommender

ALL = "all"
"""The segment of all readers who liked something in training."""
NEWCOMERS = "0"
"""The segment of those who did not."""
COLD = "cold books"
"""The segment in which only books count that nobody liked in training, for those of `all` who liked one in the test."""
SEGMENTS = {NEWCOMERS: (0, 0), "1-4": (1, 4), "5-19": (5, 19), "20+": (20, np.inf)}
"""Users by how many books they liked in training, both ends included."""
SHOWN = (
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
"""What the table for people holds of all that is measured."""


@dataclass(frozen=True)
class EvaluationParams:
    """`max_users`: test on a seeded sample of so many users with history, and as many without; None for all.

    `resamples`: of the bootstrap. `ks`: measured besides k. `by`: what is held out: all after one `moment`, or each `reader`'s latest;
    by default the moment, where `enough` readers with history liked anything after it.
    """

    k: int = 10
    ks: tuple[int, ...] = (5, 20)
    by: Literal["auto", "moment", "reader"] = "auto"
    enough: int = ENOUGH_READERS
    max_users: int | None = None
    resamples: int = 500
    seed: int = 0


@dataclass(frozen=True)
class Evaluation:
    """`table`: model, segment, metric, value, low, high, users. `ratios`: model, baseline, segment, value, low, high.

    A ratio is the NDCG divided by the baseline's on the same users. `differences`: the fields of `Difference`, a row each, of every
    model against every other: whichever of them a person puts into production, the gate can compare with it.
    `low` to `high` is the 95 % interval; coverage has none (NaN). `readers`: with history, of whom some or all were tested.
    """

    k: int
    table: pd.DataFrame
    ratios: pd.DataFrame
    differences: pd.DataFrame
    task: Task = field(default_factory=Task)
    readers: int = 0

    @property
    def tested(self) -> int:
        """How many readers with history were tested."""
        return int(self.table.loc[self.table["segment"] == ALL, "users"].max())

    @property
    def protocol(self) -> str:
        """What was held out of whom, in one sentence."""
        of = (
            f"a seeded sample of {self.tested:,} of {self.readers:,}"
            if self.tested < self.readers
            else f"{self.tested:,}"
        )
        how = self.task.held_out or "what came after one moment for all is held out"
        return f"What {of} readers with history {self.task.verb} next: {how}."

    @property
    def segments(self) -> tuple[str, ...]:
        """The segments that somebody is in, all users first."""
        return tuple(self.table["segment"].drop_duplicates())

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that was measured."""
        return tuple(self.table["model"].drop_duplicates())

    @property
    def baselines(self) -> tuple[str, ...]:
        """Every model that the others were compared with."""
        return tuple(self.differences["baseline"].drop_duplicates())

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

    def with_values(self, values: Iterable[tuple[str, str, float]], segment: str) -> "Evaluation":
        """The same with more figures: model, metric and value, without interval, of one segment."""
        users = int(self.table.loc[self.table["segment"] == segment, "users"].max())
        rows = [
            {"model": model, "segment": segment, "metric": metric, "value": value, "users": users}
            for model, metric, value in values
        ]
        return replace(self, table=pd.concat([self.table, pd.DataFrame(rows)], ignore_index=True)) if rows else self

    def markdown(self) -> str:
        """One row a model over all users, then NDCG by history, then the ratios."""
        return "\n\n".join([self._overall(), self._by_history(), self._compared()])

    def _overall(self) -> str:
        rows = self.table[(self.table["segment"] == ALL) & self.table["metric"].isin(SHOWN)]
        body = [
            [str(model), *map(_with_interval, some.set_index("metric").loc[list(SHOWN)].itertuples())]
            for model, some in rows.groupby("model", sort=False)
        ]
        return _markdown([f"k = {self.k}", *SHOWN], body)

    def _by_history(self) -> str:
        rows = self.table[(self.table["metric"] == "ndcg") & (self.table["segment"] != ALL)]
        body = [
            [str(model), *map(_with_interval, some.itertuples())] for model, some in rows.groupby("model", sort=False)
        ]
        sizes = rows.drop_duplicates("segment")
        names = [f"{row.segment} ({row.users} users)" for row in sizes.itertuples()]
        return _markdown([f"ndcg@{self.k}", *names], body)

    def _compared(self) -> str:
        rows = self.ratios[self.ratios["segment"] == ALL]
        body = [[f"{row.model} ÷ {row.baseline}", _with_interval(row, digits=2)] for row in rows.itertuples()]
        return _markdown([f"ndcg@{self.k}", "ratio"], body)


Listener = Callable[[str, int, int], None]
"""Called with what begins or goes on, steps done, steps in all; both are 0 where something begins."""
NOBODY = "Nobody has enough liked books to hold some out. Load more events before evaluating."
RATIO_COLUMNS = ["model", "baseline", "segment", "value", "low", "high"]


def evaluate(
    models: Sequence[Recommender],
    split: Split,
    params: EvaluationParams,
    *,
    baselines: Sequence[str],
    listener: Listener | None = None,
) -> Evaluation:
    """Rank all books that are not in a user's training data, for a sample of the test users, with every model.

    Books that are unavailable now are ranked too: they were there when they were read.
    Raises DataError if no reader with history can be tested, KeyError if no model is named as one of `baselines`.
    """
    if not len(split.readers):
        raise DataError(NOBODY)
    users = np.union1d(*(sample(some, params.max_users, params.seed) for some in (split.readers, split.newcomers)))
    yardstick = Yardstick(split, users, params.k, params.ks)
    segments = _segments(split.train.positives_per_user[users], yardstick.has_cold)
    resamples = resamples_of(segments, params.resamples, params.seed)
    found = {}
    for place, model in enumerate(models, 1):
        if listener:
            listener(f"ranking with {model.name} for {len(users):,} readers ({place} of {len(models)})", 0, 0)
        found[model.name] = yardstick.measure(model)
    means = {name: resamples.means(_by_segment(each, segments)) for name, each in found.items()}
    sizes = {segment: int(chosen.sum()) for segment, chosen in segments.items()}
    rows = [
        row for name, each in found.items() for row in _rows(name, means[name], yardstick.names, sizes, each.coverage)
    ]
    pairs = [(name, baseline) for baseline in baselines for name in found if name != baseline]
    ratios = [row for name, baseline in pairs for row in _ratios(name, baseline, means)]
    differences = [row for name, other in permutations(found, 2) for row in _differences(name, other, means, sizes)]
    return Evaluation(
        k=params.k,
        table=pd.DataFrame(rows),
        ratios=pd.DataFrame(ratios, columns=RATIO_COLUMNS),
        differences=pd.DataFrame(differences, columns=[each.name for each in fields(Difference)]),
        task=task_of(split),
        readers=len(split.readers),
    )


def task_of(split: Split) -> Task:
    """What models are asked by a split."""
    since = f", since {split.why}" if split.why else ""
    own = "" if split.by == "moment" else f"each reader's own latest part is held out{since}"
    return Task(split.train.signal.verb, own)


def _segments(history: IntArray, has_cold: BoolArray) -> dict[str, BoolArray]:
    by_history = {name: (history >= low) & (history <= high) for name, (low, high) in SEGMENTS.items()}
    named = {ALL: history > 0} | by_history | {COLD: has_cold & (history > 0)}
    return {name: chosen for name, chosen in named.items() if chosen.any()}


def _by_segment(found: PerUser, segments: Mapping[str, BoolArray]) -> dict[str, DoubleArray]:
    return {name: (found.cold if name == COLD else found.values)[chosen] for name, chosen in segments.items()}


def _rows(
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


def _ratios(model: str, baseline: str, means: Mapping[str, Means]) -> Iterator[dict[str, Any]]:
    ndcg = list(OF_HITS).index("ndcg")
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = interval(_divided(draws[:, ndcg], base_draws[:, ndcg]))
        ratio = float(_divided(value[ndcg], base_value[ndcg]))
        yield {"model": model, "baseline": baseline, "segment": segment, "value": ratio, "low": low, "high": high}


def _differences(
    model: str, baseline: str, means: Mapping[str, Means], sizes: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """The paired bootstrap: both models on the same resampled users, one less the other."""
    for segment, (value, draws) in means[model].items():
        base_value, base_draws = means[baseline][segment]
        low, high = interval(draws - base_draws)
        for number, metric in enumerate(OF_HITS):
            found = {"value": value[number] - base_value[number], "low": low[number], "high": high[number]}
            named = {"model": model, "baseline": baseline, "metric": metric, "segment": segment}
            yield {**named, **found, "users": sizes[segment]}


def _divided(value: DoubleArray, base: DoubleArray) -> DoubleArray:
    """The ratio; 1 where both are zero: two models that find nothing are equally good."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((value == 0) & (base == 0), 1.0, value / base)


def _with_interval(row: Any, digits: int = 4) -> str:
    value = f"{row.value:.{digits}f}"
    return value if np.isnan(row.low) else f"{value} ({row.low:.{digits}f}–{row.high:.{digits}f})"


def _markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
