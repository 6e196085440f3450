"""A simulated experiment with a known effect: the marts that a read-out needs, in a file of their own.

Belongs here: readers of an experiment, what they do, rows of the marts. Does not: reading them (readouts.py), simulated readers who
use the API (simulation/, closed_loop/).

A reader has an own click rate, which the treatment multiplies, and comes back on some days. Most readers were there before: what they
did then is the pre-period.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

NAME = "simulated"
STARTS_ON = dt.date(2026, 1, 5)
CONTROL, TREATMENT = "control", "treatment"
MODELS = {CONTROL: ("lightfm", "production"), TREATMENT: ("blend", "challenger")}
"""The model of each variant, and its alias."""
_BOOKS = 10
_RETURNS = 0.3
_FINISHES_A_VISIT = 0.15
_ALIKE = 20.0
"""How alike the click rates of readers are: the sum of both parameters of a beta distribution."""
_TRAITS = {
    "tier": (("free", 0.7), ("premium", 0.3)),
    "language": (("en", 0.5), ("de", 0.3), ("fr", 0.2)),
    "platform": (("web", 0.5), ("ios", 0.3), ("android", 0.2)),
}


@dataclass(frozen=True)
class SimulatedExperiment:
    """How readers respond. `click_rate`: of the control, for a shown book. `lift`: of the click rate by the treatment, 0.08 for +8 %.

    `lost`: share of the readers of the treatment whose events are lost, as by an app that crashes.
    """

    readers: int = 6_000
    days: int = 14
    click_rate: float = 0.05
    lift: float = 0.08
    lost: float = 0.0
    seed: int = 2

    def definition(self) -> dict[str, Any]:
        """The experiment as it stands in `experiments.yaml`."""
        return {
            "hypothesis": "readers click more on the lists of the blend",
            "surfaces": ["home.for_you"],
            "variants": {name: {"model": alias, "weight": 50} for name, (_, alias) in MODELS.items()},
            "status": "stopped",
            "stopped_at": dt.datetime.combine(STARTS_ON, dt.time(), dt.UTC) + dt.timedelta(days=self.days),
            "plan": {
                "starts_on": STARTS_ON,
                "days": self.days,
                "primary": {"ctr": 0.05},
                "guardrails": {"finishes": 0.1},
            },
        }

    def write(self, warehouse: DuckDBWarehouse) -> None:
        """Write the marts of the experiment to a warehouse that has none."""
        readers = self._readers()
        visits = self._visits(readers)
        tables = {
            "fct_recommendation_requests": self._requests(visits),
            "fct_experiment_assignments": _assignments(readers),
            "fct_experiment_metrics": pd.concat([_metric_rows(readers, visits, name) for name in ("ctr", "finishes")]),
            "dim_users_history": _history(readers),
        }
        warehouse.prepare()
        with warehouse.connect() as con:
            for name, rows in tables.items():
                con.register("simulated", pa.Table.from_pandas(rows, preserve_index=False))
                con.execute(f"create table marts.{name} as from simulated")

    def _readers(self) -> pd.DataFrame:
        draw = np.random.default_rng([self.seed, 0])
        size = self.readers
        variants = np.where(draw.random(size) < 0.5, CONTROL, TREATMENT)
        known = draw.random(size) < 0.7
        rate = draw.beta(self.click_rate * _ALIKE, (1 - self.click_rate) * _ALIKE, size)
        shown_before = np.where(known, _BOOKS * (1 + draw.poisson(3, size)), 0)
        readers = pd.DataFrame(
            {
                "visitor_id": [f"s{number:06}" for number in range(size)],
                "variant": variants,
                "first_day": np.minimum(draw.geometric(0.25, size) - 1, self.days - 1),
                "rate": rate,
                "known": known,
                "pre_ctr_y": shown_before,
                "pre_ctr": draw.binomial(shown_before, rate),
                "pre_finishes": np.where(known, draw.poisson(4 * _FINISHES_A_VISIT, size), 0),
                "pre_finishes_y": known.astype(int),
                **{
                    name: draw.choice([value for value, _ in of], size, p=[p for _, p in of])
                    for name, of in _TRAITS.items()
                },
            }
        )
        is_lost = (readers["variant"] == TREATMENT) & (draw.random(size) < self.lost)
        return readers[~is_lost].reset_index(drop=True)

    def _visits(self, readers: pd.DataFrame) -> pd.DataFrame:
        """One row per reader and day of a visit: books shown and clicked, books finished."""
        draw = np.random.default_rng([self.seed, 1])
        days = np.arange(self.days)
        first = readers["first_day"].to_numpy()[:, None]
        comes = (days == first) | ((days > first) & (draw.random((len(readers), self.days)) < _RETURNS))
        rows, day = np.nonzero(comes)
        visits = readers.loc[rows, ["visitor_id", "variant", "rate"]].assign(day=day).reset_index(drop=True)
        rate = visits["rate"] * np.where(visits["variant"] == TREATMENT, 1 + self.lift, 1.0)
        shown = _BOOKS * (1 + draw.poisson(0.5, len(visits)))
        finishes = draw.poisson(_FINISHES_A_VISIT, len(visits))
        return visits.assign(ctr=draw.binomial(shown, np.minimum(rate, 1)), ctr_y=shown, finishes=finishes)

    def _requests(self, visits: pd.DataFrame) -> pd.DataFrame:
        """One row per visit, and one of the day after, on which no experiment runs any more."""
        models = visits["variant"].map({name: model for name, (model, _) in MODELS.items()})
        rows = pd.DataFrame(
            {"experiment": NAME, "variant": visits["variant"], "model": models, "model_version": models + "-v1"}
        ).assign(shown_on=_dates(visits["day"]))
        after = {"shown_on": STARTS_ON + dt.timedelta(days=self.days), "model": "blend", "model_version": "blend-v1"}
        return pd.concat([rows, pd.DataFrame([after])]).assign(answer_source="live", is_bot=False)


def _dates(days: "pd.Series[int]") -> "pd.Series[Any]":
    return days.map(lambda day: STARTS_ON + dt.timedelta(days=int(day)))


def _assignments(readers: pd.DataFrame) -> pd.DataFrame:
    """Rows of `marts.fct_experiment_assignments`."""
    model = readers["variant"].map({name: model for name, (model, _) in MODELS.items()})
    rows = readers[["visitor_id", "variant", "platform"]].assign(
        experiment=NAME, user_id=readers["visitor_id"], unit_id=readers["visitor_id"]
    )
    none = pd.Series(pd.NaT, index=readers.index, dtype="datetime64[us]")
    return rows.assign(
        model=model,
        is_bot=False,
        is_staff=False,
        is_returning=readers["known"],
        first_shown_on=_dates(readers["first_day"]),
        other_variant_on=none,
    )


def _metric_rows(readers: pd.DataFrame, visits: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of `marts.fct_experiment_metrics`; the denominator of a mean per reader is 1, on the reader's first day."""
    of_reader = readers.set_index("visitor_id")
    own = of_reader.loc[visits["visitor_id"]].reset_index(drop=True)
    is_first = (visits["day"] == own["first_day"]).to_numpy()
    denominator = visits["ctr_y"] if metric == "ctr" else pd.Series(is_first.astype(int))
    rows = pd.DataFrame({"numerator": visits[metric], "denominator": denominator}).astype(np.float64)
    before = rows.groupby(visits["visitor_id"]).cumsum() - rows
    return rows.assign(
        experiment=NAME,
        visitor_id=visits["visitor_id"],
        variant=visits["variant"],
        metric=metric,
        numerator_before=before["numerator"],
        denominator_before=before["denominator"],
        pre_numerator=own[f"pre_{metric}"].astype(np.float64),
        pre_denominator=own[f"pre_{metric}_y"].astype(np.float64),
        has_pre_period=own["known"],
        is_first_day=is_first,
        metric_on=_dates(visits["day"]),
    )


def _history(readers: pd.DataFrame) -> pd.DataFrame:
    """Rows of `marts.dim_users_history`: tier and language of each reader, valid all the time."""
    none = pd.Series(pd.NaT, index=readers.index, dtype="datetime64[us]")
    rows = readers[["tier", "language"]].assign(user_id=readers["visitor_id"])
    return rows.assign(valid_from=STARTS_ON - dt.timedelta(days=365), valid_to=none)
