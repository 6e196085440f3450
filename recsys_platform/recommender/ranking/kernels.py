"""Compiled loops for top-k selection.

Belongs here: loops over plain arrays. Does not: scores and exclusions (top_k.py).

Each row keeps its k best scores in a heap whose root is the score to beat. Scores are compared with the root in chunks that compile
to vector instructions; most chunks have nothing better and cost only one read.
"""

import numpy as np
from numba import njit

from recsys_platform.recommender.arrays import AnyArray

CHUNK_SIZE = 64


@njit(cache=True, nogil=True)
def update_heaps(
    scores: AnyArray,
    first: int,
    bias: AnyArray,
    group: AnyArray,
    starts: AnyArray,
    excluded: AnyArray,
    values: AnyArray,
    books: AnyArray,
) -> bool:
    """Update the heaps `values` and `books` (m, k) with a tile of scores (m, t) of the books from `first` on.

    `bias[group[i], j]` is added to row i's score of book j, -inf for books that may not be ranked; `excluded[starts[i]:starts[i + 1]]`
    are the excluded books of row i, ascending. Heaps start with -inf and NONE. Tiles must come in ascending order of books, so that
    the first of equal scores stays. Returns False if a score is NaN.
    """
    width = scores.shape[1]
    for row in range(scores.shape[0]):
        own, add, inside = scores[row], bias[group[row]], excluded[starts[row] : starts[row + 1]]
        for begin in range(0, width, CHUNK_SIZE):
            end = min(begin + CHUNK_SIZE, width)
            nothing = end - begin == CHUNK_SIZE and _none_better(
                own[begin:end], add[first + begin : first + end], values[row, 0]
            )
            if not nothing and not _insert_candidates(own, begin, end, first, add, inside, values[row], books[row]):
                return False
    return True


@njit(cache=True, nogil=True)
def best_of_row(scores: AnyArray, bias: AnyArray, excluded: AnyArray, k: int) -> tuple[bool, AnyArray, AnyArray]:
    """Return whether no score of a single row (1, n) is NaN, and its best k books and their scores, each (1, k), best first.

    In one call what `update_heaps` and a sort do for many rows: equal scores by ascending book; -inf and NONE if there are no more.
    """
    values, books = np.full((1, k), np.float32(-np.inf)), np.full((1, k), np.int32(-1))
    group, starts = np.zeros(1, np.int32), np.array([0, len(excluded)], np.int64)
    is_known = update_heaps(scores, 0, bias, group, starts, excluded, values, books)
    _sort_heap(values[0], books[0])
    return is_known, books, values


@njit(cache=True, nogil=True)
def _sort_heap(values: AnyArray, books: AnyArray) -> None:
    """Sort by descending value, equal ones by ascending book."""
    for end in range(len(values) - 1, 0, -1):  # the root is the worst one
        values[0], values[end] = values[end], values[0]
        books[0], books[end] = books[end], books[0]
        _replace_root(values[:end], books[:end], values[0], books[0])


@njit(cache=True, nogil=True)
def _none_better(scores: AnyArray, add: AnyArray, worst: float) -> bool:
    """Whether a whole chunk has no score above the worst; fixed length and no branches, so that it compiles to vector code."""
    better = np.int32(0)
    for column in range(CHUNK_SIZE):
        better = np.int32(better | (np.int32(0) if scores[column] + add[column] <= worst else np.int32(1)))
    return bool(better == 0)


@njit(cache=True, nogil=True)
def _insert_candidates(
    scores: AnyArray,
    begin: int,
    end: int,
    first: int,
    add: AnyArray,
    excluded: AnyArray,
    values: AnyArray,
    books: AnyArray,
) -> bool:
    worst = values[0]
    for column in range(begin, end):
        value = scores[column] + add[first + column]
        if value <= worst:
            continue
        if value != value:
            return False
        if not _contains_sorted(excluded, first + column):
            _replace_root(values, books, value, first + column)
            worst = values[0]
    return True


@njit(cache=True, nogil=True)
def _contains_sorted(ascending: AnyArray, wanted: int) -> bool:
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low < len(ascending) and ascending[low] == wanted


@njit(cache=True, nogil=True)
def _replace_root(values: AnyArray, books: AnyArray, value: float, book: int) -> None:
    """Replace the worst entry of a heap (of equal ones, the highest index) by another."""
    size, at = len(values), 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            values[right] < values[child] or (values[right] == values[child] and books[right] > books[child])
        ):
            child = right
        if value < values[child] or (value == values[child] and book > books[child]):
            break
        values[at], books[at] = values[child], books[child]
        at = child
    values[at], books[at] = value, book


@njit(cache=True, nogil=True)
def rescore_exactly(
    users: AnyArray, factors: AnyArray, bias: AnyArray, group: AnyArray, books: AnyArray, values: AnyArray
) -> None:
    """Recompute `values` (m, k) for `books` (m, k), summed in double precision in a fixed order."""
    for row in range(books.shape[0]):
        for place in range(books.shape[1]):
            book = books[row, place]
            if book >= 0:
                values[row, place] = _dot_product(users[row], factors[book]) + bias[group[row], book]


@njit(cache=True, nogil=True)
def score_all_exactly(user: AnyArray, factors: AnyArray, scores: AnyArray) -> None:
    """Compute scores of all books for one user in double precision, without bias."""
    for book in range(factors.shape[0]):
        scores[book] = _dot_product(user, factors[book])


@njit(cache=True, nogil=True)
def _dot_product(user: AnyArray, book: AnyArray) -> float:
    total = 0.0
    for component in range(len(user)):
        total += np.float64(user[component]) * np.float64(book[component])
    return total


@njit(cache=True, nogil=True)
def count_misordered_pairs(
    scores: AnyArray,
    test_starts: AnyArray,
    test: AnyArray,
    seen_starts: AnyArray,
    seen: AnyArray,
    wrong: AnyArray,
) -> None:
    """Count, per row, pairs of a relevant and another book in which the other scores higher; ties count half.

    Books of `seen` are in no pair; both lists are CSR rows and share no book.
    """
    for row in range(scores.shape[0]):
        total = 0.0
        relevant = test[test_starts[row] : test_starts[row + 1]]
        for book in relevant:
            total += _count_above(scores[row], scores[row, book])
            for other in relevant:
                total -= _pair_order(scores[row, other], scores[row, book])
            for other in seen[seen_starts[row] : seen_starts[row + 1]]:
                total -= _pair_order(scores[row, other], scores[row, book])
        wrong[row] = total


@njit(cache=True, nogil=True)
def _count_above(scores: AnyArray, own: float) -> float:
    higher, equal = 0, 0
    for column in range(len(scores)):
        higher += scores[column] > own
        equal += scores[column] == own
    return higher + 0.5 * equal


@njit(cache=True, nogil=True)
def _pair_order(other: float, own: float) -> float:
    return 1.0 if other > own else 0.5 if other == own else 0.0
