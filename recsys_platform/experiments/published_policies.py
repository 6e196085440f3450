"""Off-policy evaluation of the published lists of each model.

Belongs here: which exposures are used for which lists, the click model of the doubly robust estimate, the report. Does not: the
estimators (off_policy.py), the plot (plots.py).

The policy of a model shows, at each position, the book at that rank of the reader's published list. An exposure is used if

- it was not seen by a bot;
- it is newer than the list. A later list has learnt from the click, and no longer holds a book that was finished. So each exposure is
  compared with the newest list before it, of the two stored versions: the live one and the previous one. The estimates are about the
  model as published then, retraining included;
- every exposure of its day (UTC) has a valid propensity, above 0 and at most 1. Missing propensities may depend on what was shown, so
  such days are left out completely;
- its propensity is below 1, so its position was explored. Without exploration only readers whose list agrees with the live one would
  count, and they differ from the others;
- it is the first of its draw at that position. The API keeps a draw until the reader does something that changes lists, so what is not
  wanted is shown more often than its propensity says: only the first showing is independent of the reader's answer;
- the reader has a list with a book at that rank.

All other exposures are counted by the reason why they are left out. A book that exploration could not draw, such as one at another
position of the response, is not evaluated: `Estimate.coverage` gives the share that is. So a model that agrees with the live one has
low coverage at explored positions (`lists/exploration.py`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.off_policy import (
    Estimate,
    Exposures,
    doubly_robust,
    exposures_of,
    ips,
    snips,
)
from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import marks

CLIP = 5.0
"""SNIPS clips weights at this multiple of their median, because weights grow with the size of the exploration pool."""
FOLDS = 5
PRIOR = 20.0
"""Prior strength of click rates, in exposures: rates are shrunk to the rate of their position."""
FEW_CLICKS = 10
"""With fewer clicks the interval, which assumes normality, is too narrow: its coverage was 91 to 93 % in simulations with 8 clicks and
94 to 95 % with 28."""

_CELL_NAMES = ("estimator", "value", "95 %", "gain", "gain 95 %", "could be shown")

_KINDS = ["bot", "early", "unknown", "certain", "repeated", "chance"]
_LISTS = "select user_id, model, model_version, rank, book_id, generated_at from {relation}"
EDITIONS = read_sql("recsys_platform.experiments", "editions")
KINDS = read_sql("recsys_platform.experiments", "exposure_kinds")
ROWS = read_sql("recsys_platform.experiments", "explored_exposures")
"""One row per explored exposure and model, with the book of the model's list at that position; NULL for none."""


@dataclass(frozen=True)
class PolicyEstimates:
    """Estimates of one model by ips, snips and doubly_robust; empty if its lists show none of the shown books.

    `exposures`: number of exposures used. Left out: `unpublished`, without lists of the model at that time, and `unlisted`, beyond the
    reader's list. `agreeing`: number of exposures that show the book of the list, `clicks` of them clicked. `versions`: of the model.
    """

    model: str
    versions: tuple[str, ...]
    exposures: int
    unpublished: int
    unlisted: int
    agreeing: int
    clicks: int
    estimates: tuple[Estimate, ...]


@dataclass(frozen=True)
class PolicyReport:
    """Estimates of every published model. `used`: number of explored exposures. `left_out`: number of exposures by reason.

    `days`: days left out because of invalid propensities.
    """

    models: tuple[PolicyEstimates, ...] = ()
    used: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    days: tuple[dt.date, ...] = ()

    @property
    def estimates(self) -> list[tuple[str, Estimate]]:
        """All pairs of model and estimate."""
        return [(each.model, estimate) for each in self.models for estimate in each.estimates]

    @property
    def why_nothing(self) -> str | None:
        """The reason why there is no estimate, in one sentence; None if there is one."""
        if self.estimates:
            return None
        if not self.models:
            return "No lists were published yet: there is no policy to evaluate."
        if self.used:
            return f"No published list has an explored book at its position (exposures: {self.used:,})."
        if not any(self.left_out.values()):
            return "There are no exposures yet: let the API log some `Recommendations Viewed` events first."
        return f"No exposure can be used for the published lists, all are left out: {_left_out_text(self)}."

    @property
    def headline(self) -> str:
        """The model that is clicked significantly more than the others, in one sentence: by disjoint intervals of snips.

        Models with few clicks are not compared, because an interval without clicks has no width.
        """
        enough = {each.model for each in self.models if each.clicks >= FEW_CLICKS}
        found = {model: each for model, each in self.estimates if each.estimator == "snips" and model in enough}
        if len(found) < 2:
            return "Estimated clicks of the published lists at explored positions"
        best = max(found, key=lambda model: found[model].low)
        others = [model for model in found if model != best]
        if any(found[best].low <= found[model].high for model in others):
            return "No list is clicked significantly more often than the others"
        return f"The lists of {best} would be clicked more often than those of {', '.join(others)}"


def evaluate_published(warehouse: Warehouse) -> PolicyReport:
    """Evaluate every model of `published.user_recommendations` on `marts.fct_exposures`, as described above."""
    versions = warehouse.published_versions("user_recommendations")
    lists = " union all ".join(_LISTS.format(relation=version.relation) for version in versions)
    editions = warehouse.frame(EDITIONS.format(lists=lists)).to_pandas() if versions else pd.DataFrame()
    if editions.empty:
        return PolicyReport()
    kinds = warehouse.frame(KINDS, [editions["generated_at"].min().to_pydatetime()]).to_pandas()
    report, days = _count_exposures(kinds)
    rows = warehouse.frame(ROWS.format(lists=lists, days=marks(days)), days)
    of_models = {str(model): tuple(some.unique()) for model, some in editions.groupby("model")["model_version"]}
    models = (
        evaluate_policy(model, rows.filter(pc.equal(rows["model"], model)), used=report.used, versions=of_model)
        for model, of_model in of_models.items()
    )
    return replace(report, models=tuple(models))


def evaluate_policy(model: str, rows: pa.Table, *, used: int, versions: Sequence[str] = ()) -> PolicyEstimates:
    """Evaluate one model on its rows (`ROWS`); `used`: number of explored exposures of all models."""
    listed = rows.filter(pc.is_valid(rows["listed_id"]))
    agrees = pc.equal(listed["book_id"], listed["listed_id"]).to_numpy(zero_copy_only=False).astype(np.float64)
    clicks = int(agrees @ listed["is_clicked"].to_numpy().astype(np.float64))
    return PolicyEstimates(
        model=model,
        versions=tuple(versions),
        exposures=len(listed),
        unpublished=used - len(rows),
        unlisted=len(rows) - len(listed),
        agreeing=int(agrees.sum()),
        clicks=clicks,
        estimates=_estimate_clicks(listed, exposures_of(listed, agrees), clicks) if agrees.any() else (),
    )


def predicted_clicks(rows: pa.Table) -> tuple[DoubleArray, DoubleArray]:
    """Predict the click probability of the shown and of the listed book at each position, each of shape (n_rows,).

    Click rates by position and book, shrunk to the rate of the position, which is shrunk to the overall rate; computed on the visitors
    of other folds only (cross-fitting, Chernozhukov et al. 2018, "Double/debiased machine learning").
    """
    frame = rows.select(["visitor_id", "book_id", "listed_id", "position", "is_clicked"]).to_pandas()
    fold = (pd.util.hash_array(frame["visitor_id"].to_numpy(dtype=object)) % FOLDS).astype(np.int64)
    clicked = frame["is_clicked"].to_numpy(dtype=np.float64)
    place = pd.factorize(frame["position"])[0]
    book = pd.factorize(pd.concat([frame["book_id"], frame["listed_id"]]))[0]
    shown, listed = np.split(pd.factorize(np.tile(place, 2) * (book.max() + 1) + book)[0], 2)
    overall = _click_rates(np.zeros_like(place), np.zeros_like(place), fold, clicked, prior=np.zeros(len(frame)))
    of_place = _click_rates(place, place, fold, clicked, prior=overall)
    return _click_rates(shown, shown, fold, clicked, prior=of_place), _click_rates(
        shown, listed, fold, clicked, prior=of_place
    )


def _click_rates(
    seen: IntArray, asked: IntArray, fold: AnyArray, clicked: DoubleArray, *, prior: DoubleArray
) -> DoubleArray:
    """Click rates of the keys in `asked`, over rows of other folds with that key in `seen`; all of shape (n_rows,)."""
    size = int(max(seen.max(), asked.max())) + 1

    def elsewhere(weights: DoubleArray) -> DoubleArray:
        table = np.bincount(seen * FOLDS + fold, weights, minlength=size * FOLDS).reshape(size, FOLDS)
        return np.asarray(table.sum(axis=1)[asked] - table[asked, fold])

    return (elsewhere(clicked) + PRIOR * prior) / (elsewhere(np.ones_like(clicked)) + PRIOR)


def _estimate_clicks(rows: pa.Table, exposures: Exposures, clicks: int) -> tuple[Estimate, ...]:
    shown, expected = predicted_clicks(rows)
    clip = CLIP * float(np.median(exposures.weight[exposures.weight > 0]))
    found = (ips(exposures), snips(exposures, clip=clip), doubly_robust(exposures, shown=shown, expected=expected))
    if clicks >= FEW_CLICKS:
        return found
    doubt = f"The estimate has few clicks ({clicks}): the interval is too narrow."
    return tuple(replace(each, warnings=(doubt, *each.warnings)) for each in found)


def _count_exposures(kinds: pd.DataFrame) -> tuple[PolicyReport, list[dt.date]]:
    """The report without models, and the days whose exposures are used."""
    by_day = kinds.pivot_table(index="day", columns="kind", values="exposures", fill_value=0, aggfunc="sum")
    by_day = by_day.reindex(columns=_KINDS, fill_value=0).astype(int)
    unknown = by_day["unknown"] > 0
    good, bad = by_day[~unknown], by_day[unknown]
    left_out = {
        "seen by bots": int(by_day["bot"].sum()),
        "shown before the oldest list that is kept was made": int(by_day["early"].sum()),
        "of days on which propensities are missing or impossible": int(
            bad[["unknown", "certain", "repeated", "chance"]].to_numpy().sum()
        ),
        "where nothing was left to chance": int(good["certain"].sum()),
        "that repeat what was drawn before": int(good["repeated"].sum()),
    }
    report = PolicyReport(used=int(good["chance"].sum()), left_out=left_out, days=tuple(_to_dates(bad.index)))
    return report, _to_dates(good.index[good["chance"] > 0])


def _to_dates(days: pd.Index) -> list[dt.date]:
    return [pd.Timestamp(day).date() for day in days]


def _left_out_text(report: PolicyReport) -> str:
    return "; ".join(f"{why} ({count:,})" for why, count in report.left_out.items() if count)


def as_frame(report: PolicyReport) -> pd.DataFrame:
    """Return the report as a table, one row per model and estimator; a model without estimates has one row that says so."""
    return pd.DataFrame([row for each in report.models for row in _rows_of(each)])


def _rows_of(each: PolicyEstimates) -> list[dict[str, object]]:
    about: dict[str, object] = {
        "model": each.model,
        "versions": ", ".join(each.versions),
        "exposures": f"{each.exposures:,}",
    }
    about |= {
        "not published then": f"{each.unpublished:,}",
        "no such rank": f"{each.unlisted:,}",
        "agreeing": f"{each.agreeing:,}",
    }
    if not each.estimates:
        return [about | dict.fromkeys(_CELL_NAMES, "") | {"doubts": "Its lists show none of the explored books."}]
    return [about | _estimate_cells(estimate) for estimate in each.estimates]


def _estimate_cells(each: Estimate) -> dict[str, object]:
    cells = (
        each.estimator,
        f"{each.value:.4f}",
        f"{each.low:.4f} to {each.high:.4f}",
        f"{each.gain:+.4f}",
        f"{each.gain_low:+.4f} to {each.gain_high:+.4f}",
        f"{each.coverage:.0%}",
    )
    return {**dict(zip(_CELL_NAMES, cells, strict=True)), "doubts": " ".join(each.warnings)}
