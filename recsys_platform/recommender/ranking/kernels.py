"""The kernels of ranking: the best k of rows of scores, without sorting what cannot be among them.

Belongs here: compiled loops over plain arrays. Does not: what is ranked, what may not be ranked (top_k.py).

A row keeps its k best in a heap whose root is what a score must beat. Scores are compared with it in stretches that the compiler
turns into vector instructions; nearly all stretches hold nothing better and cost no more than being read.
"""

import numpy as np
from numba import njit

from recsys_platform.recommender.arrays import AnyArray

STRETCH = 64


@njit(cache=True, nogil=True)
def offer(
    scores: AnyArray,
    first: int,
    bias: AnyArray,
    group: AnyArray,
    starts: AnyArray,
    excluded: AnyArray,
    values: AnyArray,
    books: AnyArray,
) -> bool:
    """Let a tile of scores (m, t), of the books from `first` on, compete for the heaps `values` and `books` (m, k).

    `bias[group[i], j]` is added to row i's score of book j, -inf where it may not be ranked; `excluded[starts[i]:starts[i + 1]]`
    are books that row i may not rank, ascending. A heap begins with -inf and NONE. Tiles must come in ascending order of books: of
    equal scores the first stays. False if a score is not a number.
    """
    width = scores.shape[1]
    for row in range(scores.shape[0]):
        own, add, inside = scores[row], bias[group[row]], excluded[starts[row] : starts[row + 1]]
        for begin in range(0, width, STRETCH):
            end = min(begin + STRETCH, width)
            nothing = end - begin == STRETCH and _none_better(
                own[begin:end], add[first + begin : first + end], values[row, 0]
            )
            if not nothing and not _insert(own, begin, end, first, add, inside, values[row], books[row]):
                return False
    return True


@njit(cache=True, nogil=True)
def _none_better(scores: AnyArray, add: AnyArray, worst: float) -> bool:
    """Whether a whole stretch has no score above the worst; of a fixed length and without a branch, so that it becomes vector code."""
    better = np.int32(0)
    for column in range(STRETCH):
        better = np.int32(better | (np.int32(0) if scores[column] + add[column] <= worst else np.int32(1)))
    return bool(better == 0)


@njit(cache=True, nogil=True)
def _insert(
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
        if not _holds(excluded, first + column):
            _replace_root(values, books, value, first + column)
            worst = values[0]
    return True


@njit(cache=True, nogil=True)
def _holds(ascending: AnyArray, wanted: int) -> bool:
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
    """Drop the worst of a heap, of equally bad ones that with the highest index, and take in another."""
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
def exactly(
    users: AnyArray, factors: AnyArray, bias: AnyArray, group: AnyArray, books: AnyArray, values: AnyArray
) -> None:
    """Replace `values` (m, k) by the scores of `books` (m, k), summed in double precision and always in the same order."""
    for row in range(books.shape[0]):
        for place in range(books.shape[1]):
            book = books[row, place]
            if book >= 0:
                values[row, place] = _score(users[row], factors[book]) + bias[group[row], book]


@njit(cache=True, nogil=True)
def all_exactly(user: AnyArray, factors: AnyArray, scores: AnyArray) -> None:
    """The same for one user and all books, without bias."""
    for book in range(factors.shape[0]):
        scores[book] = _score(user, factors[book])


@njit(cache=True, nogil=True)
def _score(user: AnyArray, book: AnyArray) -> float:
    total = 0.0
    for component in range(len(user)):
        total += np.float64(user[component]) * np.float64(book[component])
    return total


@njit(cache=True, nogil=True)
def wrongly_ordered(
    scores: AnyArray,
    test_starts: AnyArray,
    test: AnyArray,
    seen_starts: AnyArray,
    seen: AnyArray,
    wrong: AnyArray,
) -> None:
    """For each row the pairs of a relevant and another book in which the other scores higher, a tie counting half.

    Books of `seen` are no part of a pair; both lists are rows as in a CSR matrix and share no book.
    """
    for row in range(scores.shape[0]):
        total = 0.0
        relevant = test[test_starts[row] : test_starts[row + 1]]
        for book in relevant:
            total += _above(scores[row], scores[row, book])
            for other in relevant:
                total -= _worth(scores[row, other], scores[row, book])
            for other in seen[seen_starts[row] : seen_starts[row + 1]]:
                total -= _worth(scores[row, other], scores[row, book])
        wrong[row] = total


@njit(cache=True, nogil=True)
def _above(scores: AnyArray, own: float) -> float:
    higher, equal = 0, 0
    for column in range(len(scores)):
        higher += scores[column] > own
        equal += scores[column] == own
    return higher + 0.5 * equal


@njit(cache=True, nogil=True)
def _worth(other: float, own: float) -> float:
    return 1.0 if other > own else 0.5 if other == own else 0.0
