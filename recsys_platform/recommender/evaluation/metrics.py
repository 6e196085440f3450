"""Metrics of ranked lists, for many users at once.

Belongs here: functions of `hits` and `relevant`. Does not: ranking (ranking/top_k.py), means over users and their intervals
(evaluate.py).

`hits`: boolean, shape (n_users, k), whether the book at each rank is relevant, best rank first; a list shorter than k
is padded with False. `relevant`: shape (n_users,), how many books are relevant to each user. All metrics of these two are per user,
shape (n_users,), between 0 and 1, and 0 for a user with nothing relevant. `books`: shape (n_users, k), -1 for none.
"""

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import BoolArray, Csr, DoubleArray, FloatArray, IntArray
from recsys_platform.recommender.ranking.kernels import count_misordered_pairs


def hits_of(books: IntArray, test: Csr) -> BoolArray:
    """Return which ranked `books` (n_users, k; -1 for none) are relevant by `test` (n_users, n_books), row by row."""
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
    return _divide_or_zero(np.asarray(hits @ discount), ideal)


def average_precision(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Σ precision at each hit's rank, divided by min(k, relevant), so that a perfect list has 1; its mean is MAP@k.

    Manning, Raghavan & Schütze (2008), section 8.4, cut at k.
    """
    k = hits.shape[1]
    precision_at: DoubleArray = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _divide_or_zero(np.asarray((precision_at * hits).sum(axis=1)), np.minimum(relevant, k))


def precision(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Hits divided by k, also where the list is shorter."""
    return _divide_or_zero(hits.sum(axis=1), np.full(len(hits), hits.shape[1]))


def recall(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """Hits divided by the number of relevant books (not by at most k: it cannot reach 1 where that is larger)."""
    return _divide_or_zero(hits.sum(axis=1), relevant)


def hit_rate(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """1 if there is any hit, else 0."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def reciprocal_rank(hits: BoolArray, relevant: IntArray) -> DoubleArray:
    """1 divided by the rank of the first hit, 0 if there is none; its mean is MRR@k (Voorhees 1999)."""
    first = 1 / (np.argmax(hits, axis=1) + 1)
    return np.where(hits.any(axis=1) & (relevant > 0), first, 0.0)


def auc(scores: FloatArray, test: Csr, exclude: Csr) -> DoubleArray:
    """Share of (relevant, other) pairs of books in the right order, ties counting half; shape (n_users,).

    All books but those of `exclude` are ranked; all three have shape (n_users, n_books). 0.5 for a user to whom nothing or
    everything is relevant. Fawcett (2006), section 7: equal to the area under the ROC curve.
    """
    wrong = np.empty(len(scores))
    count_misordered_pairs(scores, test.indptr, test.indices, exclude.indptr, exclude.indices, wrong)
    relevant = np.diff(test.indptr)
    pairs = relevant * (scores.shape[1] - np.diff(exclude.indptr) - relevant)
    return np.where(pairs > 0, 1 - wrong / np.maximum(pairs, 1), 0.5)


def novelty(books: IntArray, likes: IntArray, n_users: int) -> DoubleArray:
    """The mean of -log2 of the share of users who liked each listed book, in bits (Zhou et al. 2010), one like more added to each."""
    surprise = -np.log2((likes + 1) / (n_users + 1))
    return _mean_over_list(surprise[np.maximum(books, 0)], books)


def popularity_lift(books: IntArray, percentile: DoubleArray, own: DoubleArray) -> DoubleArray:
    """How much more popular the listed books are than those the user liked before, in shares of the item catalog.

    `percentile`: the share of books that are less popular than each book. `own`: its mean over what each user liked. Above 0 the
    model has a popularity bias (Abdollahpouri et al. 2019).
    """
    return _mean_over_list(percentile[np.maximum(books, 0)], books) - own


def diversity(books: IntArray, features: Csr) -> DoubleArray:
    """1 minus the mean cosine of the features of two listed books (Ziegler et al. 2005); 0 for lists of fewer than two.

    `features`: shape (n_books, n_features), rows of length 1 or 0; a book without features is similar to no other.
    """
    listed, count = books >= 0, (books >= 0).sum(axis=1)
    rows = np.repeat(np.arange(len(books)), count)
    lists = sparse.csr_array((np.ones(len(rows)), (rows, books[listed])), shape=(len(books), features.shape[0]))
    together = lists @ features
    squares: DoubleArray = np.asarray(together.multiply(together).sum(axis=1)).ravel()
    alone = lists @ np.asarray(features.multiply(features).sum(axis=1)).ravel()
    pairs = count * (count - 1)
    return np.where(pairs > 0, 1 - (squares - alone) / np.maximum(pairs, 1), 0.0)


def coverage(books: IntArray, n_books: int) -> float:
    """Share of the item catalog that is in at least one list; it grows with the number of lists."""
    return len(np.unique(books[books >= 0])) / n_books if n_books else 0.0


def _mean_over_list(values: DoubleArray, books: IntArray) -> DoubleArray:
    listed = books >= 0
    return _divide_or_zero((values * listed).sum(axis=1), listed.sum(axis=1))


def _divide_or_zero(numerator: DoubleArray, denominator: DoubleArray | IntArray) -> DoubleArray:
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator > 0)
