"""Metrics of ranked lists, for many users at once.

Belongs here: functions of `hits` and `relevant`. Does not: how lists are made (ranking.py), averages over users and
their intervals (evaluation.py).

`hits`: boolean, shape (n_users, k), whether the book at each rank is relevant, best rank first; a list shorter than k
is padded with False. `relevant`: shape (n_users,), how many books are relevant to each user. All metrics are per user,
shape (n_users,), between 0 and 1, and 0 for a user with nothing relevant.
"""

import numpy as np

from recsys_platform.recommender.arrays import BoolArray, Csr, DoubleArray, IntArray


def hits_of(books: IntArray, test: Csr) -> BoolArray:
    """Which of the ranked `books` (n_users, k), -1 for none, are relevant by `test` (n_users, n_books), row for row."""
    rows = np.arange(len(books))[:, None]
    found = test[np.broadcast_to(rows, books.shape).ravel(), np.maximum(books, 0).ravel()]
    return np.asarray(found, dtype=bool).reshape(books.shape) & (books >= 0)


def ndcg(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Normalised discounted cumulative gain with binary gains (Järvelin & Kekäläinen 2002).

    DCG = Σ hit / log2(rank + 1), divided by the DCG of an ideal list, which has min(k, relevant) hits on top.
    """
    k = hits.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discount)))[np.minimum(relevant, k)]
    return _ratio(np.asarray(hits @ discount), ideal)


def average_precision(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Σ precision at each hit's rank, divided by min(k, relevant), so that a perfect list has 1; its mean is MAP@k.

    Manning, Raghavan & Schütze (2008), section 8.4, cut at k.
    """
    k = hits.shape[1]
    precision_at: DoubleArray = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _ratio(np.asarray((precision_at * hits).sum(axis=1)), np.minimum(relevant, k))


def precision(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Hits divided by k, also where the list is shorter."""
    return _ratio(hits.sum(axis=1), np.full(len(hits), hits.shape[1]))


def recall(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Hits divided by the number of relevant books (not by at most k: it cannot reach 1 where that is larger)."""
    return _ratio(hits.sum(axis=1), relevant)


def hit_rate(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """1 if there is a hit at all."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def coverage(books: IntArray, n_books: int) -> float:
    """The share of the catalogue that stands in at least one of the lists; it grows with the number of lists."""
    return len(np.unique(books[books >= 0])) / n_books if n_books else 0.0


def _ratio(numerator: DoubleArray, denominator: DoubleArray | IntArray) -> DoubleArray:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
