"""Exploration: slots of a list that are filled at random, with propensities.

Belongs here: the draw and the exact propensities for off-policy evaluation (experiments/off_policy.py). Does not: which books may be
shown (rules.py), logging (serving).
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.recommender.ranking.top_k import NONE


@dataclass(frozen=True)
class Shown:
    """`books` (m, k) and their propensities, the probability of each book at its rank: 1 without a draw, 0 for no book."""

    books: IntArray
    propensity: DoubleArray


def seed_of(*parts: str) -> int:
    """Return a 64-bit seed from texts such as reader and request, equal on any machine."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8])


def explore(
    pool: IntArray, k: int, slots: Sequence[int], seeds: Sequence[int], *, fixed_ranks: Collection[int] = ()
) -> Shown:
    """Build lists of k from pools of ranked books (m, p), with the ranks in `slots` (from 1) filled at random.

    Books at the ranks in `fixed_ranks`, such as promoted books, keep their rank; such a rank is not a slot. The best other books
    keep their order around both. Each slot gets one of the remaining books, uniformly and without replacement, so the propensity is
    1 / (remaining books). If there are no more remaining books than slots, nothing is drawn. Deterministic by the seed of each list.
    """
    books = _pad_pool(pool, k)
    propensity = (books != NONE).astype(np.float64)
    if not slots:
        return Shown(books, propensity)
    fixed_at, slots_at, others_at = _partition_positions(k, slots, fixed_ranks)
    rest = np.delete(pool, fixed_at[fixed_at < pool.shape[1]], axis=1)
    left = np.maximum((rest != NONE).sum(axis=1) - len(others_at), 0)
    draws = np.flatnonzero(left > len(slots_at))
    if not len(slots_at) or not len(draws):
        return Shown(books, propensity)
    seeds_of_draws = np.asarray(seeds, dtype=np.uint64)[draws]
    books[np.ix_(draws, others_at)] = rest[draws][:, : len(others_at)]
    books[np.ix_(draws, slots_at)] = _draw_books(
        rest[draws], len(others_at), left[draws], seeds_of_draws, len(slots_at)
    )
    propensity[np.ix_(draws, slots_at)] = 1 / left[draws][:, None]
    return Shown(books, propensity)


def propensity_after_draw(place: AnyArray, gaps: AnyArray, *, left: int, drawn: int) -> DoubleArray:
    """Return the probability of each book that was not drawn at its position behind the slots.

    `place`: number of the book among the `left` books to draw from, from 0; a larger one for a book behind them. `gaps`: how many of
    the `drawn` books stood before it: each moves it up by one position. All subsets of so many books are equally likely.
    """
    inside = np.minimum(place, left)
    others = np.where(place < left, left - 1 - inside, 0)
    ways = _log_binomial(inside, gaps) + _log_binomial(others, drawn - gaps)
    return np.asarray(np.exp(ways - _log_binomial(np.asarray(left), np.asarray(drawn))), dtype=np.float64)


def _log_binomial(n: AnyArray, k: AnyArray) -> DoubleArray:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)


def _partition_positions(
    k: int, slots: Sequence[int], fixed_ranks: Collection[int]
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The positions of a list, from 0: fixed ones, drawn ones, and the others."""
    fixed_at = np.array(sorted({rank - 1 for rank in fixed_ranks if 1 <= rank <= k}), dtype=np.int64)
    drawn = np.setdiff1d(np.array([slot - 1 for slot in slots if 1 <= slot <= k], dtype=np.int64), fixed_at)
    return fixed_at, drawn, np.setdiff1d(np.arange(k), np.concatenate([fixed_at, drawn]))


def _pad_pool(pool: IntArray, k: int) -> IntArray:
    width = max(0, k - pool.shape[1])
    return np.pad(pool, ((0, 0), (0, width)), constant_values=NONE)[:, :k].astype(np.int32)


def _draw_books(pool: IntArray, fixed: int, left: IntArray, seeds: AnyArray, slots: int) -> IntArray:
    """The books with the smallest random keys: a uniform draw without replacement, in random order."""
    rest = pool[:, fixed:]
    keys = _splitmix64(
        seeds[:, None] + np.arange(1, rest.shape[1] + 1, dtype=np.uint64)[None, :] * np.uint64(0x9E3779B97F4A7C15)
    )
    keys[np.arange(rest.shape[1])[None, :] >= left[:, None]] = np.iinfo(np.uint64).max
    order = np.argsort(keys, axis=1, kind="stable")[:, :slots]
    return np.take_along_axis(rest, order, axis=1)


def _splitmix64(values: AnyArray) -> AnyArray:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014), a hash of integers."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
