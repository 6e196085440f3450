"""Build a data set from the marts.

Belongs here: which columns of `marts.fct_interactions`, `dim_users` and `dim_books` are read, and how missing ones are filled.
Does not: event weights (dbt), the signal to learn from if too few books are liked (signals.py), features (features.py).
"""

from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.recommender.arrays import BoolArray, IdArray, IntArray, TimeArray
from recsys_platform.recommender.data.dataset import Dataset, Interactions
from recsys_platform.recommender.data.features import (
    feature_matrix,
    language_values,
    list_values,
    period_values,
    primary_language,
    text_values,
    word_values,
)
from recsys_platform.recommender.data.signals import Signal, StrongestActions, learned_pairs
from recsys_platform.recommender.errors import DataError

Frame: TypeAlias = "pd.DataFrame | pa.Table"

REJECTIONS = {"Book Removed", "Recommendation Dismissed"}
USER_FEATURES = {
    "language": ("language", language_values),
    "country": ("country", text_values),
    "tier": ("tier", text_values),
    "interests": ("interest", list_values),
}
BOOK_FEATURES = {
    "language": ("language", language_values),
    "author": ("author", text_values),
    "categories": ("category", list_values),
    "published_at": ("period", period_values),
}

BOOK_WORDS = {"title": ("word", word_values)}


def build_dataset(interactions: Frame, users: Frame, books: Frame) -> Dataset:
    """Build a data set from tables with the columns of the marts; every user and book gets an index, with or without interactions.

    Users and books are sorted by id, interactions by user and book, so equal marts give equal data sets whatever their row order.
    Ids, `weight`, `is_positive`, `is_finished` and `last_at` are required. With `strongest_action` and its weight, a data set with
    too few likes falls back to its strongest signal (signals.py).

    Raises DataError if a required column or an id is missing, an id is duplicated, or a weight is not finite.
    """
    readers, catalog = _by_id(_to_arrow(users), "user_id", "users"), _by_id(_to_arrow(books), "book_id", "books")
    user_ids, book_ids = _object_array(readers["user_id"]), _object_array(catalog["book_id"])
    rows, signal, dropped = _interaction_rows(_to_arrow(interactions), readers["user_id"], catalog["book_id"])
    return Dataset(
        user_ids=user_ids,
        book_ids=book_ids,
        user_language=_language_column(readers),
        book_language=_language_column(catalog),
        available=_boolean_column(catalog, "is_available", missing=True),
        premium=_boolean_column(catalog, "is_premium", missing=False),
        is_free=_is_one_of(readers, "tier", {"free"}),
        user_features=feature_matrix(readers, USER_FEATURES),
        book_features=feature_matrix(catalog, BOOK_FEATURES),
        book_words=feature_matrix(catalog, BOOK_WORDS),
        interactions=rows,
        dropped=dropped,
        signal=signal,
    )


def _to_arrow(frame: Frame) -> pa.Table:
    return frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)


def _by_id(table: pa.Table, key: str, what: str) -> pa.Table:
    ids = _required_column(table, key, what).cast(pa.string())
    if ids.null_count:
        raise DataError(f"{ids.null_count} of the {what} have no {key}. Fix the mart before training.")
    if pc.count_distinct(ids).as_py() < len(ids):
        raise DataError(f"The {what} have a duplicate {key}. Fix the mart before training.")
    table = table.set_column(table.column_names.index(key), key, ids)
    return table.sort_by(key).combine_chunks()


def _interaction_rows(
    table: pa.Table, user_ids: pa.ChunkedArray, book_ids: pa.ChunkedArray
) -> tuple[Interactions, Signal, int]:
    user, book = _positions_of_ids(table, "user_id", user_ids), _positions_of_ids(table, "book_id", book_ids)
    weight = _required_column(table, "weight", "interactions").cast(pa.float32()).fill_null(0).to_numpy()
    if not np.isfinite(weight).all():
        raise DataError("An interaction's weight is not a finite number. Fix the event weights.")
    last_at = _to_datetimes(_required_column(table, "last_at", "interactions"))
    rows = Interactions(
        user=user,
        book=book,
        weight=weight,
        positive=_boolean_column(table, "is_positive", missing=False),
        finished=_boolean_column(table, "is_finished", missing=False),
        rejected=_is_one_of(table, "last_action", REJECTIONS) | (weight < 0),
        last_at=last_at,
        liked_at=_timestamps_or(table, "first_liked_at", last_at),
    )
    known = (user >= 0) & (book >= 0)
    rows, signal = _apply_signal(rows.where(known), _strongest_actions(table.filter(pa.array(known)), last_at[known]))
    return _sorted_rows(rows), signal, int((~known).sum())


def _apply_signal(rows: Interactions, strongest: StrongestActions | None) -> tuple[Interactions, Signal]:
    """Set `positive` and `liked_at` by the signal of this data set."""
    if strongest is None or not len(rows):
        return rows, Signal()
    found = learned_pairs(rows.user, rows.positive, rows.liked_at, rows.weight, strongest)
    since = np.where(found.positive, found.since, rows.last_at)
    return replace(rows, positive=found.positive, liked_at=since), found.signal


def _strongest_actions(table: pa.Table, last_at: TimeArray) -> StrongestActions | None:
    """The strongest action per pair; None if the table has no such columns."""
    if not {"strongest_action", "strongest_weight"} <= set(table.column_names):
        return None
    return StrongestActions(
        action=np.asarray(table["strongest_action"].cast(pa.string()).fill_null(""), dtype=object),
        weight=np.asarray(table["strongest_weight"].cast(pa.float64()).fill_null(0)),
        since=_timestamps_or(table, "first_strongest_at", last_at),
        first_at=_timestamps_or(table, "first_at", last_at),
    )


def _sorted_rows(rows: Interactions) -> Interactions:
    order = np.lexsort((rows.book, rows.user))
    rows = Interactions(**{name: array[order] for name, array in vars(rows).items()})
    if np.any((np.diff(rows.user) == 0) & (np.diff(rows.book) == 0)):
        raise DataError("The interactions have a duplicate pair of user and book. Fix the mart before training.")
    return rows


def _positions_of_ids(table: pa.Table, key: str, ids: pa.ChunkedArray) -> IntArray:
    """Positions in `ids`; -1 for null and unknown ids."""
    column = _required_column(table, key, "interactions").cast(pa.string())
    found = pc.index_in(column, value_set=ids.combine_chunks(), skip_nulls=True)
    return np.asarray(found.fill_null(-1), dtype=np.int32)


def _required_column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"The {what} have no column {name}. They have: {', '.join(table.column_names) or 'none'}.")
    return table[name]


def _to_datetimes(column: pa.ChunkedArray) -> TimeArray:
    """Times in microseconds, UTC; a missing time becomes 1970."""
    times = column.cast(pa.timestamp("us"))
    return np.asarray(times.fill_null(pa.scalar(0, pa.timestamp("us"))))


def _timestamps_or(table: pa.Table, name: str, otherwise: TimeArray) -> TimeArray:
    """Times of a column; `otherwise` if a value or the column is missing."""
    if name not in table.column_names:
        return otherwise
    column = table[name].cast(pa.timestamp("us"))
    return np.where(np.asarray(column.is_valid()), _to_datetimes(column), otherwise)


def _boolean_column(table: pa.Table, name: str, *, missing: bool) -> BoolArray:
    if name not in table.column_names:
        return np.full(len(table), missing)
    return np.asarray(table[name].cast(pa.bool_()).fill_null(missing))


def _is_one_of(table: pa.Table, name: str, values: set[str]) -> BoolArray:
    if name not in table.column_names:
        return np.zeros(len(table), dtype=bool)
    found = pc.is_in(table[name].cast(pa.string()), value_set=pa.array(sorted(values)))
    return np.asarray(found, dtype=bool)


def _language_column(table: pa.Table) -> IdArray:
    if "language" not in table.column_names:
        return np.full(len(table), "", dtype=object)
    return primary_language(table["language"])


def _object_array(column: pa.ChunkedArray) -> IdArray:
    return np.asarray(column, dtype=object)
