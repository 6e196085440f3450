"""An evaluation of models on the same held-out readers, as a notebook reads it.

Belongs here: tables, the gate's verdict and plots of an evaluation. Does not: the metrics and intervals (recommender/evaluation), the
rules of the gate (recommender/registry/gate.py).
"""

from dataclasses import dataclass, field

import pandas as pd

from recsys_platform.notebook.plot import Plot
from recsys_platform.recommender.evaluation.evaluate import ALL, SEGMENTS
from recsys_platform.recommender.registry.gate import EvaluationResults, GateParams, decide
from recsys_platform.reports.evaluation_plots import differences_plot

__all__ = ["Comparison"]

_METRICS = ("ndcg", "recall", "map", "hit_rate", "coverage", "novelty")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models that were trained on the same past and tested on the same readers.

    `k`: length of the ranked lists. `protocol`: what was asked of the models, in one sentence. `live`: the model that is live now;
    None if it was not evaluated. `values`: model, segment, metric, value, low, high, users. `differences`: model, baseline, metric,
    segment, value, low, high, users. `low` to `high` is a 95 % interval.
    """

    k: int
    protocol: str
    live: str | None
    values: pd.DataFrame = field(repr=False)
    differences: pd.DataFrame = field(repr=False)
    _results: EvaluationResults = field(repr=False)

    @property
    def models(self) -> list[str]:
        """The models, best NDCG first."""
        return [str(name) for name in self.table().index]

    def table(self, segment: str = ALL) -> pd.DataFrame:
        """Return a row for each model, best NDCG first, and a column for each metric; `interval` is that of the NDCG.

        `segment`: `all` for readers with history, `0` for those without, `1-4`, `5-19` and `20+` by books liked before, `cold books`.
        """
        rows = self.values[self.values["segment"] == segment]
        wide = rows.pivot(index="model", columns="metric", values="value")
        ndcg = rows[rows["metric"] == "ndcg"].set_index("model")
        wide.insert(
            0, "interval", [_interval_text(ndcg.loc[name, "low"], ndcg.loc[name, "high"]) for name in wide.index]
        )
        columns = ["ndcg", "interval", *(name for name in _METRICS[1:] if name in wide)]
        return wide.sort_values("ndcg", ascending=False)[columns].rename_axis(columns=None)

    def by_history(self, metric: str = "ndcg") -> pd.DataFrame:
        """Return a metric of each model by how many books the readers had liked before; in the names, the number of readers."""
        rows = self.values[(self.values["metric"] == metric) & self.values["segment"].isin([*SEGMENTS])]
        sizes = rows.drop_duplicates("segment").set_index("segment")["users"]
        wide = rows.pivot(index="model", columns="segment", values="value").loc[self.models, [*sizes.index]]
        return wide.rename(columns={name: f"{name} liked ({size:,})" for name, size in sizes.items()}).rename_axis(
            columns=None
        )

    def against(self, baseline: str, metric: str = "ndcg", segment: str = ALL) -> pd.DataFrame:
        """Return the difference of each model to a baseline on the same readers (paired), best first.

        `is_sure`: the interval does not include 0. KeyError if the baseline was not evaluated.
        """
        rows = self.differences
        chosen = rows[(rows["baseline"] == baseline) & (rows["metric"] == metric) & (rows["segment"] == segment)]
        if chosen.empty:
            raise KeyError(f"{baseline} was not evaluated; evaluated are {', '.join(self.models)}")
        found = chosen.set_index("model")[["value", "low", "high", "users"]].rename(columns={"value": "difference"})
        found["is_sure"] = (found["low"] > 0) | (found["high"] < 0)
        return found.sort_values("difference", ascending=False)

    def verdict(self, model: str) -> str:
        """Return whether the gate would put a model live now, and a line for each reason. A person can overrule it."""
        found = decide(model, self.live, self._results, GateParams())
        may = "may go live" if found.promote else "does not go live"
        return "\n".join([f"{model} {may}:", *(f"- {reason}" for reason in found.reasons)])

    def plot(self, baseline: str, metric: str = "ndcg") -> Plot:
        """Draw the paired difference of each model to a baseline with its interval."""
        return Plot(differences_plot(self.against(baseline, metric), baseline, f"{metric.upper()}@{self.k}"))


def _interval_text(low: float, high: float) -> str:
    return f"{low:.4f} to {high:.4f}"
