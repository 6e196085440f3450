"""What readers would have clicked under each published policy, from what chance has shown them.

Belongs here: which exposures may judge which lists, the model of clicks behind the doubly robust estimate, the report. Does not: the
estimators and their intervals (off_policy.py), the figure (plots.py).

The policy of a model shows, in each place, the book that the reader's published list has at that rank. An exposure judges it if

- no bot saw it;
- it came after the list was made. A later list has learnt from the click, and a clicked book that was finished is no longer on it. So
  every exposure is judged by the newest list that was made before it, of the versions that are kept: the live one and the one
  before. What is judged is a model as it was published then, retraining included, from the older of these versions on;
- every exposure of its day (UTC) has a possible propensity, above 0 and at most 1. Which of them lack one may depend on what was
  shown, so such days are left out whole;
- chance had a hand in its place, which is to say that its propensity is below 1. Where nothing was left to chance only the readers
  for whom a list agrees with the live one would speak for it, and they are not like the others;
- the reader has a list with a book at that rank.

All others are counted by why they are left out. What a list has at that rank but the draw could never give, such as the books in the
other places of the answer, is not judged either: `Estimate.coverage` says how much that leaves. A model that agrees with the
live one is therefore hardly judged by places that `lists/exploration.py` fills.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

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
"""SNIPS cuts weights at so many times their median: how large weights are depends on how many books were drawn from."""
FOLDS = 5
PRIOR = 20.0
"""A click rate is drawn to that of the place as if by so many exposures more."""
FEW_CLICKS = 10
"""Fewer clicks behind an estimate, and its interval, which takes a mean for normal, is too narrow: it held the truth in 91 to 93 % of
simulations with 8 clicks, in 94 to 95 % with 28."""

_FIGURES = ("estimator", "value", "95 %", "gain", "gain 95 %", "could be shown")

_LISTS = "select user_id, model, model_version, rank, book_id, generated_at from {relation}"
EDITIONS = """
    with lists as ({lists})
    select model, model_version, generated_at from lists group by 1, 2, 3 order by 1, 3, 2"""
KINDS = """
    select
        shown_on as day,
        case
            when is_bot then 'bot'
            when shown_at < ? then 'early'
            when propensity is null or propensity <= 0 or propensity > 1 then 'unknown'
            when propensity = 1 then 'certain'
            else 'chance'
        end as kind,
        count(*) as exposures
    from marts.fct_exposures
    group by 1, 2
    order by 1, 2"""
ROWS = """
    with

    lists as (
        {lists}
    ),

    made as (
        select generated_at from lists group by 1
    ),

    lasted as (
        select generated_at, lead(generated_at) over (order by generated_at) as replaced_at from made
    ),

    editions as (
        select lists.model, lasted.generated_at, lasted.replaced_at
        from lists
        inner join lasted on lists.generated_at = lasted.generated_at
        group by 1, 2, 3
    ),

    shown as (
        select request_id, visitor_id, user_id, book_id, position, propensity, is_clicked, shown_at
        from marts.fct_exposures
        where propensity < 1 and not coalesce(is_bot, false) and shown_on in ({days})
    )

    select
        editions.model,
        shown.visitor_id,
        shown.book_id,
        lists.book_id as listed_id,
        shown.position,
        shown.propensity,
        shown.is_clicked
    from shown
    inner join editions
        on shown.shown_at >= editions.generated_at
        and (editions.replaced_at is null or shown.shown_at < editions.replaced_at)
    left join lists
        on editions.model = lists.model
        and editions.generated_at = lists.generated_at
        and shown.user_id = lists.user_id
        and shown.position = lists.rank
    order by editions.model, shown.request_id, shown.visitor_id, shown.position, shown.book_id"""
"""A row an exposure by chance and model, with what the model's list of then has in that place; NULL for nothing."""


@dataclass(frozen=True)
class Judged:
    """One model: its estimates by ips, snips and doubly_robust, empty if its lists show nothing of what was shown.

    `exposures`: judged by so many. Left out: `unpublished`, because the newest lists of then had none of the model, and `unlisted`,
    because the reader has no list that long. `agreeing`: so many exposures show the book of the list, with `clicks` of them
    clicked. `versions`: of the model.
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
class Report:
    """What can be said of every published model. `used`: exposures by chance that may judge. `left_out`: exposures by why.

    `days`: left out whole, for want of possible propensities.
    """

    models: tuple[Judged, ...] = ()
    used: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    days: tuple[dt.date, ...] = ()

    @property
    def estimates(self) -> list[tuple[str, Estimate]]:
        """Model and estimate, all of them."""
        return [(each.model, estimate) for each in self.models for estimate in each.estimates]

    @property
    def why_nothing(self) -> str | None:
        """Why there is no estimate at all, in one sentence; None if there is one."""
        if self.estimates:
            return None
        if not self.models:
            return "No lists were published yet: there is no policy to judge."
        if self.used:
            return f"No published list has in that place what chance showed there (exposures: {self.used:,})."
        if not any(self.left_out.values()):
            return "There are no exposures yet: let the API log some `Recommendations Viewed` first."
        return f"No exposure can judge the published lists, all are left out: {_in_words(self)}."

    @property
    def headline(self) -> str:
        """Which model is surely clicked more than the others, in one sentence: by snips, intervals that do not touch.

        A model with few clicks is not compared: without any, its interval has no width at all.
        """
        enough = {each.model for each in self.models if each.clicks >= FEW_CLICKS}
        found = {model: each for model, each in self.estimates if each.estimator == "snips" and model in enough}
        if len(found) < 2:
            return "What readers would click, had a published list filled the places of chance"
        best = max(found, key=lambda model: found[model].low)
        others = [model for model in found if model != best]
        if any(found[best].low <= found[model].high for model in others):
            return "No published list is surely clicked more often than the others"
        return f"The lists of {best} would be clicked more often than those of {', '.join(others)}"


def judge_published(warehouse: Warehouse) -> Report:
    """Judge every model of `published.user_recommendations` by `marts.fct_exposures`; see above for what by."""
    versions = warehouse.published_versions("user_recommendations")
    lists = " union all ".join(_LISTS.format(relation=version.relation) for version in versions)
    editions = warehouse.frame(EDITIONS.format(lists=lists)).to_pandas() if versions else pd.DataFrame()
    if editions.empty:
        return Report()
    kinds = warehouse.frame(KINDS, [editions["generated_at"].min().to_pydatetime()]).to_pandas()
    report, days = _counted(kinds)
    rows = warehouse.frame(ROWS.format(lists=lists, days=marks(days)), days)
    of_models = {str(model): tuple(some.unique()) for model, some in editions.groupby("model")["model_version"]}
    models = (
        judged(model, rows.filter(pc.equal(rows["model"], model)), used=report.used, versions=of_model)
        for model, of_model in of_models.items()
    )
    return replace(report, models=tuple(models))


def judged(model: str, rows: pa.Table, *, used: int, versions: Sequence[str] = ()) -> Judged:
    """One model by its rows (`ROWS`), of `used` exposures that there are."""
    listed = rows.filter(pc.is_valid(rows["listed_id"]))
    agrees = pc.equal(listed["book_id"], listed["listed_id"]).to_numpy(zero_copy_only=False).astype(np.float64)
    clicks = int(agrees @ listed["is_clicked"].to_numpy().astype(np.float64))
    return Judged(
        model=model,
        versions=tuple(versions),
        exposures=len(listed),
        unpublished=used - len(rows),
        unlisted=len(rows) - len(listed),
        agreeing=int(agrees.sum()),
        clicks=clicks,
        estimates=_estimates(listed, exposures_of(listed, agrees), clicks) if agrees.any() else (),
    )


def predicted_clicks(rows: pa.Table) -> tuple[DoubleArray, DoubleArray]:
    """How likely the book that was shown and the one of the list are clicked in that place, each of shape (n_rows,).

    A click rate by place and book, drawn to that of the place, which is drawn to that of all: by the rows of visitors in other folds
    only, so that no row is predicted from itself or its reader (cross-fitting, Chernozhukov et al. 2018, "Double/debiased
    machine learning").
    """
    frame = rows.select(["visitor_id", "book_id", "listed_id", "position", "is_clicked"]).to_pandas()
    fold = (pd.util.hash_array(frame["visitor_id"].to_numpy(dtype=object)) % FOLDS).astype(np.int64)
    clicked = frame["is_clicked"].to_numpy(dtype=np.float64)
    place = pd.factorize(frame["position"])[0]
    book = pd.factorize(pd.concat([frame["book_id"], frame["listed_id"]]))[0]
    shown, listed = np.split(pd.factorize(np.tile(place, 2) * (book.max() + 1) + book)[0], 2)
    overall = _rates(np.zeros_like(place), np.zeros_like(place), fold, clicked, prior=np.zeros(len(frame)))
    of_place = _rates(place, place, fold, clicked, prior=overall)
    return _rates(shown, shown, fold, clicked, prior=of_place), _rates(shown, listed, fold, clicked, prior=of_place)


def _rates(seen: IntArray, asked: IntArray, fold: AnyArray, clicked: DoubleArray, *, prior: DoubleArray) -> DoubleArray:
    """Clicks an exposure of each key in `asked`, over the rows of other folds whose key is `seen`; all of shape (n_rows,)."""
    size = int(max(seen.max(), asked.max())) + 1

    def elsewhere(weights: DoubleArray) -> DoubleArray:
        table = np.bincount(seen * FOLDS + fold, weights, minlength=size * FOLDS).reshape(size, FOLDS)
        return np.asarray(table.sum(axis=1)[asked] - table[asked, fold])

    return (elsewhere(clicked) + PRIOR * prior) / (elsewhere(np.ones_like(clicked)) + PRIOR)


def _estimates(rows: pa.Table, exposures: Exposures, clicks: int) -> tuple[Estimate, ...]:
    shown, expected = predicted_clicks(rows)
    clip = CLIP * float(np.median(exposures.weight[exposures.weight > 0]))
    found = (ips(exposures), snips(exposures, clip=clip), doubly_robust(exposures, shown=shown, expected=expected))
    if clicks >= FEW_CLICKS:
        return found
    doubt = f"It rests on few clicks ({clicks}): the interval is too narrow."
    return tuple(replace(each, warnings=(doubt, *each.warnings)) for each in found)


def _counted(kinds: pd.DataFrame) -> tuple[Report, list[dt.date]]:
    """The report without models, and the days to judge by."""
    by_day = kinds.pivot_table(index="day", columns="kind", values="exposures", fill_value=0, aggfunc="sum")
    by_day = by_day.reindex(columns=["bot", "early", "unknown", "certain", "chance"], fill_value=0).astype(int)
    unknown = by_day["unknown"] > 0
    good, bad = by_day[~unknown], by_day[unknown]
    left_out = {
        "seen by bots": int(by_day["bot"].sum()),
        "shown before the oldest list that is kept was made": int(by_day["early"].sum()),
        "of days on which propensities are missing or impossible": int(
            bad[["unknown", "certain", "chance"]].to_numpy().sum()
        ),
        "where nothing was left to chance": int(good["certain"].sum()),
    }
    report = Report(used=int(good["chance"].sum()), left_out=left_out, days=tuple(_dates(bad.index)))
    return report, _dates(good.index[good["chance"] > 0])


def _dates(days: pd.Index) -> list[dt.date]:
    return [pd.Timestamp(day).date() for day in days]


def _in_words(report: Report) -> str:
    return "; ".join(f"{why} ({count:,})" for why, count in report.left_out.items() if count)


def as_frame(report: Report) -> pd.DataFrame:
    """One row a model and estimator, for people; a model that cannot be judged has one row that says so."""
    return pd.DataFrame([row for each in report.models for row in _rows_of(each)])


def _rows_of(each: Judged) -> list[dict[str, object]]:
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
        return [
            about | dict.fromkeys(_FIGURES, "") | {"doubts": "Its lists show none of the books that chance showed."}
        ]
    return [about | _figures(estimate) for estimate in each.estimates]


def _figures(each: Estimate) -> dict[str, object]:
    cells = (
        each.estimator,
        f"{each.value:.4f}",
        f"{each.low:.4f} to {each.high:.4f}",
        f"{each.gain:+.4f}",
        f"{each.gain_low:+.4f} to {each.gain_high:+.4f}",
        f"{each.coverage:.0%}",
    )
    return {**dict(zip(_FIGURES, cells, strict=True)), "doubts": " ".join(each.warnings)}
