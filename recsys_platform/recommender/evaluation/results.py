"""Stored evaluation results: two tables of the warehouse, by the hash of the data set.

Belongs here: writing results and reading them for the gate. Does not: the evaluation (evaluate.py), the gate (registry/gate.py).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from recsys_platform.recommender.evaluation.comparison import Difference, Task
from recsys_platform.recommender.evaluation.evaluate import ALL, Evaluation
from recsys_platform.warehouse.port import Warehouse

VALUES, DIFFERENCES = "ops.model_evaluations", "ops.model_differences"
_KEY = "data_hash"


@dataclass(frozen=True)
class StoredResults:
    """Stored results on one data set; implements `gate.EvaluationResults`."""

    values: pd.DataFrame
    differences: pd.DataFrame

    @property
    def task(self) -> Task:
        """The prediction task; the default for rows of an older version."""
        first = self.values.iloc[0]
        return Task(*(str(first[name]) if pd.notna(first[name]) else default for name, default in vars(Task()).items()))

    @property
    def segments(self) -> list[str]:
        """Names of all segments."""
        return [str(segment) for segment in self.values["segment"].unique()]

    @property
    def models(self) -> list[str]:
        """Names of the evaluated recipes."""
        return [str(model) for model in self.values["model"].unique()]

    @property
    def baselines(self) -> list[str]:
        """Names of the recipes that the others were compared with."""
        return [str(baseline) for baseline in self.differences["baseline"].unique()]

    def value(self, model: str, metric: str = "ndcg", segment: str = ALL) -> float:
        """Return the value of a metric. KeyError if it was not evaluated."""
        found = self.values.query("model == @model and metric == @metric and segment == @segment")
        if found.empty:
            raise KeyError(f"{metric} of {model} in segment {segment} was not evaluated")
        return float(found["value"].iloc[0])

    def metrics(self, model: str) -> Mapping[str, float]:
        """Return all metrics of a model over all readers."""
        found = self.values.query("model == @model and segment == @ALL")
        return dict(zip(found["metric"], found["value"].astype(float), strict=True))

    def difference(self, model: str, baseline: str, *, metric: str = "ndcg", segment: str = ALL) -> Difference:
        """Return a paired difference. KeyError if it was not evaluated."""
        condition = "model == @model and baseline == @baseline and metric == @metric and segment == @segment"
        found = self.differences.query(condition)
        if found.empty:
            raise KeyError(f"{metric} of {model} minus {baseline} in segment {segment} was not evaluated")
        row = found.iloc[0]
        figures = {name: float(row[name]) for name in ("value", "low", "high")}
        return Difference(model, baseline, metric, segment, **figures, users=int(row["users"]))


def store_evaluation(result: Evaluation, data_hash: str, warehouse: Warehouse, now: dt.datetime) -> None:
    """Store an evaluation, replacing an earlier one on the same data; an equal one that is the newest is left unchanged."""
    frames = {
        VALUES: result.table.assign(k=result.k, **vars(result.task), data_hash=data_hash),
        DIFFERENCES: result.differences.assign(data_hash=data_hash),
    }
    if all(_is_newest(table, frame, warehouse) for table, frame in frames.items()):
        return
    for table, frame in frames.items():
        rows = pa.Table.from_pandas(frame.assign(evaluated_at=now), preserve_index=False)
        warehouse.replace_rows(table, rows, key=_KEY, values=[data_hash])


def _is_newest(table: str, frame: pd.DataFrame, warehouse: Warehouse) -> bool:
    """Whether the newest rows of a table equal these, in any order, to nine digits."""
    newest = f"select * from {table} where evaluated_at = (select max(evaluated_at) from {table})"
    stored = warehouse.frame(newest).to_pandas()[list(frame.columns)]
    return _as_rows(stored) == _as_rows(frame)


def _as_rows(frame: pd.DataFrame) -> list[str]:
    return sorted(
        frame.round(9).astype(object).map(lambda value: "" if pd.isna(value) else str(value)).agg("|".join, axis=1)
    )


def stored_results(data_hash: str, warehouse: Warehouse) -> StoredResults | None:
    """Read the results on a data set; None if there are none."""
    values, differences = (
        warehouse.frame(f"select * from {table} where {_KEY} = ?", [data_hash]).to_pandas()
        for table in (VALUES, DIFFERENCES)
    )
    return None if values.empty else StoredResults(values, differences)


def evaluations_before(moment: dt.datetime, warehouse: Warehouse) -> list[str]:
    """Return the data sets whose evaluation is older than `moment` (UTC without offset), except the newest evaluation."""
    found = warehouse.frame(
        f"select {_KEY}, max(evaluated_at) as at from {VALUES} group by 1 order by 2 desc"
    ).to_pylist()
    return [row[_KEY] for row in found[1:] if row["at"] < moment]


def remove_evaluations(data_hashes: Sequence[str], warehouse: Warehouse) -> None:
    """Delete the evaluations on some data sets."""
    for table in (VALUES, DIFFERENCES):
        warehouse.replace_rows(table, None, key=_KEY, values=data_hashes)
