"""From a reader's best books to a list: not all of one kind, and what the publisher promotes at its place.

Belongs here: what concerns a list as a whole, the same for one reader and for all. Does not: which books may stand in it (rules.py),
trying out books at random (exploration.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from recsys_platform.recommender.arrays import AnyArray, BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.data.features import unit_rows
from recsys_platform.recommender.ranking.top_k import NONE, Allowed, Ranked

POOL = 100
"""Five lists of the usual length: room for other kinds of books, and still the best 1 % of a catalogue of 10,000."""


@dataclass(frozen=True)
class Reranking:
    """How a list is put together.

    `diversity`: weight of being unlike the books above against the score, 0 to 1. `most_of_a_category`: in one list, None for any
    number. `promoted`: book index by rank, from 1; a book that a reader may not be offered is left out of that reader's list. Promoted
    books do not count as one of their category. `pool`: of how many of the best books the next one is chosen; where they give out,
    as many more follow.
    """

    diversity: float = 0.0
    most_of_a_category: int | None = None
    promoted: Mapping[int, int] | None = None
    pool: int = POOL

    def __post_init__(self) -> None:
        """ValueError if a rank is below 1, a book is promoted twice or the pool is empty."""
        ranks, books = list(self.promoted or {}), list((self.promoted or {}).values())
        if min(ranks, default=1) < 1 or len(set(books)) < len(books):
            raise ValueError("A promoted book has one rank, from 1 on.")
        if self.pool < 1:
            raise ValueError(f"A pool holds at least one book, not {self.pool}.")

    @property
    def by_kind(self) -> bool:
        """Whether categories matter."""
        return bool(self.diversity) or self.most_of_a_category is not None

    @property
    def changes_nothing(self) -> bool:
        """Whether lists are the best books in their order."""
        return not self.by_kind and not self.promoted


def kinds_of(categories: Csr) -> Csr:
    """Categories (n_books, n_categories) as rows of length 1 to compare books by; a book without any is like no other."""
    kinds = unit_rows(categories).astype(np.float32)
    kinds.eliminate_zeros()
    return kinds


Offer = tuple[int, int, BoolArray]
"""A promoted book: its place, from 0, the book, and which rows of a block may be offered it."""


def offers(params: Reranking, rows: IntArray, allowed: Allowed) -> list[Offer]:
    """What is promoted to some rows, the best rank first."""
    promoted = sorted((params.promoted or {}).items())
    if not promoted:
        return []
    group = np.zeros(len(rows), np.int32) if allowed.group is None else allowed.group[rows]
    row, out = allowed.exclude[rows].nonzero() if allowed.exclude is not None else (rows[:0], rows[:0])
    return [
        (rank - 1, book, allowed.books[group, book] & _others(len(rows), row[out == book])) for rank, book in promoted
    ]


def _others(n_rows: int, some: IntArray) -> BoolArray:
    flags = np.ones(n_rows, dtype=bool)
    flags[some] = False
    return flags


def chosen(best: Ranked, k: int, kinds: Csr, params: Reranking, promoted: Sequence[Offer] = ()) -> Ranked:
    """Choose k books that are not promoted, one after another, by maximal marginal relevance (Carbonell & Goldstein 1998).

    The next book is the one with the largest (1 - d) · score - d · largest cosine to a book above it, among the first `pool` of
    `best`, whose scores are brought to 0 to 1; where these give out, among the next as many. A book whose category stands in the list
    often enough is passed over. So fewer are the beginning of more, and more whole pools in `best` only lengthen what was too short.
    `kinds`: of `kinds_of`. `promoted`: the `offers` to these rows.
    """
    places = np.full((len(best.rows), k), NONE, np.int32)
    most = np.iinfo(np.int32).max if params.most_of_a_category is None else params.most_of_a_category
    others = _without(best.books, promoted)
    scores = _zero_to_one(best.scores, params.pool)
    whose = (kinds.indptr, kinds.indices, kinds.data, np.zeros(kinds.shape[1], np.float32))
    _choose(others, scores, whose, float(params.diversity), most, params.pool, places)
    at = np.maximum(places, 0)
    books = np.where(places == NONE, NONE, np.take_along_axis(best.books, at, axis=1)).astype(np.int32)
    values = np.where(places == NONE, np.float32(-np.inf), np.take_along_axis(best.scores, at, axis=1))
    return Ranked(best.rows, books, values)


def with_promoted(lists: Ranked, promoted: Sequence[Offer]) -> Ranked:
    """Lists of other books with one promoted book after another at its rank; no score (NaN) led to it."""
    books, scores = lists.books, lists.scores
    for place, book, may in promoted:
        books, scores = _inserted(books, scores, place, book, may)
    return Ranked(lists.rows, books, scores)


def _zero_to_one(scores: FloatArray, pool: int) -> FloatArray:
    """Scores with those of the first pool between 0 and 1, those of later ones below."""
    known, first = np.isfinite(scores), scores[:, :pool]
    low = np.where(known[:, :pool], first, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(known[:, :pool], first, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(known, (np.where(known, scores, 0) - low) / span, 0), dtype=np.float32)


@njit(cache=True)
def _choose(
    books: AnyArray, scores: AnyArray, kinds: Any, diversity: float, most: int, pool: int, places: AnyArray
) -> None:
    """Fill `places` (m, k) with columns of `books`; `kinds`: what a CSR matrix consists of, and room for a row of zeros."""
    starts, names, _, room = kinds
    width = books.shape[1]
    for row in range(books.shape[0]):
        likeness = np.zeros(width, np.float32)
        passed = books[row] < 0
        count = np.zeros(len(room), np.int32)
        end = min(pool, width)
        for rank in range(places.shape[1]):
            best = _next(scores[row, :end], likeness, passed, diversity)
            while best < 0 and end < width:
                end = min(end + pool, width)
                best = _next(scores[row, :end], likeness, passed, diversity)
            if best < 0:
                break
            places[row, rank] = best
            passed[best] = True
            for entry in range(starts[books[row, best]], starts[books[row, best] + 1]):
                count[names[entry]] += 1
            _take_account(books[row], books[row, best], kinds, count, most, likeness, passed)


@njit(cache=True)
def _next(scores: AnyArray, likeness: AnyArray, passed: AnyArray, diversity: float) -> int:
    best, value = -1, -np.inf
    for candidate in range(len(scores)):
        worth = (1 - diversity) * scores[candidate] - diversity * likeness[candidate]
        if not passed[candidate] and worth > value:
            best, value = candidate, worth
    return best


@njit(cache=True)
def _take_account(
    books: AnyArray, last: int, kinds: Any, count: AnyArray, most: int, likeness: AnyArray, passed: AnyArray
) -> None:
    """Of the book chosen last: who is like it, and whose category is full now."""
    starts, names, values, own = kinds
    for entry in range(starts[last], starts[last + 1]):
        own[names[entry]] = values[entry]
    for candidate in range(len(books)):
        if not passed[candidate]:
            like, full = np.float32(0), False
            for entry in range(starts[books[candidate]], starts[books[candidate] + 1]):
                like += values[entry] * own[names[entry]]
                full = full or count[names[entry]] >= most
            likeness[candidate] = max(likeness[candidate], like)
            passed[candidate] = full
    for entry in range(starts[last], starts[last + 1]):
        own[names[entry]] = 0


def _without(books: IntArray, promoted: Sequence[Offer]) -> IntArray:
    """The books of each row, NONE instead of what is promoted to it: that has its place, and takes none of its category's."""
    for _, book, may in promoted:
        books = np.where((books == book) & may[:, None], np.int32(NONE), books)
    return books


def _inserted(
    books: IntArray, scores: FloatArray, place: int, book: int, may: BoolArray
) -> tuple[IntArray, FloatArray]:
    """The book at its place, or behind the last of a shorter list; those from there on one further down, the last given up."""
    to, count = np.arange(books.shape[1])[None, :], (books != NONE).sum(axis=1, keepdims=True)
    own = np.where(may[:, None], np.minimum(place, count), books.shape[1])
    source = to - (to > own)
    moved_books, moved_scores = (np.take_along_axis(each, source, axis=1) for each in (books, scores))
    here = to == own
    return np.where(here, np.int32(book), moved_books), np.where(here, np.float32(np.nan), moved_scores)
