"""Compiled loops for scoring: products with vectors, sums of matrix rows, standardized sums.

Belongs here: loops over plain arrays that libraries also have, but with a call overhead that dominates for one reader. Does not: the
models that use them (factors.py, item_similarity.py, blend.py).
"""

import numpy as np
from numba import njit

from recsys_platform.recommender.arrays import AnyArray

TILE = 2048
"""Books scored at a time, so that their sums stay in the L1 cache."""


@njit(cache=True, nogil=True)
def multiply(vectors: AnyArray, books: AnyArray, bias: AnyArray, scores: AnyArray) -> None:
    """Set `scores` (m, n), float32, to `vectors` (m, c) · `books` (c, n) + `bias` (n,), summed in double precision."""
    total = np.empty(TILE, np.float64)
    for row in range(vectors.shape[0]):
        for first in range(0, books.shape[1], TILE):
            size = min(TILE, books.shape[1] - first)
            total[:] = 0
            _add_components(vectors[row].astype(np.float64), books, first, size, total)
            for column in range(size):
                scores[row, first + column] = total[column] + bias[first + column]


@njit(cache=True, nogil=True)
def standardize_vectors(
    vectors: AnyArray, covariance: AnyArray, weight: float, tolerance: float, standardized: AnyArray
) -> None:
    """Set `standardized` (m, c + 1) to `vectors` (m, c) and a 1, the factor of the bias, scaled to scores of the deviation `weight`.

    `covariance` (c + 1, c + 1): of the components over the books. A row is 0 if its variance is below `tolerance` times its
    components' own variances: then all its scores are equal except for rounding.
    """
    size = vectors.shape[1]
    for row in range(vectors.shape[0]):
        own = standardized[row]
        own[:size] = vectors[row]
        own[size] = 1
        variance, apart = 0.0, 0.0
        for one in range(size + 1):
            together = 0.0
            for other in range(size + 1):
                together += covariance[one, other] * own[other]
            variance += own[one] * together
            apart += own[one] * own[one] * covariance[one, one]
        factor = weight / np.sqrt(variance) if variance > tolerance * apart else 0.0
        for component in range(size + 1):
            own[component] *= factor


@njit(cache=True, nogil=True)
def _add_components(vector: AnyArray, books: AnyArray, begin: int, size: int, total: AnyArray) -> None:
    """Add `vector` (c,) · some columns of `books` (c, n), four components at a time to load the sums less often."""
    end, whole = begin + size, len(vector) // 4 * 4
    for at in range(0, whole, 4):
        one, two, three, four = vector[at], vector[at + 1], vector[at + 2], vector[at + 3]
        first, second = books[at, begin:end], books[at + 1, begin:end]
        third, fourth = books[at + 2, begin:end], books[at + 3, begin:end]
        for column in range(size):
            total[column] += one * first[column] + two * second[column] + three * third[column] + four * fourth[column]
    for at in range(whole, len(vector)):
        factor, own = vector[at], books[at, begin:end]
        for column in range(size):
            total[column] += factor * own[column]


@njit(cache=True, nogil=True)
def least_squares_shares(liked: AnyArray, confidence: AnyArray, books: AnyArray, inverse: AnyArray) -> AnyArray:
    """Return each liked book's share C (gram + Yᵀ(C - I)Y)⁻¹ yᵢ of a least-squares solution, shape (n, c), in double precision.

    Y: vectors of the liked books; `inverse`: of `gram`. With P = Y gram⁻¹ the shares are C (I + P Yᵀ(C - I))⁻¹ P, n equations.
    """
    size = len(liked)
    own = np.empty((size, books.shape[1]), np.float64)
    smoothed = np.zeros((size, books.shape[1]), np.float64)
    system = np.empty((size, size), np.float64)
    for row in range(size):
        own[row] = books[liked[row]]
        _add_components(own[row], inverse, 0, inverse.shape[1], smoothed[row])
    for row in range(size):
        for column in range(size):
            total = 0.0
            for component in range(own.shape[1]):
                total += smoothed[row, component] * own[column, component]
            system[row, column] = total * (confidence[column] - 1) + (1.0 if row == column else 0.0)
    _solve_in_place(system, smoothed)
    for row in range(size):
        smoothed[row] *= confidence[row]
    return smoothed


@njit(cache=True, nogil=True)
def _solve_in_place(system: AnyArray, right: AnyArray) -> None:
    """Replace `right` (n, c) by the solution of `system` (n, n), by Gaussian elimination with partial pivoting."""
    size = len(system)
    for at in range(size):
        pivot = at + int(np.argmax(np.abs(system[at:, at])))
        if pivot != at:
            _swap_rows(system, at, pivot)
            _swap_rows(right, at, pivot)
        for row in range(at + 1, size):
            factor = system[row, at] / system[at, at]
            _subtract_row(system, row, at, factor)
            _subtract_row(right, row, at, factor)
    for at in range(size - 1, -1, -1):
        for row in range(at + 1, size):
            _subtract_row(right, at, row, system[at, row])
        right[at] /= system[at, at]


@njit(cache=True, nogil=True)
def _swap_rows(matrix: AnyArray, one: int, other: int) -> None:
    for column in range(matrix.shape[1]):
        matrix[one, column], matrix[other, column] = matrix[other, column], matrix[one, column]


@njit(cache=True, nogil=True)
def _subtract_row(matrix: AnyArray, row: int, other: int, factor: float) -> None:
    for column in range(matrix.shape[1]):
        matrix[row, column] -= factor * matrix[other, column]


@njit(cache=True, nogil=True)
def add_rows(starts: AnyArray, at: AnyArray, weights: AnyArray, matrix: AnyArray, scores: AnyArray) -> None:
    """Add `weights[e]` times row `at[e]` of `matrix` to row i of `scores` (m, n), for e from `starts[i]` to `starts[i + 1]`.

    Negative values of `at` are skipped.
    """
    for row in range(scores.shape[0]):
        own, first = scores[row], starts[row]
        whole = first + (starts[row + 1] - first) // 4 * 4
        for entry in range(first, whole, 4):
            _add_four_rows(at[entry : entry + 4], weights[entry : entry + 4], matrix, own)
        for entry in range(whole, starts[row + 1]):
            if at[entry] >= 0:
                weight, added = weights[entry], matrix[at[entry]]
                for column in range(len(own)):
                    own[column] += weight * added[column]


@njit(cache=True, nogil=True)
def _add_four_rows(at: AnyArray, weights: AnyArray, matrix: AnyArray, own: AnyArray) -> None:
    """Add four rows of `matrix` at a time to load the sums less often."""
    factors = np.where(at >= 0, weights, np.float32(0))
    one, two, three, four = factors[0], factors[1], factors[2], factors[3]
    first, second = matrix[max(at[0], 0)], matrix[max(at[1], 0)]
    third, fourth = matrix[max(at[2], 0)], matrix[max(at[3], 0)]
    for column in range(len(own)):
        own[column] += one * first[column] + two * second[column] + three * third[column] + four * fourth[column]


@njit(cache=True, nogil=True)
def add_sparse_rows(
    starts: AnyArray,
    at: AnyArray,
    weights: AnyArray,
    data: AnyArray,
    indices: AnyArray,
    indptr: AnyArray,
    scores: AnyArray,
) -> None:
    """As `add_rows`, for a sparse matrix given as its three CSR arrays."""
    for row in range(scores.shape[0]):
        for entry in range(starts[row], starts[row + 1]):
            if at[entry] >= 0:
                for place in range(indptr[at[entry]], indptr[at[entry] + 1]):
                    scores[row, indices[place]] += weights[entry] * data[place]


@njit(cache=True, nogil=True)
def place_columns(scores: AnyArray, columns: AnyArray, everything: AnyArray) -> None:
    """Set the given columns of `everything` (m, n) to `scores` (m, len(columns))."""
    for row in range(scores.shape[0]):
        own, target = scores[row], everything[row]
        for place in range(len(columns)):
            target[columns[place]] = own[place]


@njit(cache=True, nogil=True)
def weighted_entries(rows: AnyArray, columns: AnyArray, weights: AnyArray, matrix: AnyArray) -> AnyArray:
    """Return the entries of a matrix at some rows and columns, times the weight of the row; float32.

    -1 stands for a row or column that is 0 everywhere.
    """
    found = np.zeros((len(rows), len(columns)), np.float32)
    for number in range(len(rows)):
        if rows[number] >= 0:
            for place in range(len(columns)):
                if columns[place] >= 0:
                    found[number, place] = matrix[rows[number], columns[place]] * weights[number]
    return found


@njit(cache=True, nogil=True)
def weighted_sparse_entries(
    rows: AnyArray, columns: AnyArray, weights: AnyArray, data: AnyArray, indices: AnyArray, indptr: AnyArray
) -> AnyArray:
    """As `weighted_entries`, for a sparse matrix given as its three CSR arrays."""
    found = np.zeros((len(rows), len(columns)), np.float32)
    place_of = np.full(len(indptr) - 1, -1, np.int32)
    for place in range(len(columns)):
        if columns[place] >= 0:
            place_of[columns[place]] = place
    for number in range(len(rows)):
        if rows[number] >= 0:
            own = slice(indptr[rows[number]], indptr[rows[number] + 1])
            _put_entries(data[own], indices[own], weights[number], place_of, found[number])
    for place in range(len(columns)):  # a column that is named again
        if columns[place] >= 0:
            found[:, place] = found[:, place_of[columns[place]]]
    return found


@njit(cache=True, nogil=True)
def _put_entries(data: AnyArray, indices: AnyArray, weight: float, place_of: AnyArray, found: AnyArray) -> None:
    """Set `found` at the places of the entries of one row, those that have one."""
    for entry in range(len(data)):
        if place_of[indices[entry]] >= 0:
            found[place_of[indices[entry]]] = data[entry] * weight


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def mean_and_deviation(scores: AnyArray) -> tuple[np.float32, np.float32]:
    """Return mean and standard deviation of one row, summed in double precision; a deviation of 0 becomes 1.

    One pass over the differences from the first score, so that a row of equal scores has a deviation of exactly 0.
    """
    first, total, squares = np.float64(scores[0]), 0.0, 0.0
    for score in scores:
        difference = score - first
        total += difference
        squares += difference * difference
    mean = total / len(scores)
    variance = squares / len(scores) - mean * mean
    return np.float32(first + mean), np.float32(np.sqrt(variance)) if variance > 0 else np.float32(1)


@njit(cache=True, nogil=True)
def add_standardized(scores: AnyArray, weights: AnyArray, total: AnyArray) -> None:
    """Add each standardized row of `scores` times its weight (m,) to the row of `total` (m, n)."""
    for row in range(scores.shape[0]):
        mean, deviation = mean_and_deviation(scores[row])
        factor = np.float32(weights[row] / deviation)
        for column in range(scores.shape[1]):
            total[row, column] += factor * (scores[row, column] - mean)
