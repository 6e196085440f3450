"""Exclusion rules: which books may be recommended to whom.

Belongs here: rules that exclude books before ranking, for all readers at once. Does not: rules about a list as a whole
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
    """Which books are excluded from a reader's list.

    `finished`: books the reader finished; liked books if no finished books are recorded at all. `rejected`: books the reader dislikes
    (a weight below 0), or removed or dismissed last. `unavailable`: books that cannot be opened now. `premium`: premium books, for
    readers on the free tier. `language`: `own` keeps only books in the reader's language, if it is known and has any offered book.
    """

    finished: bool = True
    rejected: bool = True
    unavailable: bool = True
    premium: bool = True
    language: Literal["any", "own"] = "any"


def apply_rules(
    rules: Rules, data: Dataset, *, blocked: BoolArray | None = None, exclude: Csr | None = None
) -> Allowed:
    """Return the rules as book masks by group of readers (language and tier), and as excluded pairs.

    `blocked` (n_books,): books excluded for all readers. `exclude` (n_users, n_books): further pairs, such as recently shown books.
    """
    language, languages = _language_groups(rules, data)
    free = data.is_free if rules.premium else np.zeros(data.shape[0], dtype=bool)
    group = (2 * language + free).astype(np.int32)
    offered = offered_by_tier(rules, data, blocked)
    books = np.concatenate([in_language(name, offered, data) for name in languages])
    known = _already_met(rules, data, books, group)
    return Allowed(books, group, _excluded_pairs(rules, data, known, exclude))


def apply_rules_to_reader(
    rules: Rules, data: Dataset, *, language: str, free: bool, out: Sequence[int], blocked: BoolArray | None = None
) -> Allowed:
    """Return the rules for one reader, in the data set or not, as row 0.

    `language`: primary subtag, empty if unknown. `free`: on the free tier. `out`: indexes of the reader's finished, removed and
    dismissed books, as far as the rules exclude them, and any further ones.
    """
    books = in_language(language if rules.language == "own" else "", offered_by_tier(rules, data, blocked), data)
    pairs = pair_matrix(np.zeros(len(out), np.int32), np.asarray(out, np.int32), (1, data.shape[1]))
    return Allowed(books[[int(free and rules.premium)]], exclude=pairs)


def offered_by_tier(rules: Rules, data: Dataset, blocked: BoolArray | None) -> BoolArray:
    """Books offered to premium and to free readers, shape (2, n_books)."""
    offered = np.repeat(data.available[None, :] | (not rules.unavailable), 2, axis=0)
    if blocked is not None:
        offered &= ~blocked
    offered[1] &= ~data.premium
    return offered


def in_language(name: str, offered: BoolArray, data: Dataset) -> BoolArray:
    """The books offered to each tier (2, n_books) in a language, or all of them if there are none."""
    own = offered & (data.book_language == name)
    return np.where(own.any(axis=1, keepdims=True) & (name != ""), own, offered)


def _language_groups(rules: Rules, data: Dataset) -> tuple[IntArray, list[str]]:
    if rules.language == "any":
        return np.zeros(data.shape[0], dtype=np.int32), [""]
    names, places = np.unique(data.user_language.astype(str), return_inverse=True)
    return places.astype(np.int32), names.tolist() or [""]


def _excluded_pairs(rules: Rules, data: Dataset, known: BoolArray, exclude: Csr | None) -> Csr:
    rows = data.interactions
    out = _finished_or_rejected(rules, data) | (known & rules.finished)
    pairs = pair_matrix(rows.user[out], rows.book[out], data.shape)
    return pairs if exclude is None else sparse.csr_array(pairs + exclude.astype(bool))


def _finished_or_rejected(rules: Rules, data: Dataset) -> BoolArray:
    """Flags of the interactions that the rules exclude as finished or rejected."""
    rows = data.interactions
    return np.asarray((rows.finished & rules.finished) | (rows.rejected & rules.rejected))


def _already_met(rules: Rules, data: Dataset, books: BoolArray, group: IntArray) -> BoolArray:
    """Flags of positives that are excluded like finished books, if no finished books are recorded (e.g. opened books only).

    `books`: offered books by group of readers. A reader whose positives are at least half of the remaining books keeps them, because
    too few books would be left.
    """
    rows = data.interactions
    if data.signal.is_liked and rows.finished.any():
        return np.zeros(len(rows), dtype=bool)
    gone = _finished_or_rejected(rules, data)
    lost = np.bincount(rows.user[gone & books[group[rows.user], rows.book]], minlength=data.shape[0])
    met = np.bincount(rows.user[rows.positive & ~gone], minlength=data.shape[0])
    return np.asarray(rows.positive & (2 * met < books.sum(axis=1)[group] - lost)[rows.user])
