"""Limits by tier: a token bucket for each caller, in memory or, by throttled-py, in Redis.

Belongs here: the limits and their headers, the buckets in memory. Does not: those in Redis (the library's).
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from throttled import RateLimiterType, asyncio, per_sec

from recsys_platform.serving.bounded import Bounded
from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Tier, checked_tier
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.replies import Header
from recsys_platform.serving.shared_redis import PerLoop, SharedRedis, connection_options

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


class Taken(NamedTuple):
    """Whether a request is over the limit; the tokens that are left; seconds until the bucket is full and until it has enough."""

    limited: bool
    remaining: int
    reset_after: float
    retry_after: float


class MemoryBuckets:
    """Token buckets of this process, the same as throttled-py's: it refills at full seconds. A take costs a fifth of the library's."""

    def __init__(self, rate: int, burst: int) -> None:
        """`rate`: tokens that a bucket gets in a second. `burst`: what it holds at most."""
        self._rate, self._burst = rate, burst
        self._kept: Bounded[tuple[int, int]] = Bounded(_MOST_CALLERS)

    def take(self, key: str, cost: int) -> Taken:
        """Take tokens from the bucket of a key, if there are enough."""
        now = int(time.monotonic())  # a clock that is set back must not stop the refill
        tokens, since = self._kept.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._rate)
        limited = cost > tokens
        if not limited:
            tokens -= cost
        self._kept.keep(key, (tokens, now))
        return Taken(limited, tokens, (self._burst - tokens) / self._rate, max(0, cost - tokens) / self._rate)


class Limits:
    """Takes tokens of a caller's bucket: of this process, or of all gateways that share a Redis.

    While Redis is away, a caller has a bucket of this process with the limit divided by the number of gateways.
    """

    def __init__(self, quotas: Quotas | None = None, shared: SharedRedis | None = None) -> None:
        """`quotas`: of each tier. `shared`: where gateways have their buckets together, if they do."""
        self.quotas, self._shared = quotas or parse_quotas(DEFAULTS), shared
        self.is_shared = shared is not None
        """Whether gateways have their buckets together: then `take_shared` is to be used."""
        self._buckets = {tier: MemoryBuckets(*quota) for tier, quota in self.quotas.items()}
        self._shared_buckets = PerLoop(self._make_shared_buckets)
        self._policies = {
            tier: (b"ratelimit-policy", f'"{tier}";q={burst};w={max(1, burst // rate)}'.encode())
            for tier, (rate, burst) in self.quotas.items()
        }
        self._local: dict[tuple[Tier, int], MemoryBuckets] = {}

    def take(self, caller: Caller, cost: int) -> Sequence[Header]:
        """Take tokens; return the `RateLimit` headers. Raises a problem with `Retry-After` if there are too few."""
        return self._headers_of(caller, self._buckets[caller.tier].take(caller.name, cost))

    async def take_shared(self, caller: Caller, cost: int) -> Sequence[Header]:
        """Take tokens of the bucket of all gateways, as `take` does; of this process' part of it while Redis is away."""
        assert self._shared is not None  # noqa: S101  # for mypy: `is_shared` is asked before
        bucket, key = self._shared_buckets.get()[caller.tier], _key_of(caller)
        found = await self._shared.run(lambda _: bucket.limit(key, cost))
        if found is None:
            return self._headers_of(caller, self._local_buckets(caller.tier, self._shared.replicas).take(key, cost))
        state = found.state
        taken = Taken(found.limited, state.remaining, state.reset_after, state.retry_after)
        return self._headers_of(caller, taken)

    def _headers_of(self, caller: Caller, taken: Taken) -> Sequence[Header]:
        state = b'"%b";r=%d;t=%d' % (
            caller.tier.encode(),
            max(0, taken.remaining),
            max(1, math.ceil(taken.reset_after)),
        )
        headers = (b"ratelimit", state), self._policies[caller.tier]
        if taken.limited:
            raise self._problem_of(caller, taken, headers)
        return headers

    def _problem_of(self, caller: Caller, taken: Taken, headers: Sequence[Header]) -> ProblemError:
        rate, _ = self.quotas[caller.tier]
        wait = max(1, math.ceil(taken.retry_after))
        detail = f"The tier {caller.tier} has {rate} tokens a second: try again in {wait} s."
        fields = {name.decode(): value.decode() for name, value in headers}
        return ProblemError("too-many-requests", detail, {**fields, "retry-after": str(wait)})

    def _make_shared_buckets(self) -> Mapping[Tier, asyncio.Throttled]:
        assert self._shared is not None  # noqa: S101  # for mypy: only called with Redis
        store = asyncio.RedisStore(self._shared.url, {"CONNECTION_POOL_KWARGS": connection_options()})
        kind = RateLimiterType.TOKEN_BUCKET.value
        return {
            tier: asyncio.Throttled(using=kind, quota=per_sec(rate, burst=burst), store=store)
            for tier, (rate, burst) in self.quotas.items()
        }

    def _local_buckets(self, tier: Tier, gateways: int) -> MemoryBuckets:
        """Buckets of this process with a gateway's part of the limit."""
        found = self._local.get((tier, gateways))
        if found is None:
            rate, burst = self.quotas[tier]
            quota = max(1, rate // gateways), max(_LEAST_BURST, burst // gateways)
            found = self._local[tier, gateways] = MemoryBuckets(*quota)
        return found


def _key_of(caller: Caller) -> str:
    return f"{caller.tier}:{caller.name}"
