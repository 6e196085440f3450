"""Slots of a list where books are tried out at random, with the probability of what was shown.

Belongs here: drawing, and the exact propensities that off-policy evaluation (off_policy.py) divides by. Does not: which books may be
shown (rules.py), logging (serving).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.recommender.ranking import NONE


@dataclass(frozen=True)
class Shown:
    """`books` (m, k), and with which probability each of them was to stand at its rank: 1 where nothing was drawn, 0 for none."""

    books: IntArray
    propensity: DoubleArray


def explore(pool: IntArray, k: int, slots: Sequence[int], seeds: Sequence[int]) -> Shown:
    """Lists of k from pools of ranked books (m, p), the ranks in `slots` (from 1) filled by chance, by one seed a list.

    The best k - len(slots) books of the pool keep their order around the slots. Each slot gets one of the books that are left, all
    with the same probability and none twice: a book left over stands at a given slot with probability 1 / (books left over).
    The same seed gives the same list, whoever else is in the block. Where fewer books are left over than there are slots, nothing
    is drawn.
    """
    places = np.array(sorted({slot - 1 for slot in slots if 1 <= slot <= k}), dtype=np.int64)
    count = (pool != NONE).sum(axis=1)
    fixed = k - len(places)
    left = np.maximum(count - fixed, 0)
    books = _padded(pool, k)
    propensity = (books != NONE).astype(np.float64)
    draws = left > len(places)
    if not len(places) or not draws.any():
        return Shown(books, propensity)
    others = np.setdiff1d(np.arange(k), places)
    drawn = _drawn(pool[draws], fixed, left[draws], np.asarray(seeds, dtype=np.uint64)[draws], len(places))
    mixed = np.empty((int(draws.sum()), k), np.int32)
    mixed[:, others], mixed[:, places] = pool[draws][:, :fixed], drawn
    books[draws] = mixed
    propensity[np.ix_(draws, places)] = 1 / left[draws][:, None]
    return Shown(books, propensity)


def _padded(pool: IntArray, k: int) -> IntArray:
    width = max(0, k - pool.shape[1])
    return np.pad(pool, ((0, 0), (0, width)), constant_values=NONE)[:, :k].astype(np.int32)


def _drawn(pool: IntArray, fixed: int, left: IntArray, seeds: AnyArray, slots: int) -> IntArray:
    """The books with the smallest random keys: a uniform draw without replacement, in random order."""
    rest = pool[:, fixed:]
    keys = _mixed(
        seeds[:, None] + np.arange(1, rest.shape[1] + 1, dtype=np.uint64)[None, :] * np.uint64(0x9E3779B97F4A7C15)
    )
    keys[np.arange(rest.shape[1])[None, :] >= left[:, None]] = np.iinfo(np.uint64).max
    order = np.argsort(keys, axis=1, kind="stable")[:, :slots]
    return np.take_along_axis(rest, order, axis=1)


def _mixed(values: AnyArray) -> AnyArray:
    """SplitMix64's finalizer (Steele, Lea & Flood 2014): neighbouring numbers become unlike."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)))
