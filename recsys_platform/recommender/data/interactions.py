"""From the marts to a data set.

Belongs here: which columns of `marts.fct_interactions`, `dim_users` and `dim_books` are read and how missing ones are
filled. Does not: what an event weighs (dbt decides), what counts as liked where nothing does (signals.py), what a column becomes as a
feature (features.py).
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
    language,
    one,
    period,
    primary_language,
    several,
    words,
)
from recsys_platform.recommender.data.signals import Signal, Strongest, learned_pairs
from recsys_platform.recommender.errors import DataError

Frame: TypeAlias = "pd.DataFrame | pa.Table"

REJECTIONS = {"Book Removed", "Recommendation Dismissed"}
USER_FEATURES = {
    "language": ("language", language),
    "country": ("country", one),
    "tier": ("tier", one),
    "interests": ("interest", several),
}
BOOK_FEATURES = {
    "language": ("language", language),
    "author": ("author", one),
    "categories": ("category", several),
    "published_at": ("period", period),
}

BOOK_WORDS = {"title": ("word", words)}


def build_dataset(interactions: Frame, users: Frame, books: Frame) -> Dataset:
    """Arrays from frames with the columns of the marts; every user and book has an index, also without interactions.

    Users and books are sorted by id, interactions by user and book, so that equal marts give an equal data set in
    whatever order they were read. Only ids, `weight`, `is_positive`, `is_finished` and `last_at` must be there; with
    `strongest_action` and its weight, a world without enough liked books learns from its strongest signal.
    Raises DataError if one of them is not, if an id is missing or there twice, or a weight is not finite.
    """
    people, catalogue = _by_id(_arrow(users), "user_id", "users"), _by_id(_arrow(books), "book_id", "books")
    user_ids, book_ids = _objects(people["user_id"]), _objects(catalogue["book_id"])
    rows, signal, dropped = _rows(_arrow(interactions), people["user_id"], catalogue["book_id"])
    return Dataset(
        user_ids=user_ids,
        book_ids=book_ids,
        user_language=_languages(people),
        book_language=_languages(catalogue),
        available=_flags(catalogue, "is_available", missing=True),
        premium=_flags(catalogue, "is_premium", missing=False),
        is_free=_is_one_of(people, "tier", {"free"}),
        user_features=feature_matrix(people, USER_FEATURES),
        book_features=feature_matrix(catalogue, BOOK_FEATURES),
        book_words=feature_matrix(catalogue, BOOK_WORDS),
        interactions=rows,
        dropped=dropped,
        signal=signal,
    )


def _arrow(frame: Frame) -> pa.Table:
    return frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)


def _by_id(table: pa.Table, key: str, what: str) -> pa.Table:
    ids = _column(table, key, what).cast(pa.string())
    if ids.null_count:
        raise DataError(f"{ids.null_count} of the {what} have no {key}. Mend the mart before training.")
    if pc.count_distinct(ids).as_py() < len(ids):
        raise DataError(f"A {key} is there twice among the {what}. Mend the mart before training.")
    table = table.set_column(table.column_names.index(key), key, ids)
    return table.sort_by(key).combine_chunks()


def _rows(table: pa.Table, user_ids: pa.ChunkedArray, book_ids: pa.ChunkedArray) -> tuple[Interactions, Signal, int]:
    user, book = _index(table, "user_id", user_ids), _index(table, "book_id", book_ids)
    weight = _column(table, "weight", "interactions").cast(pa.float32()).fill_null(0).to_numpy()
    if not np.isfinite(weight).all():
        raise DataError("An interaction's weight is not a finite number. Mend the event weights.")
    last_at = _times(_column(table, "last_at", "interactions"))
    rows = Interactions(
        user=user,
        book=book,
        weight=weight,
        positive=_flags(table, "is_positive", missing=False),
        finished=_flags(table, "is_finished", missing=False),
        rejected=_is_one_of(table, "last_action", REJECTIONS) | (weight < 0),
        last_at=last_at,
        liked_at=_times_or(table, "first_liked_at", last_at),
    )
    known = (user >= 0) & (book >= 0)
    rows, signal = _learned(rows.where(known), _strongest(table.filter(pa.array(known)), last_at[known]))
    return _in_order(rows), signal, int((~known).sum())


def _learned(rows: Interactions, strongest: Strongest | None) -> tuple[Interactions, Signal]:
    """The rows with what counts as liked here."""
    if strongest is None or not len(rows):
        return rows, Signal()
    found = learned_pairs(rows.user, rows.positive, rows.liked_at, rows.weight, strongest)
    since = np.where(found.positive, found.since, rows.last_at)
    return replace(rows, positive=found.positive, liked_at=since), found.signal


def _strongest(table: pa.Table, last_at: TimeArray) -> Strongest | None:
    """None for interactions that do not say what was done."""
    if not {"strongest_action", "strongest_weight"} <= set(table.column_names):
        return None
    return Strongest(
        action=np.asarray(table["strongest_action"].cast(pa.string()).fill_null(""), dtype=object),
        weight=np.asarray(table["strongest_weight"].cast(pa.float64()).fill_null(0)),
        since=_times_or(table, "first_strongest_at", last_at),
        first_at=_times_or(table, "first_at", last_at),
    )


def _in_order(rows: Interactions) -> Interactions:
    order = np.lexsort((rows.book, rows.user))
    rows = Interactions(**{name: array[order] for name, array in vars(rows).items()})
    if np.any((np.diff(rows.user) == 0) & (np.diff(rows.book) == 0)):
        raise DataError("A user and book are there twice among the interactions. Mend the mart before training.")
    return rows


def _index(table: pa.Table, key: str, ids: pa.ChunkedArray) -> IntArray:
    """Positions in `ids`, -1 where the id is null or not among them."""
    column = _column(table, key, "interactions").cast(pa.string())
    found = pc.index_in(column, value_set=ids.combine_chunks(), skip_nulls=True)
    return np.asarray(found.fill_null(-1), dtype=np.int32)


def _column(table: pa.Table, name: str, what: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"The {what} have no column {name}. They have: {', '.join(table.column_names) or 'none'}.")
    return table[name]


def _times(column: pa.ChunkedArray) -> TimeArray:
    """Microseconds, UTC; a missing time counts as the oldest possible."""
    times = column.cast(pa.timestamp("us"))
    return np.asarray(times.fill_null(pa.scalar(0, pa.timestamp("us"))))


def _times_or(table: pa.Table, name: str, otherwise: TimeArray) -> TimeArray:
    """A column's times; the other ones where it has none or is not there."""
    if name not in table.column_names:
        return otherwise
    column = table[name].cast(pa.timestamp("us"))
    return np.where(np.asarray(column.is_valid()), _times(column), otherwise)


def _flags(table: pa.Table, name: str, *, missing: bool) -> BoolArray:
    if name not in table.column_names:
        return np.full(len(table), missing)
    return np.asarray(table[name].cast(pa.bool_()).fill_null(missing))


def _is_one_of(table: pa.Table, name: str, values: set[str]) -> BoolArray:
    if name not in table.column_names:
        return np.zeros(len(table), dtype=bool)
    found = pc.is_in(table[name].cast(pa.string()), value_set=pa.array(sorted(values)))
    return np.asarray(found, dtype=bool)


def _languages(table: pa.Table) -> IdArray:
    if "language" not in table.column_names:
        return np.full(len(table), "", dtype=object)
    return primary_language(table["language"])


def _objects(column: pa.ChunkedArray) -> IdArray:
    return np.asarray(column, dtype=object)
