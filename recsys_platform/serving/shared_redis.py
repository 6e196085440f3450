"""A Redis that several gateways share, used so that no request waits for it or fails with it.

Belongs here: the connection, its deadlines, and how many gateways there are. Does not: what is kept (recent_events_redis.py,
gateway/limits.py).
"""

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from throttled.exceptions import StoreUnavailableError

from recsys_platform.serving.breaker import Breaker, CircuitOpenError

_LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
# The last two: what another program wrote below our keys.
_FAILURES = (RedisError, OSError, StoreUnavailableError, CircuitOpenError, msgspec.MsgspecError, ValueError)
TIMEOUT_SECONDS = 0.02
BEAT_SECONDS, GONE_SECONDS = 5.0, 15.0
_GATEWAYS = "recsys:gateways"


def connection_options() -> dict[str, Any]:
    """Options of a connection: short timeouts, no retries, and no round trips before the first command."""
    return {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


class SharedRedis:
    """Runs commands, or gives None at once while Redis is away; `replicas` is how many gateways were seen last."""

    def __init__(self, url: str, on_failure: Callable[[], None] = lambda: None) -> None:
        """`url`: such as `rediss://host:6379/0`, which may hold credentials. `on_failure`: is told each request without Redis."""
        self.url, self.replicas = url, 1
        self._redis = Redis.from_url(url, **connection_options())
        self._breaker = Breaker("redis")
        self._on_failure = on_failure
        self._id, self._beat_at = uuid.uuid4().hex, float("-inf")
        self._is_away = False

    def run(self, commands: Callable[["Redis"], Value]) -> Value | None:
        """Return what the commands give; None if Redis is away."""
        try:
            with self._breaker.attempt():
                self._beat_if_due()
                found = commands(self._redis)
        except _FAILURES as error:
            self._log_change(is_away=True, why=type(error).__name__)
            self._on_failure()
            return None
        self._log_change(is_away=False)
        return found

    def _beat_if_due(self) -> None:
        """Say that this gateway is there, and count those that said so."""
        if time.monotonic() - self._beat_at < BEAT_SECONDS:
            return
        now = time.time()
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(_GATEWAYS, {self._id: now})
            pipe.zremrangebyscore(_GATEWAYS, 0, now - GONE_SECONDS)
            pipe.zcard(_GATEWAYS)
            self.replicas = max(1, int(pipe.execute()[-1]))
        self._beat_at = time.monotonic()

    def _log_change(self, *, is_away: bool, why: str = "") -> None:
        """Log once when Redis goes or comes back; its address may hold a password and is not logged."""
        if is_away and not self._is_away:
            _LOG.error("Redis does not answer (%s): this gateway goes on with its own memory.", why)
        if self._is_away and not is_away:
            _LOG.warning("Redis answers again.")
        self._is_away = is_away
