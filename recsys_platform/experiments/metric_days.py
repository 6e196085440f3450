"""Sums of the metrics of an experiment, by variant and day, from `marts.fct_experiment_metrics`.

Belongs here: which metrics there are, where values are limited, the sums as of the end of each day, for all readers or for a segment.
Does not: the statistics (statistics/), plans (plans.py), what a read-out says (readouts.py).

Each row of the query is what a day adds to the sums over readers; so one pass gives all days, and segments add up to all readers.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import ceil

import numpy as np
import pandas as pd

from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

PRE_DAYS = 14
"""Days of the pre-period: the variable `pre_period_days` of the dbt project."""
LIMIT_QUANTILE = 0.99
"""A limited metric is winsorised at this quantile of the readers who have any of it in the pre-period."""
NO_LIMIT = 1e15
SEGMENTS = ("tier", "language", "platform", "arrival")
"""What readers are told apart by, as it was on the day of their first answer."""
_DAYS, _LIMITS = (read_sql("recsys_platform.experiments", f"experiment_{name}") for name in ("days", "limits"))
_SUMS = [each.name for each in fields(Sums)]


@dataclass(frozen=True)
class MetricRule:
    """How a metric is read. `is_limited`: values of a reader are winsorised. `is_rare`: none at all may be chance."""

    higher_is_better: bool = True
    is_limited: bool = False
    is_rare: bool = False


METRICS: Mapping[str, MetricRule] = {
    "ctr": MetricRule(),
    "clicks": MetricRule(),
    "starts": MetricRule(),
    "finishes": MetricRule(),
    "saves": MetricRule(),
    "subscriptions": MetricRule(is_rare=True),
    "revenue": MetricRule(is_limited=True, is_rare=True),
    "empty_answers": MetricRule(higher_is_better=False),
    "fallback_share": MetricRule(higher_is_better=False),
}


@dataclass(frozen=True, eq=False)
class MetricDays:
    """One metric of one variant: sums as of the end of each day, the largest value of a reader before any limit, the last day with
    any value.
    """

    sums: Sums
    largest: float
    last_value: dt.date | None


@dataclass(frozen=True, eq=False)
class Measured:
    """What the days of an experiment add to the sums: `rows` by variant, segment, metric and day; `limits` by limited metric."""

    rows: pd.DataFrame
    days: tuple[dt.date, ...]
    limits: Mapping[str, float]

    @cached_property
    def _totals(self) -> pd.DataFrame:
        keys = ["variant", "metric", "metric_on"]
        added = self.rows.groupby(keys)[_SUMS].sum()
        return added.join(self.rows.groupby(keys)["largest"].max()).reset_index()

    def of(self, metric: str, variant: str) -> MetricDays:
        """The sums of a metric over all readers of a variant."""
        rows = self._totals[(self._totals["metric"] == metric) & (self._totals["variant"] == variant)]
        gained = rows.loc[rows["x"] > 0, "metric_on"]
        largest = float(rows["largest"].max()) if len(rows) else 0.0
        return MetricDays(self._sums_of(rows), largest, gained.max().date() if len(gained) else None)

    def segments_of(self, metric: str, variant: str, segment: str) -> dict[str, Sums]:
        """The sums of a metric over the readers of a variant by the values of a segment."""
        rows = self.rows[(self.rows["metric"] == metric) & (self.rows["variant"] == variant)]
        return {
            str(value): self._sums_of(some.groupby("metric_on", as_index=False)[_SUMS].sum())
            for value, some in rows.groupby(segment)
        }

    def _sums_of(self, rows: pd.DataFrame) -> Sums:
        """Add up from the first day on; what happened before the days of the plan counts too."""
        first = min([self.days[0], *(moment.date() for moment in rows["metric_on"])])
        every_day = pd.date_range(first, self.days[-1])
        added = rows.set_index("metric_on")[_SUMS].astype(np.float64).reindex(every_day, fill_value=0.0)
        return Sums(**{name: added[name].to_numpy().cumsum()[-len(self.days) :] for name in _SUMS})


def measure(
    warehouse: Warehouse,
    experiment: str,
    metrics: Sequence[str],
    days: Sequence[dt.date],
    *,
    planned_days: int | None = None,
) -> Measured:
    """Return the sums of some metrics of an experiment for days without a gap. `planned_days`: by which values are limited, so that
    the limit is the same on all days; by default the number of days.
    """
    limits = {
        name: limit
        for name in metrics
        if METRICS[name].is_limited
        and (limit := _limit_of(warehouse, experiment, name, planned_days or len(days))) is not None
    }
    limited, limit = next(iter(limits.items()), ("", NO_LIMIT))
    parameters = [experiment, days[-1], days[-1], limited, limit, experiment, days[-1], *metrics]
    rows = warehouse.frame(_DAYS.format(metrics=marks(metrics)), parameters).to_pandas()
    rows = rows.assign(metric_on=pd.to_datetime(rows["metric_on"])).astype(
        dict.fromkeys([*_SUMS, "largest"], np.float64)
    )
    return Measured(rows, tuple(days), limits)


def _limit_of(warehouse: Warehouse, experiment: str, metric: str, days: int) -> float | None:
    """The limit of a reader's value over the days; None if nobody had any in the pre-period."""
    found = warehouse.frame(_LIMITS.format(quantile=LIMIT_QUANTILE), [experiment, metric])["value_limit"][0].as_py()
    return None if found is None else float(found) * ceil(days / PRE_DAYS)
