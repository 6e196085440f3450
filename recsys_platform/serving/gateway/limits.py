"""Limits by tier: a token bucket for each caller, by throttled-py.

Belongs here: the limits and their headers. Does not: the algorithm (the library's).
"""

from collections.abc import Mapping

from throttled import BaseStore, MemoryStore, RateLimiterType, Throttled, per_sec

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Tier
from recsys_platform.serving.gateway.problems import ProblemError

PER_SECOND: Mapping[Tier, tuple[int, int]] = {"free": (5, 20), "premium": (50, 200), "partner": (500, 2000)}
"""Tokens that a tier gets in a second, and at most has."""


class Limits:
    """Takes tokens of a caller's bucket; buckets that share a store are shared by processes."""

    def __init__(self, store: BaseStore | None = None) -> None:
        """`store`: where the buckets are kept, by default in memory."""
        store = store or MemoryStore()
        self._buckets = {
            tier: Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=per_sec(rate, burst=burst), store=store)
            for tier, (rate, burst) in PER_SECOND.items()
        }

    def take(self, caller: Caller, cost: int) -> dict[str, str]:
        """Take tokens; return the `RateLimit` headers. Raises a problem with `Retry-After` if there are too few."""
        found = self._buckets[caller.tier].limit(f"{caller.tier}:{caller.name}", cost)
        state = found.state
        rate, burst = PER_SECOND[caller.tier]
        reset = max(1, round(state.reset_after))
        headers = {
            "ratelimit": f'"{caller.tier}";r={max(0, state.remaining)};t={reset}',
            "ratelimit-policy": f'"{caller.tier}";q={burst};w={max(1, burst // rate)}',
        }
        if found.limited:
            wait = max(1, round(state.retry_after))
            detail = f"The tier {caller.tier} has {rate} tokens a second: try again in {wait} s."
            raise ProblemError("too-many-requests", detail, {**headers, "retry-after": str(wait)})
        return headers
