"""What may be recommended to whom.

Belongs here: rules that take books out before ranking, for all readers at once. Does not: rules about a list as a whole
(reranking.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from recsys_platform.recommender.arrays import BoolArray, Csr, IntArray
from recsys_platform.recommender.data.dataset import Dataset, pair_matrix
from recsys_platform.recommender.ranking.top_k import Allowed


@dataclass(frozen=True)
class Rules:
    """Which books are left out of a reader's list.

    `finished`: those the reader finished; where nothing tells that any book was read, those that count as liked. `rejected`: those
    the reader dislikes (a weight below 0), or removed or dismissed last. `unavailable`: those that cannot be opened now. `premium`:
    premium books, for readers on the free tier. `language`: `own` leaves only books in the reader's language, where it is known and
    any of them is offered.
    """

    finished: bool = True
    rejected: bool = True
    unavailable: bool = True
    premium: bool = True
    language: Literal["any", "own"] = "any"


def allowed_by(rules: Rules, data: Dataset, *, never: BoolArray | None = None, exclude: Csr | None = None) -> Allowed:
    """The rules as masks by group of readers, a group for each language and tier, and as pairs that are left out.

    `never` (n_books,): books that nobody is offered. `exclude` (n_users, n_books): further pairs, such as what was shown just now.
    """
    language, languages = _languages(rules, data)
    free = data.is_free if rules.premium else np.zeros(data.shape[0], dtype=bool)
    group = (2 * language + free).astype(np.int32)
    offered = _offered(rules, data, never)
    books = np.concatenate([_in_language(name, offered, data) for name in languages])
    known = _known(rules, data, books, group)
    return Allowed(books, group, _pairs(rules, data, known, exclude))


def allowed_to_one(
    rules: Rules, data: Dataset, *, language: str, free: bool, out: Sequence[int], never: BoolArray | None = None
) -> Allowed:
    """The same for one reader as of now, whether the data set knows that reader or not; about row 0 and no other.

    `language`: the primary subtag, empty if unknown. `out`: the books that the reader finished, removed or dismissed, as far as
    the rules leave them out, and any further ones.
    """
    books = _in_language(language if rules.language == "own" else "", _offered(rules, data, never), data)
    pairs = pair_matrix(np.zeros(len(out), np.int32), np.asarray(out, np.int32), (1, data.shape[1]))
    return Allowed(books[[int(free and rules.premium)]], exclude=pairs)


def _offered(rules: Rules, data: Dataset, never: BoolArray | None) -> BoolArray:
    """Which books are offered to premium and to free readers, shape (2, n_books)."""
    offered = np.repeat(data.available[None, :] | (not rules.unavailable), 2, axis=0)
    if never is not None:
        offered &= ~never
    offered[1] &= ~data.premium
    return offered


def _in_language(name: str, offered: BoolArray, data: Dataset) -> BoolArray:
    """Of the books offered to each tier (2, n_books) those in a language, or all of them where that leaves none."""
    own = offered & (data.book_language == name)
    return np.where(own.any(axis=1, keepdims=True) & (name != ""), own, offered)


def _languages(rules: Rules, data: Dataset) -> tuple[IntArray, list[str]]:
    if rules.language == "any":
        return np.zeros(data.shape[0], dtype=np.int32), [""]
    names, places = np.unique(data.user_language.astype(str), return_inverse=True)
    return places.astype(np.int32), names.tolist() or [""]


def _pairs(rules: Rules, data: Dataset, known: BoolArray, exclude: Csr | None) -> Csr:
    rows = data.interactions
    out = _gone(rules, data) | (known & rules.finished)
    pairs = pair_matrix(rows.user[out], rows.book[out], data.shape)
    return pairs if exclude is None else sparse.csr_array(pairs + exclude.astype(bool))


def _gone(rules: Rules, data: Dataset) -> BoolArray:
    """Of the pairs, those of which the rules say so themselves: finished, rejected."""
    rows = data.interactions
    return np.asarray((rows.finished & rules.finished) | (rows.rejected & rules.rejected))


def _known(rules: Rules, data: Dataset, books: BoolArray, group: IntArray) -> BoolArray:
    """What readers met already where nothing tells what they read, such as opened books: lists of these tell them nothing.

    `books`: which are offered to each group of readers. Who met half as many as are left without what is finished or rejected keeps
    them, or little would be left.
    """
    rows = data.interactions
    if data.signal.is_liked and rows.finished.any():
        return np.zeros(len(rows), dtype=bool)
    gone = _gone(rules, data)
    lost = np.bincount(rows.user[gone & books[group[rows.user], rows.book]], minlength=data.shape[0])
    met = np.bincount(rows.user[rows.positive & ~gone], minlength=data.shape[0])
    return np.asarray(rows.positive & (2 * met < books.sum(axis=1)[group] - lost)[rows.user])
