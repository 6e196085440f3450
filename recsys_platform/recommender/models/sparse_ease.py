"""EASE for item catalogs too large for a dense item-item matrix: sparse weights, with the strongest neighbours per book.

Belongs here: exact weights from a readers × readers inverse, and the ridge regression of each book on its neighbours. Does not: the
choice between them, the dense solution (ease.py).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import get_num_threads, njit
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsys_platform.recommender.arrays import AnyArray, Csr, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.models.symmetric import inverse_of_positive

BLOCK_BYTES = 64_000_000
"""Memory of one dense block of columns."""
BOOKS_AT_ONCE = 64
"""Books that a thread fits before it takes others: books of long histories take longer than others."""
MAX_PAIRS = 50_000_000
"""Limit for pairs of co-liked books: long histories are cut to their latest books to stay below it."""


def weights_through_readers(liked: Csr, regularization: float, neighbours: int) -> Csr:
    """Compute exact EASE weights from a readers × readers inverse, keeping the `neighbours` largest per column.

    By the Woodbury identity P = (XᵀX + λI)⁻¹ = (I - Xᵀ(XXᵀ + λI)⁻¹X) / λ. With Q = Xᵀ(XXᵀ + λI)⁻¹X the weights are
    B[i, j] = -P[i, j] / P[j, j] = Q[i, j] / (1 - Q[j, j]).
    """
    gram = np.asarray((liked @ liked.T).toarray(), dtype=np.float64, order="F")
    gram[np.diag_indices_from(gram)] += regularization
    inverse, books = inverse_of_positive(gram), sparse.csr_array(liked.T).astype(np.float64)
    step = max(1, BLOCK_BYTES // (8 * max(liked.shape)))
    blocks = (np.arange(start, min(start + step, row_count(books))) for start in range(0, row_count(books), step))
    return _stack_columns([keep_largest(_weight_columns(books, inverse, block), neighbours) for block in blocks])


def _weight_columns(books: Csr, inverse: DoubleArray, block: AnyArray) -> FloatArray:
    """Columns `block` of B, one per row."""
    product = books @ (books[block] @ inverse).T
    own = product[block, np.arange(len(block))]
    weights = (product / (1 - own)).T
    weights[np.arange(len(block)), block] = 0
    return np.ascontiguousarray(weights, dtype=np.float32)


def weights_of_neighbours(liked: Csr, regularization: float, neighbours: int) -> Csr:
    """Fit each book's ridge regression on at most `neighbours` co-liked books: EASE restricted to these books.

    The nearest books by cosine are used (as Ning & Karypis 2011 do for SLIM).
    """
    together = _liked_together(liked)
    books = together.shape[0]
    found, which = np.zeros((books, neighbours), np.float32), np.full((books, neighbours), -1, np.int32)
    likes, starts = together.diagonal(), range(0, books, BOOKS_AT_ONCE)

    def fit(start: int) -> None:
        _fit_neighbour_weights(
            start, together.data, together.indices, together.indptr, likes, regularization, found, which
        )

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(get_num_threads()) as pool:
        list(pool.map(fit, starts))
    kept = which >= 0
    ends = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    columns = sparse.csr_array((found[kept], which[kept], ends), shape=(books, books))
    return sparse.csr_array(columns.T)


def _liked_together(liked: Csr) -> Csr:
    """Number of readers who liked both books of each pair, shape (n_books, n_books), columns sorted."""
    liked = _latest_of_each(liked, _longest_history(np.diff(liked.indptr)))
    together: Csr = sparse.csr_array(liked.T @ liked).astype(np.float32)
    together.sort_indices()
    return together


def _longest_history(lengths: IntArray) -> int:
    """The longest history length that keeps the number of pairs within MAX_PAIRS."""
    low, high = 1, max(int(lengths.max(initial=1)), 1)
    while low < high:
        middle = (low + high + 1) // 2
        fits = (np.minimum(lengths, middle).astype(np.float64) ** 2).sum() <= MAX_PAIRS
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _latest_of_each(liked: Csr, length: int) -> Csr:
    """Keep the last `length` entries per row, the latest books of each history."""
    lengths = np.diff(liked.indptr)
    from_end = np.repeat(liked.indptr[1:], lengths) - np.arange(liked.nnz)
    keep = from_end <= length
    starts = np.concatenate(([0], np.cumsum(np.minimum(lengths, length))))
    return sparse.csr_array((liked.data[keep], liked.indices[keep], starts), shape=liked.shape)


# Threads of Python's: Numba would compile a parallel loop twice, and take twice the seconds for it.
@njit(cache=True, nogil=True)
def _fit_neighbour_weights(
    start: int,
    data: AnyArray,
    indices: AnyArray,
    indptr: AnyArray,
    likes: AnyArray,
    regularization: float,
    found: AnyArray,
    which: AnyArray,
) -> None:
    """Fill `found` and `which` (n_books, neighbours) for BOOKS_AT_ONCE books from `start`: weights and their books, -1 for none."""
    for book in range(start, min(start + BOOKS_AT_ONCE, len(likes))):
        first, last = indptr[book], indptr[book + 1]
        others = first + np.flatnonzero(indices[first:last] != book)
        if len(others) > found.shape[1]:
            nearness = data[others] / np.sqrt(likes[indices[others]])
            others = np.sort(others[np.argsort(-nearness, kind="mergesort")[: found.shape[1]]])
        if len(others):
            chosen = indices[others]
            gram = _dense_block(chosen, data, indices, indptr)
            for at in range(len(chosen)):
                gram[at, at] += regularization
            found[book, : len(chosen)] = np.linalg.solve(gram, data[others].astype(np.float64))
            which[book, : len(chosen)] = chosen


@njit(cache=True, nogil=True)
def _dense_block(chosen: AnyArray, data: AnyArray, indices: AnyArray, indptr: AnyArray) -> AnyArray:
    """Dense block of a sparse matrix with sorted columns; rows and columns are `chosen` (ascending)."""
    block = np.zeros((len(chosen), len(chosen)))
    for row in range(len(chosen)):
        at, last = indptr[chosen[row]], indptr[chosen[row] + 1]
        for column in range(len(chosen)):
            at += np.searchsorted(indices[at:last], chosen[column])
            if at < last and indices[at] == chosen[column]:
                block[row, column] = data[at]
    return block


def keep_largest(rows: FloatArray, count: int) -> Csr:
    """Keep the `count` entries of largest magnitude per row, without zeros."""
    size = np.abs(rows)
    if count < rows.shape[1]:
        last = np.partition(size, rows.shape[1] - count, axis=1)[:, [rows.shape[1] - count]]
        rows = np.where(size >= last, rows, 0)
    return sparse.csr_array(rows)


def _stack_columns(columns: list[Csr]) -> Csr:
    return sparse.csr_array(sparse.vstack(columns, format="csr").T)


def row_count(matrix: Csr) -> int:
    """Return the number of rows."""
    return int(matrix.shape[0])
