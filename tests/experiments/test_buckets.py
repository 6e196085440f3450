"""When weights change, as few visitors as possible change their variant."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.experiments.buckets import (
    BUCKETS,
    Range,
    moved_buckets,
    moved_ranges,
    overlap,
    parse_ranges,
    ranges_of,
    sizes_of,
    text_of,
)

HISTORIES = st.integers(1, 5).flatmap(
    lambda variants: st.lists(
        st.lists(st.integers(1, BUCKETS // 5), min_size=variants, max_size=variants), min_size=2, max_size=4
    )
)
"""Numbers of buckets of some variants, changed a few times."""


def owned(ranges: Sequence[Range], variants: int) -> list[int]:
    return [sum(end - start for owner, start, end in ranges if owner == index) for index in range(variants)]


@given(HISTORIES)
@settings(max_examples=60)
def test_each_change_of_weights_moves_half_the_sum_of_the_differences_and_not_one_visitor_more(
    history: list[list[int]],
) -> None:
    ranges = tuple(ranges_of(history[0]))
    for before, after in pairwise(history):
        moved = moved_ranges(ranges, after)
        assert owned(moved, len(after)) == after
        differences = [abs(new - old) for old, new in zip(before, after, strict=True)] + [abs(sum(after) - sum(before))]
        assert moved_buckets(ranges, moved) == sum(differences) / 2
        ranges = moved


@given(HISTORIES, st.integers(0, BUCKETS - 100))
@settings(max_examples=30)
def test_what_others_own_is_left_to_them(history: list[list[int]], first: int) -> None:
    others = (first, first + 100)
    given_sizes = [size * 4 // 5 for size in history[0]]
    found = moved_ranges((), given_sizes, [others])
    assert owned(found, len(given_sizes)) == given_sizes
    assert overlap([others, *((start, end) for _, start, end in found)]) is None


def test_who_grows_goes_on_behind_its_own_buckets() -> None:
    first = moved_ranges((), [100, 100])
    assert first == (Range(0, 0, 100), Range(1, 100, 200))
    assert moved_ranges(first, [150, 50]) == (Range(0, 0, 100), Range(1, 100, 150), Range(0, 150, 200))


def test_weights_alike_stay_in_two_ranges_however_often_they_are_ramped() -> None:
    ranges: tuple[Range, ...] = tuple(ranges_of(sizes_of([1, 1])))
    for weight in (5.0, 10.0, 25.0, 50.0):
        ranges = moved_ranges(ranges, sizes_of([weight, weight]))
    assert ranges == tuple(ranges_of(sizes_of([50, 50])))


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 999)), max_size=4))
def test_ranges_are_read_as_they_are_written(pairs: list[tuple[int, int]]) -> None:
    ranges = tuple((start, start + size) for start, size in pairs)
    assert parse_ranges(text_of(ranges)) == ranges
