"""Drift: how far readers, item catalog and scores have moved since a model was trained.

Belongs here: the population stability index, its inputs and its interpretation. Does not: when it is checked (defs/).
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
"""Number of quantile bins for numbers."""
MAX_NAMES = 20
"""Number of most frequent names; all others are one bin."""
STABLE, DRIFTED = 0.1, 0.25
"""Usual thresholds (Siddiqi 2006, "Credit Risk Scorecards"): below the first stable, above the second drifted."""
WINDOW_DAYS = 28
"""Length of the compared windows: whole weeks, so that both have the same number of weekends."""
READERS = 1_000
"""Number of readers whose scores are compared."""

Marts = Mapping[str, pa.Table]
"""`fct_interactions` and `dim_books` of one snapshot, by name."""


@dataclass(frozen=True)
class Shift:
    """Drift of one quantity: index, number of values then and now, and `verdict`: stable, moves, drifted or too few."""

    area: str
    what: str
    psi: float
    reference: int
    current: int
    verdict: str


def drift(
    reference: Marts, current: Marts, *, days: int = WINDOW_DAYS, scores: tuple[AnyArray, AnyArray] | None = None
) -> pd.DataFrame:
    """Compare two snapshots; one row per quantity, with the columns of `Shift`.

    Args:
        reference: the marts that the production model was trained on.
        current: the marts of now.
        days: the window before the newest interaction of each snapshot that is compared.
        scores: scores of the same model version, then and now.

    Raises:
        DataError: a mart lacks a column, or there are no interactions.
    """
    then, now = _recent_interactions(reference, days), _recent_interactions(current, days)
    shifts = [*_interaction_shifts(then, now), *_catalog_shifts(reference, current)]
    if scores is not None:
        shifts.append(_of_numbers("scores", "score", *scores))
    return pd.DataFrame([vars(shift) for shift in shifts])


def best_scores(model: TrainedModel, data: Dataset, *, readers: int = READERS, seed: int = 0) -> FloatArray:
    """Return the best score of a sample of readers with likes, shape (n_readers,).

    Readers are folded in by the liked books that the model knows, so the data set may be of another day than the model's.
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
    which are smoothed after Laplace, (count + 1) ÷ (total + bins), so that an empty bin does not give infinite drift.
    Bins that are empty in both are left out.
    """
    seen = (reference > 0) | (current > 0)
    p, q = (_smoothed_shares(counts[seen]) for counts in (reference, current))
    return float((q - p) @ np.log(q / p))


def noise(reference: int, current: int, bins: int) -> float:
    """Expected index without drift: (bins - 1) (1/n + 1/m) (Yurdakul & Naranjo 2020); infinite without values."""
    return float("inf") if not (reference and current) else (bins - 1) * (1 / reference + 1 / current)


def number_counts(reference: AnyArray, current: AnyArray) -> tuple[DoubleArray, DoubleArray]:
    """Return both histograms over at most `BINS` quantile bins of the reference; the outer bins are open.

    A value that covers several quantiles gets its own bin.
    """
    edges, times = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]), return_counts=True)
    limits = np.unique(np.concatenate([edges, np.nextafter(edges[times > 1], -np.inf)]))
    then, now = (
        np.bincount(np.searchsorted(limits, values), minlength=len(limits) + 1) for values in (reference, current)
    )
    return then.astype(np.float64), now.astype(np.float64)


def name_counts(reference: Sequence[str], current: Sequence[str]) -> tuple[DoubleArray, DoubleArray]:
    """Return both histograms over the `MAX_NAMES` most frequent names of the reference and one bin for all others."""
    then, now = pd.Series(reference, dtype=object).value_counts(), pd.Series(current, dtype=object).value_counts()
    common = sorted(then.index, key=lambda name: (-then[name], name))[:MAX_NAMES]
    return tuple(  # type: ignore[return-value]
        np.append(found.reindex(common, fill_value=0), found.drop(common, errors="ignore").sum()).astype(np.float64)
        for found in (then, now)
    )


def verdict(index: float, *, expected: float) -> str:
    """Interpret an index; "too few" if the index `expected` without drift is already at the threshold."""
    if expected >= STABLE:
        return "too few"
    if index < STABLE:
        return "stable"
    return "moves" if index <= DRIFTED else "drifted"


def _smoothed_shares(counts: DoubleArray) -> DoubleArray:
    return np.asarray((counts + 1) / (counts.sum() + len(counts)))


def _of_numbers(area: str, what: str, reference: AnyArray, current: AnyArray) -> Shift:
    then, now = (values[np.isfinite(values)].astype(np.float64) for values in (reference, current))
    if not len(then):
        return _shift_of_counts(area, what, np.zeros(1), np.array([float(len(now))]))
    return _shift_of_counts(area, what, *number_counts(then, now))


def _of_names(area: str, what: str, reference: Sequence[str], current: Sequence[str]) -> Shift:
    return _shift_of_counts(area, what, *name_counts(reference, current))


def _shift_of_counts(area: str, what: str, then: DoubleArray, now: DoubleArray) -> Shift:
    index, sizes = psi(then, now), (int(then.sum()), int(now.sum()))
    bins = int(((then > 0) | (now > 0)).sum())
    return Shift(area, what, index, *sizes, verdict(index, expected=noise(*sizes, bins)))


def _recent_interactions(marts: Marts, days: int) -> pa.Table:
    """The interactions of the last days before the newest one."""
    rows = marts["fct_interactions"]
    newest = pc.max(_required_column(marts, "fct_interactions", "last_at"))
    if not newest.is_valid:
        raise DataError("There are no interactions to compare: load events before measuring drift.")
    return rows.filter(
        pc.greater(rows["last_at"], pc.subtract(newest, pa.scalar(days * 86_400_000_000, pa.duration("us"))))
    )


def _interaction_shifts(then: pa.Table, now: pa.Table) -> Iterator[Shift]:
    both = ({"fct_interactions": then}, {"fct_interactions": now})
    weights = (_required_column(each, "fct_interactions", "weight").to_numpy() for each in both)
    actions = (_as_texts(_required_column(each, "fct_interactions", "last_action")) for each in both)
    activity = (
        pc.value_counts(_required_column(each, "fct_interactions", "user_id").combine_chunks())
        .field("counts")
        .to_numpy()
        for each in both
    )
    yield _of_numbers("interactions", "weight", *weights)
    yield _of_names("interactions", "last action", *actions)
    yield _of_numbers("interactions", "books a reader", *activity)


def _catalog_shifts(then: Marts, now: Marts) -> Iterator[Shift]:
    both = (then, now)
    languages = (primary_language(_required_column(each, "dim_books", "language")).tolist() for each in both)
    categories = (_as_texts(pc.list_flatten(_required_column(each, "dim_books", "categories"))) for each in both)
    yield _of_names("catalogue", "language", *languages)
    yield _of_names("catalogue", "category", *categories)
    yield _of_numbers("catalogue", "age in days", *(_book_ages(each) for each in both))


def _book_ages(marts: Marts) -> DoubleArray:
    """Days from publication to the newest interaction, for books with a publication date."""
    newest = pc.max(marts["fct_interactions"]["last_at"]).cast(pa.timestamp("us"))
    published = _required_column(marts, "dim_books", "published_at").drop_null().cast(pa.timestamp("us"))
    waited = pc.subtract(newest, published).cast(pa.int64())
    return np.asarray(waited, dtype=np.float64) / 86_400e6


def _as_texts(column: pa.ChunkedArray) -> list[str]:
    return [str(name) for name in column.cast(pa.string()).fill_null("").to_pylist()]


def _required_column(marts: Marts, mart: str, name: str) -> pa.ChunkedArray:
    table = marts[mart]
    if name not in table.column_names:
        raise DataError(f"{mart} has no column {name}: drift needs the marts as stored in the hub.")
    return table[name]
