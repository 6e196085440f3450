"""Limits by tier: a token bucket for each caller, by throttled-py.

Belongs here: the limits and their headers. Does not: the algorithm (the library's).
"""

from collections.abc import Mapping

from throttled import BaseStore, MemoryStore, RateLimiterType, RateLimitResult, RedisStore, Throttled, per_sec

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Tier, checked_tier
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.shared_redis import SharedRedis, connection_options

Quotas = Mapping[Tier, tuple[int, int]]
"""Tokens that a tier gets in a second, and at most has."""
DEFAULTS = "free=5/20 premium=50/200 partner=500/2000"


def parse_quotas(text: str) -> Quotas:
    """Return the quotas of a text such as DEFAULTS, which the settings have validated."""
    found = (part.replace("=", "/").split("/") for part in text.split())
    return {checked_tier(tier): (int(rate), int(burst)) for tier, rate, burst in found}


_MOST_CALLERS = 100_000
_LEAST_BURST = 5
"""What a bucket holds at least, however many gateways there are: no request costs more."""


class Limits:
    """Takes tokens of a caller's bucket: of this process, or of all gateways that share a Redis.

    While Redis is away, a caller has a bucket of this process with the limit divided by the number of gateways.
    """

    def __init__(self, quotas: Quotas | None = None, shared: SharedRedis | None = None) -> None:
        """`quotas`: of each tier. `shared`: where gateways have their buckets together, if they do."""
        self.quotas, self._shared = quotas or parse_quotas(DEFAULTS), shared
        self._memory = MemoryStore(options={"MAX_SIZE": _MOST_CALLERS})
        store = _store_of(shared) if shared else self._memory
        self._buckets = {tier: _bucket(store, *quota) for tier, quota in self.quotas.items()}
        self._local: dict[tuple[Tier, int], Throttled] = {}

    def take(self, caller: Caller, cost: int) -> dict[str, str]:
        """Take tokens; return the `RateLimit` headers. Raises a problem with `Retry-After` if there are too few."""
        found = self._limited(caller, cost)
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

    def _limited(self, caller: Caller, cost: int) -> RateLimitResult:
        key, bucket = f"{caller.tier}:{caller.name}", self._buckets[caller.tier]
        if self._shared is None:
            return bucket.limit(key, cost)
        found = self._shared.run(lambda _: bucket.limit(key, cost))
        return found if found is not None else self._local_bucket(caller.tier, self._shared.replicas).limit(key, cost)

    def _local_bucket(self, tier: Tier, gateways: int) -> Throttled:
        """A bucket of this process with a gateway's part of the limit."""
        found = self._local.get((tier, gateways))
        if found is None:
            rate, burst = self.quotas[tier]
            quota = max(1, rate // gateways), max(_LEAST_BURST, burst // gateways)
            found = self._local[tier, gateways] = _bucket(self._memory, *quota)
        return found


def _bucket(store: BaseStore, rate: int, burst: int) -> Throttled:
    return Throttled(using=RateLimiterType.TOKEN_BUCKET.value, quota=per_sec(rate, burst=burst), store=store)


def _store_of(shared: SharedRedis) -> RedisStore:
    return RedisStore(shared.url, {"CONNECTION_POOL_KWARGS": connection_options()})
