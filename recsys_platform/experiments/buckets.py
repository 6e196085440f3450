"""Buckets: each unit is in one of 10,000 for each salt, and each variant owns some of them.

Belongs here: the bucket of a unit, in Python and in SQL, the buckets of weights, and which buckets change hands when weights change.
Does not: experiments (assignment.py).
"""

import hashlib
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

BUCKETS = 10_000


class Range(NamedTuple):
    """Buckets from `start` up to `end`, which is left out, and the number of the variant that owns them."""

    owner: int
    start: int
    end: int


def bucket(salt: str, unit: str) -> int:
    """Return the bucket of a unit, 0 to 9999, uniform and independent for each salt."""
    digest = hashlib.md5(f"{salt}:{unit}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % BUCKETS


def bucket_sql(salt: str, unit: str) -> str:
    """Return the bucket as an expression of SQL over two expressions of text, as the macro `experiment_bucket` has it.

    Digits of MD5 by their position, because the engines have no function in common that reads hexadecimal numbers.
    """
    digits = (
        f"(position(substr(md5({salt} || ':' || {unit}), {place}, 1) in '0123456789abcdef') - 1)"
        for place in range(1, 9)
    )
    terms = (f"{digit} * {16 ** (8 - place) % BUCKETS}" for place, digit in enumerate(digits, 1))
    return f"mod({' + '.join(terms)}, {BUCKETS})"


def sizes_of(weights: Iterable[float]) -> list[int]:
    """The numbers of buckets of weights, which are percents."""
    return [round(weight * BUCKETS / 100) for weight in weights]


def ranges_of(sizes: Sequence[int]) -> Iterator[Range]:
    """Yield the ranges of variants of these sizes: each owns the beginning of its own part of the buckets, of n equal parts, and what
    does not fit there the ends of the other parts.
    """
    starts = [BUCKETS * index // len(sizes) for index in range(len(sizes) + 1)]
    own = [min(size, end - start) for size, (start, end) in zip(sizes, pairwise(starts), strict=True)]
    yield from (Range(index, starts[index], starts[index] + size) for index, size in enumerate(own) if size)
    free = [(starts[index] + size, starts[index + 1]) for index, size in enumerate(own)]
    for index, size in enumerate(sizes):
        left = size - own[index]
        for place, (start, end) in enumerate(free):
            taken = min(left, end - start)
            if taken:
                yield Range(index, end - taken, end)
                free[place], left = (start, end - taken), left - taken


def moved_ranges(
    before: Iterable[Range], sizes: Sequence[int], others: Iterable[tuple[int, int]] = ()
) -> tuple[Range, ...]:
    """Return the ranges of other sizes such that as few units as possible change their variant.

    Who shrinks gives up the last buckets. Who grows takes those first, then buckets that nobody owns, the next ones behind its own. So
    the buckets that change hands are half the sum of all changes, what is outside included. `others`: ranges that are not free.
    """
    owners = _owners_of([*before, *(Range(_OTHER, start, end) for start, end in others)])
    for index, size in enumerate(sizes):
        for at in _buckets_of(owners, index)[size:]:
            owners[at] = _GIVEN_UP
    for index, size in enumerate(sizes):
        own = _buckets_of(owners, index)
        last, missing = own[-1] if own else -1, max(0, size - len(own))
        free = (*_behind(last, _buckets_of(owners, _GIVEN_UP)), *_behind(last, _buckets_of(owners, _NOBODY)))
        for at in free[:missing]:
            owners[at] = index
    return tuple(each for each in _ranges_in(owners) if each.owner >= 0)


_NOBODY, _OTHER, _GIVEN_UP = -1, -2, -3


def _behind(last: int, buckets: list[int]) -> list[int]:
    """Buckets in the order in which they follow one, from the beginning again after the end."""
    place = bisect(buckets, last)
    return [*buckets[place:], *buckets[:place]]


def moved_buckets(before: Iterable[Range], after: Iterable[Range]) -> int:
    """Return how many buckets have another owner, or none any more, or had none."""
    return sum(a != b for a, b in zip(_owners_of(before), _owners_of(after), strict=True))


def _owners_of(ranges: Iterable[Range]) -> list[int]:
    owners = [_NOBODY] * BUCKETS
    for owner, start, end in ranges:
        owners[start:end] = [owner] * (end - start)
    return owners


def _buckets_of(owners: Sequence[int], owner: int) -> list[int]:
    return [at for at, each in enumerate(owners) if each == owner]


def _ranges_in(owners: Sequence[int]) -> Iterator[Range]:
    for owner, places in groupby(range(len(owners)), key=lambda at: owners[at]):
        own = list(places)
        yield Range(owner, own[0], own[-1] + 1)


def text_of(ranges: Iterable[tuple[int, int]]) -> str:
    """Ranges as a text such as `0-999 5000-5499`: the first and the last bucket of each."""
    return " ".join(f"{start}-{end - 1}" for start, end in ranges)


def parse_ranges(text: str) -> tuple[tuple[int, int], ...]:
    """The ranges of a text such as `0-999 5000-5499`, each with its end, which is left out."""
    pairs = (part.partition("-") for part in text.split())
    return tuple((int(first), int(last) + 1) for first, _, last in pairs)


def overlap(ranges: Iterable[tuple[int, int]]) -> tuple[int, int] | None:
    """The first range that begins before another one ends; None if no two share a bucket."""
    return next((second for first, second in pairwise(sorted(ranges)) if second[0] < first[1]), None)
