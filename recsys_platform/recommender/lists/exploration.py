"""Slots of a list where books are tried out at random, with the probability of what was shown.

Belongs here: drawing, and the exact propensities that off-policy evaluation (evaluation/off_policy.py) divides by. Does not: which
books may be shown (rules.py), logging (serving).
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from recsys_platform.recommender.arrays import AnyArray, DoubleArray, IntArray
from recsys_platform.recommender.ranking.top_k import NONE


@dataclass(frozen=True)
class Shown:
    """`books` (m, k), and with which probability each of them was to stand at its rank: 1 where nothing was drawn, 0 for none."""

    books: IntArray
    propensity: DoubleArray


def seed_of(*parts: str) -> int:
    """A seed of 64 bits that the same texts, such as reader and request, give on any machine."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8])


def explore(
    pool: IntArray, k: int, slots: Sequence[int], seeds: Sequence[int], *, staying: Collection[int] = ()
) -> Shown:
    """Lists of k from pools of ranked books (m, p), the ranks in `slots` (from 1) filled by chance, by one seed a list.

    What stands at the ranks in `staying`, such as promoted books, stays there; such a rank is no slot. The best of the others keep
    their order around both. Each slot gets one of the books that are left, all with the same probability and none twice: a book
    left over stands at a given slot with probability 1 / (books left over). The same seed gives the same list, whoever else is in
    the block. Where no more books are left over than there are slots, nothing is drawn.
    """
    books = _padded(pool, k)
    propensity = (books != NONE).astype(np.float64)
    stay, places, others = _kinds_of_places(k, slots, staying)
    rest = np.delete(pool, stay[stay < pool.shape[1]], axis=1)
    left = np.maximum((rest != NONE).sum(axis=1) - len(others), 0)
    draws = np.flatnonzero(left > len(places))
    if not len(places) or not len(draws):
        return Shown(books, propensity)
    seeds_of_draws = np.asarray(seeds, dtype=np.uint64)[draws]
    books[np.ix_(draws, others)] = rest[draws][:, : len(others)]
    books[np.ix_(draws, places)] = _drawn(rest[draws], len(others), left[draws], seeds_of_draws, len(places))
    propensity[np.ix_(draws, places)] = 1 / left[draws][:, None]
    return Shown(books, propensity)


def _kinds_of_places(k: int, slots: Sequence[int], staying: Collection[int]) -> tuple[AnyArray, AnyArray, AnyArray]:
    """The places of a list, from 0: those that stay, those that are drawn, and the others."""
    stay = np.array(sorted({rank - 1 for rank in staying if 1 <= rank <= k}), dtype=np.int64)
    drawn = np.setdiff1d(np.array([slot - 1 for slot in slots if 1 <= slot <= k], dtype=np.int64), stay)
    return stay, drawn, np.setdiff1d(np.arange(k), np.concatenate([stay, drawn]))


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
