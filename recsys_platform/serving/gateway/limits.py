"""Limits by tier: a token bucket for each caller, by throttled-py.

Belongs here: the limits and their headers. Does not: the algorithm (the library's).
"""

from collections.abc import Mapping

from throttled import BaseStore, MemoryStore, RateLimiterType, Throttled, per_sec

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Tier, checked_tier
from recsys_platform.serving.gateway.problems import ProblemError

Quotas = Mapping[Tier, tuple[int, int]]
"""Tokens that a tier gets in a second, and at most has."""
DEFAULTS = "free=5/20 premium=50/200 partner=500/2000"


def parse_quotas(text: str) -> Quotas:
    """Return the quotas of a text such as DEFAULTS, which the settings have validated."""
    found = (part.replace("=", "/").split("/") for part in text.split())
    return {checked_tier(tier): (int(rate), int(burst)) for tier, rate, burst in found}


class Limits:
    """Takes tokens of a caller's bucket; buckets that share a store are shared by processes."""

    def __init__(self, quotas: Quotas | None = None, store: BaseStore | None = None) -> None:
        """`quotas`: of each tier. `store`: where the buckets are kept, by default in memory."""
        store, self.quotas = store or MemoryStore(), quotas or parse_quotas(DEFAULTS)
        self._buckets = {
            tier: Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=per_sec(rate, burst=burst), store=store)
            for tier, (rate, burst) in self.quotas.items()
        }

    def take(self, caller: Caller, cost: int) -> dict[str, str]:
        """Take tokens; return the `RateLimit` headers. Raises a problem with `Retry-After` if there are too few."""
        found = self._buckets[caller.tier].limit(f"{caller.tier}:{caller.name}", cost)
        state = found.state
        rate, burst = self.quotas[caller.tier]
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
