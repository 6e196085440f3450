"""Reranking: from the best books of a reader to a list with diversity, category caps and promoted books.

Belongs here: rules about a list as a whole. Does not: which books may be in it (rules.py), random exploration (exploration.py).
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
"""Five lists of the default length: room for other categories, and still the best 1 % of a catalog of 10,000 books."""


@dataclass(frozen=True)
class Reranking:
    """How candidates become a list.

    `diversity`: weight of dissimilarity to the books above against the score, 0 to 1. `most_of_a_category`: cap per list, None for no
    cap. `promoted`: book index by rank, from 1; left out for readers who may not be offered the book; not counted for the cap.
    `pool`: number of best books from which the next one is chosen; when they are used up, the pool is extended by as many.
    """

    diversity: float = 0.0
    most_of_a_category: int | None = None
    promoted: Mapping[int, int] | None = None
    pool: int = POOL

    def __post_init__(self) -> None:
        """Validate: ValueError if a rank is below 1, a book is promoted twice or the pool is empty."""
        ranks, books = list(self.promoted or {}), list((self.promoted or {}).values())
        if min(ranks, default=1) < 1 or len(set(books)) < len(books):
            raise ValueError("A promoted book must have exactly one rank, from 1 on.")
        if self.pool < 1:
            raise ValueError(f"pool must be at least 1, not {self.pool}.")

    @property
    def uses_categories(self) -> bool:
        """Whether categories are used."""
        return bool(self.diversity) or self.most_of_a_category is not None

    @property
    def changes_nothing(self) -> bool:
        """Whether lists are simply the best books in order."""
        return not self.uses_categories and not self.promoted


def category_vectors(categories: Csr) -> Csr:
    """Return categories (n_books, n_categories) as unit vectors; a book without categories is similar to no other."""
    kinds = unit_rows(categories).astype(np.float32)
    kinds.eliminate_zeros()
    return kinds


PromotedBook = tuple[int, int, BoolArray]
"""A promoted book: its position, from 0, the book, and flags of the rows that may be offered it."""


def promoted_books(params: Reranking, rows: IntArray, allowed: Allowed) -> list[PromotedBook]:
    """Return the promoted books for some rows, best rank first."""
    promoted = sorted((params.promoted or {}).items())
    if not promoted:
        return []
    group = np.zeros(len(rows), np.int32) if allowed.group is None else allowed.group[rows]
    row, out = allowed.excluded_pairs(rows)
    return [
        (rank - 1, book, allowed.books[group, book] & _all_except(len(rows), row[out == book]))
        for rank, book in promoted
    ]


def _all_except(n_rows: int, some: IntArray) -> BoolArray:
    flags = np.ones(n_rows, dtype=bool)
    flags[some] = False
    return flags


def rerank(best: Ranked, k: int, kinds: Csr, params: Reranking, promoted: Sequence[PromotedBook] = ()) -> Ranked:
    """Choose k books per row by maximal marginal relevance (Carbonell & Goldstein 1998), without promoted books.

    The next book has the largest (1 - d) · score - d · largest cosine to a book above it, among the first `pool` books of `best`, with
    scores scaled to 0 to 1; when the pool is used up it is extended. Books of a category at its cap are skipped. So a shorter list is
    the beginning of a longer one. `kinds`: of `category_vectors`. `promoted`: of `promoted_books`.
    """
    places = np.full((len(best.rows), k), NONE, np.int32)
    most = np.iinfo(np.int32).max if params.most_of_a_category is None else params.most_of_a_category
    others = _mask_promoted(best.books, promoted)
    scores = _zero_to_one(best.scores, params.pool)
    whose = (kinds.indptr, kinds.indices, kinds.data, np.zeros(kinds.shape[1], np.float32))
    _select_mmr(others, scores, whose, float(params.diversity), most, params.pool, places)
    at = np.maximum(places, 0)
    books = np.where(places == NONE, NONE, np.take_along_axis(best.books, at, axis=1)).astype(np.int32)
    values = np.where(places == NONE, np.float32(-np.inf), np.take_along_axis(best.scores, at, axis=1))
    return Ranked(best.rows, books, values)


def with_promoted(lists: Ranked, promoted: Sequence[PromotedBook]) -> Ranked:
    """Insert promoted books into lists at their ranks, with the score NaN."""
    books, scores = lists.books, lists.scores
    for place, book, allowed_rows in promoted:
        books, scores = _insert_book(books, scores, place, book, allowed_rows)
    return Ranked(lists.rows, books, scores)


def _zero_to_one(scores: FloatArray, pool: int) -> FloatArray:
    """Scale scores so that those of the first pool are between 0 and 1, later ones below."""
    known, first = np.isfinite(scores), scores[:, :pool]
    low = np.where(known[:, :pool], first, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(known[:, :pool], first, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1)
    return np.asarray(np.where(known, (np.where(known, scores, 0) - low) / span, 0), dtype=np.float32)


@njit(cache=True)
def _select_mmr(
    books: AnyArray, scores: AnyArray, kinds: Any, diversity: float, most: int, pool: int, places: AnyArray
) -> None:
    """Fill `places` (m, k) with columns of `books`. `kinds`: the arrays of a CSR matrix and a buffer of zeros."""
    starts, names, _, room = kinds
    width = books.shape[1]
    for row in range(books.shape[0]):
        likeness = np.zeros(width, np.float32)
        passed = books[row] < 0
        count = np.zeros(len(room), np.int32)
        end = min(pool, width)
        for rank in range(places.shape[1]):
            best = _best_candidate(scores[row, :end], likeness, passed, diversity)
            while best < 0 and end < width:
                end = min(end + pool, width)
                best = _best_candidate(scores[row, :end], likeness, passed, diversity)
            if best < 0:
                break
            places[row, rank] = best
            passed[best] = True
            for entry in range(starts[books[row, best]], starts[books[row, best] + 1]):
                count[names[entry]] += 1
            _update_similarities(books[row], books[row, best], kinds, count, most, likeness, passed)


@njit(cache=True)
def _best_candidate(scores: AnyArray, likeness: AnyArray, passed: AnyArray, diversity: float) -> int:
    best, value = -1, -np.inf
    for candidate in range(len(scores)):
        worth = (1 - diversity) * scores[candidate] - diversity * likeness[candidate]
        if not passed[candidate] and worth > value:
            best, value = candidate, worth
    return best


@njit(cache=True)
def _update_similarities(
    books: AnyArray, last: int, kinds: Any, count: AnyArray, most: int, likeness: AnyArray, passed: AnyArray
) -> None:
    """Update for the last chosen book: similarities of the candidates, and categories at their cap."""
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


def _mask_promoted(books: IntArray, promoted: Sequence[PromotedBook]) -> IntArray:
    """Replace promoted books by NONE: they have a fixed rank and do not count for the cap."""
    for _, book, allowed_rows in promoted:
        books = np.where((books == book) & allowed_rows[:, None], np.int32(NONE), books)
    return books


def _insert_book(
    books: IntArray, scores: FloatArray, place: int, book: int, allowed_rows: BoolArray
) -> tuple[IntArray, FloatArray]:
    """Insert a book at its position, or at the end of a shorter list; later books move down and the last one drops out."""
    to, count = np.arange(books.shape[1])[None, :], (books != NONE).sum(axis=1, keepdims=True)
    own = np.where(allowed_rows[:, None], np.minimum(place, count), books.shape[1])
    source = to - (to > own)
    moved_books, moved_scores = (np.take_along_axis(each, source, axis=1) for each in (books, scores))
    here = to == own
    return np.where(here, np.int32(book), moved_books), np.where(here, np.float32(np.nan), moved_scores)
