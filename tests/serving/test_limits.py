"""Buckets in memory are token buckets, the same as those that gateways share in Redis."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from throttled import MemoryStore, RateLimiterType, Throttled, per_sec

from recsys_platform.serving.gateway import limits
from recsys_platform.serving.gateway.limits import MemoryBuckets


@given(st.integers(1, 5), st.integers(1, 9), st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), max_size=30))
def test_a_bucket_in_memory_gives_what_the_bucket_of_the_library_gives(
    rate: int, burst: int, takes: list[tuple[int, int]]
) -> None:
    ours, now = MemoryBuckets(rate, burst), 1_000
    library = Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=per_sec(rate, burst=burst), store=MemoryStore())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("throttled.utils.now_sec", lambda: now)
        patch.setattr(limits.time, "monotonic", lambda: float(now))
        for pause, cost in takes:
            now += pause
            expected, found = library.limit("a", cost), ours.take("a", cost)
            assert (found.limited, found.remaining) == (expected.limited, expected.state.remaining)


def test_callers_have_a_bucket_each() -> None:
    buckets = MemoryBuckets(1, 1)
    assert [buckets.take(caller, 1).limited for caller in "aba"] == [False, False, True]
