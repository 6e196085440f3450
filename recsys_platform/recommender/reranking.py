"""From a reader's best books to a list: not all of one kind, and what the publisher promotes at its place.

Belongs here: what concerns a list as a whole, the same for one reader and for all. Does not: which books may stand in it (rules.py),
trying out books at random (exploration.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from recsys_platform.recommender.arrays import AnyArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.features import unit_rows
from recsys_platform.recommender.ranking import NONE, Allowed, Ranked


@dataclass(frozen=True)
class Reranking:
    """How a list is put together.

    `diversity`: weight of being unlike the books above against the score, 0 to 1. `most_of_a_category`: in one list, None for any
    number. `promoted`: book index by rank, from 1; a book that a reader may not be offered is left out of that reader's list. Promoted
    books do not count as one of their category.
    """

    diversity: float = 0.0
    most_of_a_category: int | None = None
    promoted: Mapping[int, int] | None = None

    def __post_init__(self) -> None:
        """ValueError if a rank is below 1 or a book is promoted twice."""
        ranks, books = list(self.promoted or {}), list((self.promoted or {}).values())
        if min(ranks, default=1) < 1 or len(set(books)) < len(books):
            raise ValueError("A promoted book has one rank, from 1 on.")


def rerank(pool: Ranked, k: int, categories: Csr, params: Reranking, *, allowed: Allowed | None = None) -> Ranked:
    """Choose k of each pool's books, one after another, by maximal marginal relevance (Carbonell & Goldstein 1998).

    The next book is the one with the largest (1 - d) · score - d · largest cosine to a book above it, scores brought to 0 to 1 within
    the pool. A book whose category stands in the list often enough is passed over. `categories`: (n_books, n_categories), above 0
    where a book has one. `allowed` says who may be offered which promoted book; all may if it is None. The score of a promoted book
    that is not in the pool is NaN.
    """
    unit = np.asarray(unit_rows(categories).toarray(), dtype=np.float32)
    places = np.full((len(pool.rows), k), NONE, np.int32)
    most = k if params.most_of_a_category is None else params.most_of_a_category
    _choose(pool.books, _zero_to_one(pool.scores), unit, float(params.diversity), most, places)
    at = np.maximum(places, 0)
    books = np.where(places == NONE, NONE, np.take_along_axis(pool.books, at, axis=1)).astype(np.int32)
    scores = np.where(places == NONE, np.float32(-np.inf), np.take_along_axis(pool.scores, at, axis=1))
    ranked = Ranked(pool.rows, books, scores)
    return _with_promoted(pool, ranked, params.promoted, allowed) if params.promoted else ranked


def _zero_to_one(scores: FloatArray) -> FloatArray:
    known = np.isfinite(scores)
    low = np.where(known, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(known, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(known, (np.where(known, scores, 0) - low) / span, 0), dtype=np.float32)


@njit(cache=True)
def _choose(books: AnyArray, scores: AnyArray, unit: AnyArray, diversity: float, most: int, places: AnyArray) -> None:
    for row in range(books.shape[0]):
        likeness = np.zeros(books.shape[1], np.float32)
        passed = books[row] < 0
        count = np.zeros(unit.shape[1], np.int32)
        for rank in range(places.shape[1]):
            best = _next(scores[row], likeness, passed, diversity)
            if best < 0:
                break
            places[row, rank] = best
            passed[best] = True
            own = unit[books[row, best]]
            count += own > 0
            _take_account(books[row], own, unit, count, most, likeness, passed)


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
    books: AnyArray, own: AnyArray, unit: AnyArray, count: AnyArray, most: int, likeness: AnyArray, passed: AnyArray
) -> None:
    """Of the book chosen last: who is like it, and whose category is full now."""
    for candidate in range(len(books)):
        if not passed[candidate]:
            other = unit[books[candidate]]
            likeness[candidate] = max(likeness[candidate], (other * own).sum())
            passed[candidate] = ((other > 0) & (count >= most)).any()


def _with_promoted(pool: Ranked, ranked: Ranked, promoted: Mapping[int, int], allowed: Allowed | None) -> Ranked:
    """The others first, in their order, then one promoted book after another at its rank, the best rank first."""
    offers = [(rank - 1, book, _may(pool.rows, book, allowed)) for rank, book in sorted(promoted.items())]
    books, scores = _without(ranked, offers)
    for place, book, may in offers:
        if place < books.shape[1]:
            books, scores = _inserted(books, scores, place, book, np.where(may, _score_of(pool, book), np.nan), may)
    return Ranked(ranked.rows, books, scores)


def _may(rows: IntArray, book: int, allowed: Allowed | None) -> AnyArray:
    if allowed is None:
        return np.ones(len(rows), dtype=bool)
    group = np.zeros(len(rows), np.int32) if allowed.group is None else allowed.group[rows]
    may = allowed.books[group, book]
    if allowed.exclude is not None:
        may = may & ~np.asarray(allowed.exclude[rows][:, [book]].toarray(), dtype=bool).ravel()
    return np.asarray(may)


def _without(ranked: Ranked, offers: Sequence[tuple[int, int, AnyArray]]) -> tuple[IntArray, FloatArray]:
    """The lists without what is promoted in each, those below moved up."""
    out = np.zeros(ranked.books.shape, dtype=bool)
    for _, book, may in offers:
        out |= (ranked.books == book) & may[:, None]
    order = np.argsort(out, axis=1, kind="stable")
    books, scores = (np.take_along_axis(each, order, axis=1) for each in (ranked.books, ranked.scores))
    gone = np.take_along_axis(out, order, axis=1)
    return np.where(gone, np.int32(NONE), books), np.where(gone, np.float32(-np.inf), scores)


def _score_of(pool: Ranked, book: int) -> FloatArray:
    """What the book scored in each pool, NaN where it is not in it."""
    score = np.where(pool.books == book, pool.scores, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isneginf(score), np.float32(np.nan), score)


def _inserted(
    books: IntArray, scores: FloatArray, place: int, book: int, score: FloatArray, may: AnyArray
) -> tuple[IntArray, FloatArray]:
    """The book at its place, or behind the last of a shorter list; those from there on one further down, the last given up."""
    to, count = np.arange(books.shape[1])[None, :], (books != NONE).sum(axis=1, keepdims=True)
    own = np.where(may[:, None], np.minimum(place, count), books.shape[1])
    source = to - (to > own)
    moved_books, moved_scores = (np.take_along_axis(each, source, axis=1) for each in (books, scores))
    here = to == own
    return np.where(here, np.int32(book), moved_books), np.where(here, score[:, None].astype(np.float32), moved_scores)
