"""Caches are bounded by bytes: what was used longest ago is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.serving.bounded import BoundedCache


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    cache: BoundedCache[str] = BoundedCache(30)
    for key in "abc":
        cache.keep(key, key.upper(), 10)
    assert cache.get("a") == "A"
    cache.keep("d", "D", 10)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_an_entry_that_is_larger_than_the_cache_is_not_kept() -> None:
    cache: BoundedCache[str] = BoundedCache(30)
    cache.keep("large", "L", 31)
    assert cache.get("large") is None
    assert (cache.bytes, len(cache)) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=40))
def test_the_bytes_of_a_cache_are_those_of_its_entries_and_never_too_many(kept: list[tuple[int, int]]) -> None:
    cache: BoundedCache[int] = BoundedCache(100)
    for key, size in kept:
        cache.keep(key, size, size)
        assert cache.bytes == sum(found for each in range(6) if (found := cache.get(each))) <= 100
