"""From scores to the best k books of each user.

Belongs here: the one path by which every model, batch or single user, evaluation or publishing, becomes lists.
Does not: where scores come from (models/), what the lists are for (lists.py, evaluation.py).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.errors import ModelError

Score = Callable[[IntArray], FloatArray]
"""From m rows (users, or whatever is ranked for) to fresh scores of shape (m, n_books); -inf is never ranked."""
NONE = -1
"""The book at a rank that could not be filled."""
BLOCK = 512
"""Rows scored at once: 20 MB for 10,000 books, and large enough for an efficient product."""


@dataclass(frozen=True)
class Ranked:
    """`books[i, r]` and `scores[i, r]` are the r-th best book of `rows[i]`; NONE and -inf where there are no more."""

    rows: IntArray
    books: IntArray
    scores: FloatArray


def top_k(
    score: Score,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | None = None,
    block: int = BLOCK,
) -> Ranked:
    """The best k of each row, best first, equal scores by ascending book index.

    `exclude`: matrix (all rows, n_books), stored entries are never ranked. `allowed`: flag a book, shape (n_books,).
    Raises ModelError if a score is not a number.
    """
    blocks = list(ranked_blocks(score, rows, k=k, exclude=exclude, allowed=allowed, block=block))
    if not blocks:
        return Ranked(rows, np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Ranked(
        rows, np.concatenate([part.books for part in blocks]), np.concatenate([part.scores for part in blocks])
    )


def ranked_blocks(
    score: Score,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | None = None,
    block: int = BLOCK,
) -> Iterator[Ranked]:
    """As `top_k`, a block of rows at a time, for results that should not be held at once."""
    for start in range(0, len(rows), block):
        some = rows[start : start + block]
        scores = score(some)
        if exclude is not None:
            _mask(scores, exclude, some)
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        yield _best(scores, some, k)


def _mask(scores: FloatArray, exclude: Csr, rows: IntArray) -> None:
    starts, stops = exclude.indptr[rows], exclude.indptr[rows + 1]
    for row, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        scores[row, exclude.indices[start:stop]] = -np.inf


def _best(scores: FloatArray, rows: IntArray, k: int) -> Ranked:
    width = min(k, scores.shape[1])
    books = _candidates(scores, width)
    values = np.take_along_axis(scores, books, axis=1)
    if np.isnan(values).any():
        raise ModelError("A model gave a score that is not a number. Train it again with a lower learning rate.")
    order = np.lexsort((books, -values), axis=1)
    books, values = np.take_along_axis(books, order, axis=1), np.take_along_axis(values, order, axis=1)
    books[np.isneginf(values)] = NONE
    padding = ((0, 0), (0, k - width))
    return Ranked(
        rows,
        np.pad(books, padding, constant_values=NONE).astype(np.int32),
        np.pad(values, padding, constant_values=-np.inf),
    )


def _candidates(scores: FloatArray, width: int) -> IntArray:
    """The `width` best columns of each row, in any order; of equal scores at the edge the first columns."""
    n_books = scores.shape[1]
    if width == n_books:
        return np.tile(np.arange(n_books, dtype=np.int32), (len(scores), 1))
    books = np.argpartition(scores, n_books - width - 1, axis=1)[:, n_books - width - 1 :].astype(np.int32)
    # The partition puts the best one outside first: a tie with it leaves the choice to chance, so choose again.
    values = np.take_along_axis(scores, books, axis=1)
    for row in np.flatnonzero(values[:, 1:].min(axis=1) == values[:, 0]):
        books[row, 1:] = _first_of_equals(scores[row], values[row, 0], width)
    return books[:, 1:]


def _first_of_equals(scores: FloatArray, edge: np.float32, width: int) -> IntArray:
    better = np.flatnonzero(scores > edge)
    return np.concatenate([better, np.flatnonzero(scores == edge)[: width - len(better)]])
