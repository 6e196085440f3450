"""The evaluation report: one self-contained HTML page.

Belongs here: the tables and the definitions of the metrics. Does not: the metrics (recommender/evaluation), the plots
(evaluation_plots.py).
"""

import base64
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recsys_platform.recommender.data.signals import Signal
from recsys_platform.recommender.evaluation.evaluate import ALL, COLD_BOOKS, COLD_START, REPORTED_METRICS, Evaluation
from recsys_platform.reports.choosers import chooser_text
from recsys_platform.reports.evaluation_plots import headline, narrow_plot

DEFINITIONS = (
    (
        "ndcg",
        "Hits count 1 / log2(rank + 1); divided by what an ideal list reaches, which has min(k, relevant) hits on top.",
    ),
    ("map", "The mean of the precision at each hit's rank, divided by min(k, relevant)."),
    ("precision, recall", "Hits divided by k; hits divided by all that is relevant."),
    ("hit_rate, mrr", "1 if there is any hit; 1 / rank of the first hit."),
    ("auc", "Share of (relevant, other) pairs of books in the right order, over the whole ranking."),
    ("coverage", "Share of the item catalog that is in at least one list."),
    ("novelty", "The mean of -log2 of the share of readers who liked a listed book, in bits."),
    ("diversity", "1 minus the mean cosine of the features of two listed books."),
    (
        "popularity_lift",
        "How much more popular listed books are than those the reader liked before, in shares of the item catalog.",
    ),
    ("ndcg_unfiltered", "NDCG if the books of a reader's training data are ranked too."),
    ("cold books", "Only books that nobody liked in training count; readers who liked one of them."),
)

_GATE = ("<!-- gate -->", "<!-- /gate -->")
"""Markers around the part of the page that changes with promotion."""


@dataclass(frozen=True)
class Figure:
    """A table cell; `best`: the highest value of its column, where higher is better."""

    text: str
    interval: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """The metrics of one model."""

    name: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Table:
    """A table: title, corner cell, column heads and rows."""

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[Row]
    note: str = ""


REPORT = "reports/evaluation.html"
"""Its key in the hub."""


def evaluation_page(
    result: Evaluation,
    *,
    plot: bytes,
    baseline: str,
    data_hash: str,
    recipes: Mapping[str, Any],
    window: tuple[Any, Any] | None,
    now: dt.datetime,
    signal: Signal | None = None,
) -> str:
    """The page, as text; its first sentence compares with the variant `baseline`.

    `plot`: the PNG of `evaluation_plot`. `signal`: what was learned, and of which events.
    """
    page: str = _load_template("evaluation.html").render(
        day=f"{now:%Y-%m-%d %H:%M} UTC",
        data_hash=data_hash[:12],
        protocol=result.protocol,
        cold_start_readers=_count_cold_start_readers(result),
        window=[str(moment)[:10] for moment in window] if window else None,
        headline=headline(result, baseline),
        k=result.k,
        plot=base64.b64encode(plot).decode(),
        narrow_plot=base64.b64encode(narrow_plot(result)).decode(),
        tables=list(_page_tables(result)),
        signal=signal or Signal(result.task.verb),
        definitions=DEFINITIONS,
        recipes=[(name, _parameter_text(recipe)) for name, recipe in recipes.items()],
    )
    return page


def with_gate(page: str, *, roles: Sequence[Any], decisions: Sequence[Any], why_nothing: str, is_of_today: bool) -> str:
    """Return the page with the live models and the gate's decisions, replacing an earlier state of that part.

    `roles`: of production and challenger, as in `published.model_roles`. `why_nothing`: the reason if there are no decisions.
    """
    rendered = _load_template("gate.html").render(
        roles=roles,
        decisions=decisions,
        why_nothing=why_nothing,
        others=not is_of_today,
        chooser_text=chooser_text,
    )
    before, _, rest = page.partition(_GATE[0])
    return f"{before}{_GATE[0]}{rendered}{_GATE[1]}{rest.partition(_GATE[1])[2]}" if rest else page


def _load_template(name: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("recsys_platform.reports")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)


def _count_cold_start_readers(result: Evaluation) -> int:
    """Number of test readers without history."""
    return (
        int(result.table.loc[result.table["segment"] == COLD_START, "users"].max())
        if COLD_START in result.segments
        else 0
    )


def _page_tables(result: Evaluation) -> Iterator[Table]:
    overall = result.table[result.table["segment"] == ALL]
    yield _pivot_table("Readers with history", overall, "metric", list(REPORTED_METRICS))
    yield _pivot_table(
        "NDCG by history",
        result.table[result.table["metric"] == "ndcg"],
        "segment",
        list(result.segments),
        note=_segment_sizes(result),
    )
    yield from _difference_tables(result)
    others = [name for name in overall["metric"].unique() if "@" in name or name == "ndcg_unfiltered"]
    yield _pivot_table("At other lengths, and unfiltered", overall, "metric", others)


def _pivot_table(title: str, rows: pd.DataFrame, by: str, columns: list[str], note: str = "") -> Table:
    found: dict[Any, Any] = {(row.model, getattr(row, by)): row for row in rows.itertuples()}
    models = [str(model) for model in rows["model"].unique()]
    best = {
        name: max((found[model, name].value for model in models if (model, name) in found), default=np.nan)
        for name in columns
    }
    lines = [
        Row(model, [_table_cell(found.get((model, name)), best[name], name) for name in columns]) for model in models
    ]
    return Table(title, "model", columns, lines, note)


def _table_cell(row: Any, best: float, column: str) -> Figure:
    if row is None:
        return Figure("")
    interval = "" if np.isnan(row.low) else f"{row.low:.4f} to {row.high:.4f}"
    return Figure(f"{row.value:.4f}", interval, best=bool(row.value == best) and column != "popularity_lift")


def _difference_tables(result: Evaluation) -> Iterator[Table]:
    against = result.differences["baseline"].isin(result.ratios["baseline"])
    rows = result.differences[(result.differences["metric"] == "ndcg") & against]
    for baseline, some in rows.groupby("baseline", sort=False):
        note = "Paired: both models on the same resampled readers. The gate requires an interval above 0."
        table = _pivot_table(f"NDCG minus that of {baseline}", some, "segment", list(result.segments), note=note)
        yield Table(table.title, table.corner, table.columns, table.rows, table.note)


def _segment_sizes(result: Evaluation) -> str:
    sizes = result.table.drop_duplicates("segment").set_index("segment")["users"]
    rendered = [f"{name} ({sizes[name]:,})" for name in result.segments]
    return f"Readers by how many books they had {result.task.verb} before: {', '.join(rendered)}; of {COLD_BOOKS} see below."


def _parameter_text(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in recipe.items())
