"""Top-k selection: the best k books of each user, from scores.

Belongs here: the selection that evaluation, publishing and single requests share. Does not: scores (models/), the loops (kernels.py),
the use of the lists (lists/, evaluation/).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from threadpoolctl import ThreadpoolController

from recsys_platform.recommender.arrays import BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.ranking.kernels import best_of_row, rescore_exactly, score_all_exactly, update_heaps

ScoreFunction = Callable[[IntArray], FloatArray]
"""Maps m rows (users or other queries) to new scores of shape (m, n_books); -inf is never ranked."""
NONE = -1
"""The book at a rank that is not filled."""
BLOCK = 512
"""Rows scored at once: 20 MB for 10,000 books, large enough for an efficient product."""
TILE = 1024
"""Books scored at once: block and tile stay in a core's cache until they are ranked."""
WORKERS = 2
EXTRA_CANDIDATES = 6
"""Books beyond k whose scores are recomputed in double precision."""


def rows_at_once(n_books: int) -> int:
    """Return BLOCK, or fewer rows for a large item catalog: above 32 MB the allocator maps new memory each time."""
    return max(32, min(BLOCK, 4_000_000 // max(n_books, 1)))


@dataclass(frozen=True)
class Factors:
    """score[u, b] = users[u] · books[b] + bias[b]; float32, shapes (n_users, c), (n_books, c), (n_books,)."""

    users: FloatArray
    books: FloatArray
    bias: FloatArray

    @cached_property
    def largest(self) -> tuple[FloatArray, float]:
        """Largest magnitude of each component over the books, shape (c,), and of the biases."""
        return np.abs(self.books).max(axis=0, initial=0), float(np.abs(self.bias).max(initial=0))


@dataclass(frozen=True)
class Ranked:
    """`books[i, r]` and `scores[i, r]` are the r-th best book of `rows[i]`; NONE and -inf if there are no more."""

    rows: IntArray
    books: IntArray
    scores: FloatArray


@dataclass(frozen=True)
class Allowed:
    """Books each row may rank: `books[group[row]]` (n_groups, n_books), except stored entries of `exclude` (all rows, n_books)."""

    books: BoolArray
    group: IntArray | None = None
    exclude: Csr | None = None

    def for_rows(self, rows: IntArray, n_books: int) -> "_RowRules":
        """Return the rules of some rows in the form of the kernels: bias by group, group of each row, excluded books.

        Only groups in use get a row. Raises ModelError unless all arrays have `n_books` columns: the kernels do not check indexes.
        """
        about = {self.books.shape[1], n_books if self.exclude is None else self.exclude.shape[1]}
        if about != {n_books}:
            raise ModelError(
                f"The rules are about {' and '.join(f'{n:,}' for n in sorted(about))} books and the scores about {n_books:,}: "
                "build both from the same data set."
            )
        present, group = np.unique(np.zeros(len(rows)) if self.group is None else self.group[rows], return_inverse=True)
        books = self.books[present.astype(np.int32)]
        starts, excluded = _excluded_rows(self.exclude, rows)
        return _RowRules(bias_of(books), group.astype(np.int32), starts, excluded)

    def excluded_pairs(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return the excluded books of some rows as pairs: positions in `rows`, and books."""
        if self.exclude is None:
            return np.empty(0, np.int32), np.empty(0, np.int32)
        position, book = self.exclude[rows].nonzero()
        return position, book


@dataclass(frozen=True)
class AllowedForOne(Allowed):
    """The rules of a single reader, row 0, in the form of the kernels: nothing is computed for a request.

    `books` (1, n_books); `bias`: `bias_of(books)`; `out`: excluded books, ascending and without repetition.
    """

    bias: FloatArray = field(default_factory=lambda: np.empty((1, 0), np.float32))
    out: IntArray = field(default_factory=lambda: np.empty(0, np.int32))

    def for_rows(self, rows: IntArray, n_books: int) -> "_RowRules":
        """Return the rules as they are; ModelError unless they are about `n_books` books."""
        if self.bias.shape[1] != n_books:
            raise ModelError(f"The rules are about {self.bias.shape[1]:,} books and the scores about {n_books:,}.")
        return _RowRules(self.bias, np.zeros(1, np.int32), np.array([0, len(self.out)], np.int64), self.out)

    def excluded_pairs(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return the excluded books, all of row 0."""
        return np.zeros(len(self.out), np.int32), self.out


def bias_of(books: BoolArray) -> FloatArray:
    """Return what the kernels add to scores: 0 for an allowed book, -inf for another."""
    return np.where(books, np.float32(0), np.float32(-np.inf))


@dataclass(frozen=True)
class _RowRules:
    bias: FloatArray
    group: IntArray
    starts: IntArray
    excluded: IntArray


def top_k(
    score: ScoreFunction | Factors,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | Allowed | None = None,
    block: int = BLOCK,
) -> Ranked:
    """Return the best k books of each row, best first, equal scores by ascending book index.

    Args:
        score: a function from rows to scores, or factors.
        rows: the rows to rank for, e.g. user indexes.
        k: length of the lists.
        exclude: matrix (all rows, n_books) whose stored entries are never ranked.
        allowed: flags of books, shape (n_books,), or an `Allowed`, which then includes `exclude`.
        block: rows scored at once.

    Raises:
        ModelError: a score is NaN, or masks and scores have different numbers of books.
    """
    blocks = list(ranked_blocks(score, rows, k=k, exclude=exclude, allowed=allowed, block=block))
    if not blocks:
        return Ranked(rows, np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Ranked(
        rows, np.concatenate([part.books for part in blocks]), np.concatenate([part.scores for part in blocks])
    )


def ranked_blocks(
    score: ScoreFunction | Factors,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | Allowed | None = None,
    block: int = BLOCK,
) -> Iterator[Ranked]:
    """As `top_k`, one block of rows at a time, for results too large for memory.

    A row's list does not depend on the other rows of its block, if its scores do not.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}.")
    if isinstance(allowed, Allowed) and exclude is not None:
        raise ValueError("Pass `exclude` inside `allowed`, not beside it.")
    blocks = [rows[start : start + block] for start in range(0, len(rows), block)]
    if isinstance(score, Factors):
        whole = _as_allowed(allowed, exclude, len(score.books))
        yield from _map_in_threads(lambda some: _best_of_factors(score, some, k, whole), blocks)
        return

    def best(some: IntArray) -> Ranked:
        scores = score(some)
        return select_top_k(scores, some, k, _as_allowed(allowed, exclude, scores.shape[1]))

    yield from _map_in_threads(best, blocks)


def _as_allowed(allowed: BoolArray | Allowed | None, exclude: Csr | None, n_books: int) -> Allowed:
    if isinstance(allowed, Allowed):
        return allowed
    books = np.ones(n_books, dtype=bool) if allowed is None else allowed
    return Allowed(books[None, :], exclude=exclude)


def _map_in_threads(work: Callable[[IntArray], Ranked], blocks: Sequence[IntArray]) -> Iterator[Ranked]:
    """Map blocks in order in a thread pool, with one BLAS thread per worker."""
    if len(blocks) == 1:  # faster without a thread for a single reader
        yield work(blocks[0])
        return
    with _threadpool_controller().limit(limits=1, user_api="blas"), ThreadPoolExecutor(WORKERS) as pool:
        waiting = []
        for some in blocks:
            waiting.append(pool.submit(work, some))
            if len(waiting) > WORKERS:
                yield waiting.pop(0).result()
        for done in waiting:
            yield done.result()


@cache
def _threadpool_controller() -> ThreadpoolController:
    """The controller of the BLAS threads, cached because creating it takes milliseconds."""
    return ThreadpoolController()


def _excluded_rows(exclude: Csr | None, rows: IntArray) -> tuple[IntArray, IntArray]:
    if exclude is None:
        return np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int32)
    some = exclude[rows]
    some.sort_indices()
    return some.indptr.astype(np.int64), some.indices.astype(np.int32)


def select_top_k(scores: FloatArray, rows: IntArray, k: int, allowed: Allowed) -> Ranked:
    """Return the best k books by given scores, shape (len(rows), n_books)."""
    rules = allowed.for_rows(rows, scores.shape[1])
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    if len(rows) == 1:  # in a fraction of the time that many rows take
        is_known, books, values = best_of_row(scores, rules.bias, rules.excluded, k)
        if not is_known:
            raise ModelError(_NOT_A_NUMBER)
        return Ranked(rows, books, values)
    values, books = _empty_heaps(len(rows), k)
    if not update_heaps(scores, 0, rules.bias, rules.group, rules.starts, rules.excluded, values, books):
        raise ModelError(_NOT_A_NUMBER)
    return _sorted_ranking(rows, books, values, k)


def _best_of_factors(factors: Factors, rows: IntArray, k: int, allowed: Allowed) -> Ranked:
    """Select in single precision with a few extra candidates, then order in double precision; rerank uncertain rows in full."""
    rules, users = allowed.for_rows(rows, len(factors.books)), factors.users[rows]
    rules = _RowRules(rules.bias + factors.bias, rules.group, rules.starts, rules.excluded)
    values, books = _empty_heaps(len(rows), k + EXTRA_CANDIDATES)
    scores = np.empty((len(rows), TILE), np.float32)
    for first in range(0, len(factors.books), TILE):
        tile = factors.books[first : first + TILE]
        product = np.matmul(users, tile.T, out=scores if len(tile) == TILE else None)
        if not first:
            values[:] = _initial_threshold(product, rules, values.shape[1])
        if not update_heaps(product, first, rules.bias, rules.group, rules.starts, rules.excluded, values, books):
            raise ModelError(_NOT_A_NUMBER)
    edge = values[:, 0].copy()
    rescore_exactly(users, factors.books, rules.bias, rules.group, books, values)
    found = _sorted_ranking(rows, books, values, k)
    _rerank_uncertain_rows(found, edge, factors, users, rules)
    return found


def _rerank_uncertain_rows(
    found: Ranked, edge: FloatArray, factors: Factors, users: FloatArray, rules: _RowRules
) -> None:
    """Rerank rows whose last book is so close to the best omitted one that rounding may have swapped them.

    The error of a product of c terms in single precision is below c ε Σ|u b| (Higham 2002, section 3.1).
    """
    largest, largest_bias = factors.largest
    error = 2 * np.finfo(np.float32).eps * (users.shape[1] + 2) * (np.abs(users) @ largest + largest_bias)
    for row in np.flatnonzero(found.scores[:, -1] - error <= edge):
        if np.isneginf(edge[row]):  # no book was omitted
            continue
        scores, (values, books) = np.empty(len(factors.books), np.float64), _empty_heaps(1, found.books.shape[1])
        score_all_exactly(users[row], factors.books, scores)
        exact = (scores + rules.bias[rules.group[row]]).astype(np.float32)[None, :]
        inside = rules.excluded[rules.starts[row] : rules.starts[row + 1]]
        exact[0, inside] = -np.inf
        nothing = np.zeros((1, len(factors.books)), np.float32)
        update_heaps(
            exact, 0, nothing, np.zeros(1, np.int32), np.zeros(2, np.int64), np.empty(0, np.int32), values, books
        )
        one = _sorted_ranking(found.rows[row : row + 1], books, values, found.books.shape[1])
        found.books[row], found.scores[row] = one.books[0], one.scores[0]


def _initial_threshold(scores: FloatArray, rules: _RowRules, k: int) -> FloatArray:
    """A value just below the k-th best of some scores per row, shape (m, 1); -inf if there are fewer than k.

    Heaps that start with it skip all scores that cannot be among the k best.
    """
    if scores.shape[1] < k:
        return np.full((len(scores), 1), -np.inf, np.float32)
    ranked = scores + rules.bias[rules.group, : scores.shape[1]]
    inside = rules.excluded < scores.shape[1]
    ranked[np.repeat(np.arange(len(scores)), np.diff(rules.starts))[inside], rules.excluded[inside]] = -np.inf
    ranked.partition(scores.shape[1] - k, axis=1)
    return np.asarray(np.nextafter(ranked[:, scores.shape[1] - k, None], np.float32(-np.inf)))


def _empty_heaps(rows: int, k: int) -> tuple[FloatArray, IntArray]:
    return np.full((rows, k), -np.inf, np.float32), np.full((rows, k), NONE, np.int32)


def _sorted_ranking(rows: IntArray, books: IntArray, values: FloatArray, k: int) -> Ranked:
    order = np.lexsort((books, -values), axis=1)[:, :k]
    return Ranked(rows, np.take_along_axis(books, order, axis=1), np.take_along_axis(values, order, axis=1))


_NOT_A_NUMBER = "The model returned a score that is not a number. Train it again with a lower learning rate."
