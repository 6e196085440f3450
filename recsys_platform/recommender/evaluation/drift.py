"""How far readers, catalogue and scores have moved since a model was trained.

Belongs here: the population stability index, what it is computed of, what it means. Does not: when it is looked at (defs/), what is
done about it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, FloatArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.features import primary_language
from recsys_platform.recommender.errors import DataError
from recsys_platform.recommender.evaluation.search_score import sample
from recsys_platform.recommender.models.histories import histories_from, histories_of
from recsys_platform.recommender.models.trained import TrainedModel

BINS = 10
"""Of numbers: quantiles of the reference."""
NAMES = 20
"""Of names: the most frequent of the reference; all others are counted together."""
STABLE, DRIFTED = 0.1, 0.25
"""The customary limits (Siddiqi 2006, "Credit Risk Scorecards"): below the first stable, above the second drifted."""
DAYS = 28
"""How long before the newest interaction a window begins: whole weeks, so that weekends weigh alike."""
READERS = 1_000
"""Whose scores are compared: enough for an index that chance does not move."""

Marts = Mapping[str, pa.Table]
"""`fct_interactions` and `dim_books` by name, as of a day."""


@dataclass(frozen=True)
class Shift:
    """How far one thing moved: its index, of how many values each; `verdict` is stable, moves, drifted or too few."""

    area: str
    what: str
    psi: float
    reference: int
    current: int
    verdict: str


def drift(
    reference: Marts, current: Marts, *, days: int = DAYS, scores: tuple[AnyArray, AnyArray] | None = None
) -> pd.DataFrame:
    """One row a thing that may drift, with the columns of `Shift`.

    `reference`: the marts that the production model was trained on; `current`: those of now. Of each, the last `days` before its
    newest interaction are compared: windows of one length, seen at the same distance. `scores`: of one model
    version, of then and now. Raises DataError if a mart lacks a column or there are no interactions.
    """
    then, now = _window(reference, days), _window(current, days)
    shifts = [*_interactions(then, now), *_catalogue(reference, current)]
    if scores is not None:
        shifts.append(_of_numbers("scores", "score", *scores))
    return pd.DataFrame([vars(shift) for shift in shifts])


def best_scores(model: TrainedModel, data: Dataset, *, readers: int = READERS, seed: int = 0) -> FloatArray:
    """The best score of each reader of a data set, by what the reader liked of the books that the model knows, shape (n_readers,).

    `readers`: a seeded sample of those who liked anything. The data set may be of another day than the model's.
    """
    liked = sample(np.flatnonzero(data.positives_per_user).astype(np.int32), readers, seed)
    place = {book: at for at, book in enumerate(model.book_ids)}
    known = np.array([place.get(book, -1) for book in data.book_ids], dtype=np.int32)
    histories = histories_of(data).take(liked)
    of_each = [known[histories.books[begin:end]] for begin, end in pairwise(histories.starts)]
    mapped = histories_from([books[books >= 0].tolist() for books in of_each], len(model.book_ids))
    return np.asarray(model.model.fold_in(mapped).max(axis=1, initial=-np.inf))


def psi(reference: DoubleArray, current: DoubleArray) -> float:
    """Population stability index Σ (q - p) ln(q / p) of two histograms over the same bins (Lewis 1994, "Credit Scoring").

    `reference`, `current`: counts, shape (n_bins,). It is the symmetric divergence of Jeffreys (1946) between their shares p and q,
    which are smoothed after Laplace, (count + 1) ÷ (total + bins), so that an empty bin is no infinite drift. Bins empty in both
    are left out.
    """
    seen = (reference > 0) | (current > 0)
    p, q = (_shares(counts[seen]) for counts in (reference, current))
    return float((q - p) @ np.log(q / p))


def noise(reference: int, current: int, bins: int) -> float:
    """The index that chance alone gives: (bins - 1) (1/n + 1/m) on average (Yurdakul & Naranjo 2020), infinite without values."""
    return float("inf") if not (reference and current) else (bins - 1) * (1 / reference + 1 / current)


def number_counts(reference: AnyArray, current: AnyArray) -> tuple[DoubleArray, DoubleArray]:
    """Both histograms over at most `BINS` quantile bins of the reference; the outer ones are open.

    A value so frequent that it is several quantiles at once has a bin of its own.
    """
    edges, times = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]), return_counts=True)
    limits = np.unique(np.concatenate([edges, np.nextafter(edges[times > 1], -np.inf)]))
    then, now = (
        np.bincount(np.searchsorted(limits, values), minlength=len(limits) + 1) for values in (reference, current)
    )
    return then.astype(np.float64), now.astype(np.float64)


def name_counts(reference: Sequence[str], current: Sequence[str]) -> tuple[DoubleArray, DoubleArray]:
    """Both histograms over the `NAMES` most frequent names of the reference and all others together."""
    then, now = pd.Series(reference, dtype=object).value_counts(), pd.Series(current, dtype=object).value_counts()
    common = sorted(then.index, key=lambda name: (-then[name], name))[:NAMES]
    return tuple(  # type: ignore[return-value]
        np.append(found.reindex(common, fill_value=0), found.drop(common, errors="ignore").sum()).astype(np.float64)
        for found in (then, now)
    )


def verdict(index: float, *, expected: float) -> str:
    """What an index means; "too few" where chance alone is `expected` to give as much as would be a move."""
    if expected >= STABLE:
        return "too few"
    if index < STABLE:
        return "stable"
    return "moves" if index <= DRIFTED else "drifted"


def _shares(counts: DoubleArray) -> DoubleArray:
    return np.asarray((counts + 1) / (counts.sum() + len(counts)))


def _of_numbers(area: str, what: str, reference: AnyArray, current: AnyArray) -> Shift:
    then, now = (values[np.isfinite(values)].astype(np.float64) for values in (reference, current))
    if not len(then):
        return _shift(area, what, np.zeros(1), np.array([float(len(now))]))
    return _shift(area, what, *number_counts(then, now))


def _of_names(area: str, what: str, reference: Sequence[str], current: Sequence[str]) -> Shift:
    return _shift(area, what, *name_counts(reference, current))


def _shift(area: str, what: str, then: DoubleArray, now: DoubleArray) -> Shift:
    index, sizes = psi(then, now), (int(then.sum()), int(now.sum()))
    bins = int(((then > 0) | (now > 0)).sum())
    return Shift(area, what, index, *sizes, verdict(index, expected=noise(*sizes, bins)))


def _window(marts: Marts, days: int) -> pa.Table:
    """The interactions of the last days before the newest."""
    rows = marts["fct_interactions"]
    newest = pc.max(_column(marts, "fct_interactions", "last_at"))
    if not newest.is_valid:
        raise DataError("There are no interactions to compare: load events before looking for drift.")
    return rows.filter(
        pc.greater(rows["last_at"], pc.subtract(newest, pa.scalar(days * 86_400_000_000, pa.duration("us"))))
    )


def _interactions(then: pa.Table, now: pa.Table) -> Iterator[Shift]:
    both = ({"fct_interactions": then}, {"fct_interactions": now})
    weights = (_column(each, "fct_interactions", "weight").to_numpy() for each in both)
    actions = (_texts(_column(each, "fct_interactions", "last_action")) for each in both)
    activity = (
        pc.value_counts(_column(each, "fct_interactions", "user_id").combine_chunks()).field("counts").to_numpy()
        for each in both
    )
    yield _of_numbers("interactions", "weight", *weights)
    yield _of_names("interactions", "last action", *actions)
    yield _of_numbers("interactions", "books a reader", *activity)


def _catalogue(then: Marts, now: Marts) -> Iterator[Shift]:
    both = (then, now)
    languages = (primary_language(_column(each, "dim_books", "language")).tolist() for each in both)
    categories = (_texts(pc.list_flatten(_column(each, "dim_books", "categories"))) for each in both)
    yield _of_names("catalogue", "language", *languages)
    yield _of_names("catalogue", "category", *categories)
    yield _of_numbers("catalogue", "age in days", *(_ages(each) for each in both))


def _ages(marts: Marts) -> DoubleArray:
    """Days from publication to the newest interaction, of books whose day is known."""
    newest = pc.max(marts["fct_interactions"]["last_at"]).cast(pa.timestamp("us"))
    published = _column(marts, "dim_books", "published_at").drop_null().cast(pa.timestamp("us"))
    waited = pc.subtract(newest, published).cast(pa.int64())
    return np.asarray(waited, dtype=np.float64) / 86_400e6


def _texts(column: pa.ChunkedArray) -> list[str]:
    return [str(name) for name in column.cast(pa.string()).fill_null("").to_pylist()]


def _column(marts: Marts, mart: str, name: str) -> pa.ChunkedArray:
    table = marts[mart]
    if name not in table.column_names:
        raise DataError(f"{mart} has no column {name}: drift is computed of the marts as they are kept in the hub.")
    return table[name]
