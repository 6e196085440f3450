"""From scores to the best k books of each user.

Belongs here: the one path by which every model, batch or single user, evaluation or publishing, becomes lists.
Does not: where scores come from (models/), the loops (kernels.py), what the lists are for (lists/tables.py, evaluation/held_out.py).
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from threadpoolctl import ThreadpoolController

from recsys_platform.recommender.arrays import BoolArray, Csr, FloatArray, IntArray
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.ranking.kernels import all_exactly, exactly, offer

Score = Callable[[IntArray], FloatArray]
"""From m rows (users, or whatever is ranked for) to fresh scores of shape (m, n_books); -inf is never ranked."""
NONE = -1
"""The book at a rank that could not be filled."""
BLOCK = 512
"""Rows scored at once: 20 MB for 10,000 books, and large enough for an efficient product."""
TILE = 1024
"""Books a block is scored against at once: block and tile stay in a core's cache until they are ranked."""
WORKERS = 2
SPARE = 6
"""Books beyond k whose scores are computed again in double precision."""


def rows_at_once(n_books: int) -> int:
    """As many as BLOCK, fewer of a large catalogue: 32 MB of doubles, beyond which the allocator maps memory anew each time."""
    return max(32, min(BLOCK, 4_000_000 // max(n_books, 1)))


@dataclass(frozen=True)
class Factors:
    """score[u, b] = users[u] · books[b] + bias[b]; float32, shapes (n_users, c), (n_books, c), (n_books,)."""

    users: FloatArray
    books: FloatArray
    bias: FloatArray

    @cached_property
    def largest(self) -> tuple[FloatArray, float]:
        """The largest magnitude of each component over the books, shape (c,), and of a bias."""
        return np.abs(self.books).max(axis=0, initial=0), float(np.abs(self.bias).max(initial=0))


@dataclass(frozen=True)
class Ranked:
    """`books[i, r]` and `scores[i, r]` are the r-th best book of `rows[i]`; NONE and -inf where there are no more."""

    rows: IntArray
    books: IntArray
    scores: FloatArray


@dataclass(frozen=True)
class Allowed:
    """Which books each row may rank: `books[group[row]]` (n_groups, n_books), but no stored entry of `exclude` (all rows, n_books)."""

    books: BoolArray
    group: IntArray | None = None
    exclude: Csr | None = None

    def of(self, rows: IntArray, n_books: int) -> "_Rules":
        """For the kernels: what to add to a row's scores, by group; the group of each row; where its excluded books are.

        Only groups that are there get a row of their own. Raises ModelError unless all is about `n_books` books: the kernels read
        where they are told to.
        """
        about = {self.books.shape[1], n_books if self.exclude is None else self.exclude.shape[1]}
        if about != {n_books}:
            raise ModelError(
                f"The rules are about {' and '.join(f'{n:,}' for n in sorted(about))} books and the scores about {n_books:,}: "
                "make both from one data set."
            )
        present, group = np.unique(np.zeros(len(rows)) if self.group is None else self.group[rows], return_inverse=True)
        books = self.books[present.astype(np.int32)]
        starts, excluded = _excluded(self.exclude, rows)
        return _Rules(np.where(books, np.float32(0), np.float32(-np.inf)), group.astype(np.int32), starts, excluded)


@dataclass(frozen=True)
class _Rules:
    bias: FloatArray
    group: IntArray
    starts: IntArray
    excluded: IntArray


def top_k(
    score: Score | Factors,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | Allowed | None = None,
    block: int = BLOCK,
) -> Ranked:
    """The best k of each row, best first, equal scores by ascending book index.

    `exclude`: matrix (all rows, n_books), stored entries are never ranked. `allowed`: flag a book, shape (n_books,), or an `Allowed`
    that says all, `exclude` included. Raises ModelError if a score is not a number or if masks and scores are about different books.
    """
    blocks = list(ranked_blocks(score, rows, k=k, exclude=exclude, allowed=allowed, block=block))
    if not blocks:
        return Ranked(rows, np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return Ranked(
        rows, np.concatenate([part.books for part in blocks]), np.concatenate([part.scores for part in blocks])
    )


def ranked_blocks(
    score: Score | Factors,
    rows: IntArray,
    *,
    k: int,
    exclude: Csr | None = None,
    allowed: BoolArray | Allowed | None = None,
    block: int = BLOCK,
) -> Iterator[Ranked]:
    """As `top_k`, a block of rows at a time, for results that should not be held at once.

    The list of a row is the same, to the last bit, whatever rows share its block, if its scores are.
    """
    if k < 1:
        raise ValueError(f"A list holds at least one book, not {k}.")
    if isinstance(allowed, Allowed) and exclude is not None:
        raise ValueError("What is excluded belongs in `Allowed` where there is one.")
    blocks = [rows[start : start + block] for start in range(0, len(rows), block)]
    if isinstance(score, Factors):
        whole = _whole(allowed, exclude, len(score.books))
        yield from _side_by_side(lambda some: _best_of_factors(score, some, k, whole), blocks)
        return

    def best(some: IntArray) -> Ranked:
        scores = score(some)
        return select(scores, some, k, _whole(allowed, exclude, scores.shape[1]))

    yield from _side_by_side(best, blocks)


def _whole(allowed: BoolArray | Allowed | None, exclude: Csr | None, n_books: int) -> Allowed:
    if isinstance(allowed, Allowed):
        return allowed
    books = np.ones(n_books, dtype=bool) if allowed is None else allowed
    return Allowed(books[None, :], exclude=exclude)


def _side_by_side(work: Callable[[IntArray], Ranked], blocks: Sequence[IntArray]) -> Iterator[Ranked]:
    """Blocks in order, as many at a time as there are workers; BLAS keeps to one thread each."""
    if len(blocks) == 1:  # one reader is answered sooner than a thread is started
        yield work(blocks[0])
        return
    with _libraries().limit(limits=1, user_api="blas"), ThreadPoolExecutor(WORKERS) as pool:
        waiting = []
        for some in blocks:
            waiting.append(pool.submit(work, some))
            if len(waiting) > WORKERS:
                yield waiting.pop(0).result()
        for done in waiting:
            yield done.result()


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own; to find them takes milliseconds."""
    return ThreadpoolController()


def _excluded(exclude: Csr | None, rows: IntArray) -> tuple[IntArray, IntArray]:
    if exclude is None:
        return np.zeros(len(rows) + 1, np.int64), np.empty(0, np.int32)
    some = exclude[rows]
    some.sort_indices()
    return some.indptr.astype(np.int64), some.indices.astype(np.int32)


def select(scores: FloatArray, rows: IntArray, k: int, allowed: Allowed) -> Ranked:
    """The best k of scores that are there already, shape (len(rows), n_books)."""
    values, books = _empty(len(rows), k)
    rules = allowed.of(rows, scores.shape[1])
    scores = np.ascontiguousarray(scores, dtype=np.float32)
    if not offer(scores, 0, rules.bias, rules.group, rules.starts, rules.excluded, values, books):
        raise ModelError(_NOT_A_NUMBER)
    return _sorted(rows, books, values, k)


def _best_of_factors(factors: Factors, rows: IntArray, k: int, allowed: Allowed) -> Ranked:
    """Selected by single precision with a few to spare, then ordered by double; where that could matter, done again in full."""
    rules, users = allowed.of(rows, len(factors.books)), factors.users[rows]
    rules = _Rules(rules.bias + factors.bias, rules.group, rules.starts, rules.excluded)
    values, books = _empty(len(rows), k + SPARE)
    scores = np.empty((len(rows), TILE), np.float32)
    for first in range(0, len(factors.books), TILE):
        tile = factors.books[first : first + TILE]
        product = np.matmul(users, tile.T, out=scores if len(tile) == TILE else None)
        if not first:
            values[:] = _floor(product, rules, values.shape[1])
        if not offer(product, first, rules.bias, rules.group, rules.starts, rules.excluded, values, books):
            raise ModelError(_NOT_A_NUMBER)
    edge = values[:, 0].copy()
    exactly(users, factors.books, rules.bias, rules.group, books, values)
    found = _sorted(rows, books, values, k)
    _again_where_unsure(found, edge, factors, users, rules)
    return found


def _again_where_unsure(found: Ranked, edge: FloatArray, factors: Factors, users: FloatArray, rules: _Rules) -> None:
    """Rank anew the rows whose worst place is so near the best book left out that rounding may have swapped them.

    A product of c terms in single precision is wrong by less than c ε Σ|u b| (Higham 2002, section 3.1).
    """
    largest, largest_bias = factors.largest
    error = 2 * np.finfo(np.float32).eps * (users.shape[1] + 2) * (np.abs(users) @ largest + largest_bias)
    for row in np.flatnonzero(found.scores[:, -1] - error <= edge):
        if np.isneginf(edge[row]):  # nothing was left out
            continue
        scores, (values, books) = np.empty(len(factors.books), np.float64), _empty(1, found.books.shape[1])
        all_exactly(users[row], factors.books, scores)
        exact = (scores + rules.bias[rules.group[row]]).astype(np.float32)[None, :]
        inside = rules.excluded[rules.starts[row] : rules.starts[row + 1]]
        exact[0, inside] = -np.inf
        nothing = np.zeros((1, len(factors.books)), np.float32)
        offer(exact, 0, nothing, np.zeros(1, np.int32), np.zeros(2, np.int64), np.empty(0, np.int32), values, books)
        one = _sorted(found.rows[row : row + 1], books, values, found.books.shape[1])
        found.books[row], found.scores[row] = one.books[0], one.scores[0]


def _floor(scores: FloatArray, rules: _Rules, k: int) -> FloatArray:
    """For each row a value just below the k-th best of some scores, shape (m, 1), -inf if there are not so many.

    What is no better is not among the k best of all: heaps that begin with it are spared the climb.
    """
    if scores.shape[1] < k:
        return np.full((len(scores), 1), -np.inf, np.float32)
    ranked = scores + rules.bias[rules.group, : scores.shape[1]]
    inside = rules.excluded < scores.shape[1]
    ranked[np.repeat(np.arange(len(scores)), np.diff(rules.starts))[inside], rules.excluded[inside]] = -np.inf
    ranked.partition(scores.shape[1] - k, axis=1)
    return np.asarray(np.nextafter(ranked[:, scores.shape[1] - k, None], np.float32(-np.inf)))


def _empty(rows: int, k: int) -> tuple[FloatArray, IntArray]:
    return np.full((rows, k), -np.inf, np.float32), np.full((rows, k), NONE, np.int32)


def _sorted(rows: IntArray, books: IntArray, values: FloatArray, k: int) -> Ranked:
    order = np.lexsort((books, -values), axis=1)[:, :k]
    return Ranked(rows, np.take_along_axis(books, order, axis=1), np.take_along_axis(values, order, axis=1))


_NOT_A_NUMBER = "A model gave a score that is not a number. Train it again with a lower learning rate."
