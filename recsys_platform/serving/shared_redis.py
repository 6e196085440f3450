"""A Redis that several gateways share, used so that no request waits long for it or fails with it.

Belongs here: the connection, its deadline, and how many gateways there are. Does not: what is kept (recent_events_redis.py,
shared_lists.py, gateway/limits.py).
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from throttled.exceptions import StoreUnavailableError

from recsys_platform.serving.breaker import Breaker, CircuitOpenError

_LOG = logging.getLogger(__name__)
Value = TypeVar("Value")
# The last two: what another program wrote below our keys.
_FAILURES = (RedisError, OSError, StoreUnavailableError, CircuitOpenError, msgspec.MsgspecError, ValueError)
TIMEOUT_SECONDS = 0.02
BEAT_SECONDS, GONE_SECONDS = 5.0, 15.0
_GATEWAYS = "recsys:gateways"
_TURNS = 8
"""Turns of the event loop that take a reply from the socket to who waits for it, and some more."""


def connection_options() -> dict[str, Any]:
    """Options of a connection: no retries, and no round trips before the first command. The deadline is that of `run`."""
    return {
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }


class PerLoop(Generic[Value]):
    """A value that belongs to one event loop, such as a connection; another loop gets another one."""

    def __init__(self, make: Callable[[], Value]) -> None:
        """`make`: makes the value."""
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._value: Value | None = None

    def get(self) -> Value:
        """The value of the running loop."""
        loop = asyncio.get_running_loop()
        if self._value is None or self._loop is not loop:
            self._loop, self._value = loop, self._make()
        return self._value


class SharedRedis:
    """Runs commands, or gives None at once while Redis is away; `replicas` is how many gateways were seen last."""

    def __init__(
        self, url: str, on_failure: Callable[[], None] = lambda: None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        """`url`: such as `rediss://host:6379/0`, which may hold credentials. `on_failure`: is told each use without Redis.

        `timeout_seconds`: how long a use may take.
        """
        self.timeout_seconds = timeout_seconds
        self.url, self.replicas = url, 1
        self._redis: PerLoop[Redis] = PerLoop(lambda: Redis.from_url(url, **connection_options()))
        self._breaker = Breaker("redis")
        self._on_failure = on_failure
        self._id, self._beat_at = "", float("-inf")
        self._is_away = False

    async def run(self, commands: Callable[["Redis"], Awaitable[Value]]) -> Value | None:
        """Return what the commands give; None if Redis is away."""
        try:
            with self._breaker.attempt():
                found = await _in_time(self._run(commands), self.timeout_seconds)
        except _FAILURES as error:
            self._log_change(is_away=True, why=type(error).__name__)
            self._on_failure()
            return None
        self._log_change(is_away=False)
        return found

    async def close(self) -> None:
        """Close the connections of the running loop."""
        await self._redis.get().aclose()

    async def _run(self, commands: Callable[["Redis"], Awaitable[Value]]) -> Value:
        redis = self._redis.get()
        if time.monotonic() - self._beat_at >= BEAT_SECONDS:
            await self._beat(redis)
        return await commands(redis)

    async def _beat(self, redis: "Redis") -> None:
        """Say that this gateway is there, and count those that said so."""
        self._beat_at, now = time.monotonic(), time.time()
        self._id = self._id or uuid.uuid4().hex  # of a process: not made before workers part
        async with redis.pipeline(transaction=False) as pipe:
            pipe.zadd(_GATEWAYS, {self._id: now})
            pipe.zremrangebyscore(_GATEWAYS, 0, now - GONE_SECONDS)
            pipe.zcard(_GATEWAYS)
            self.replicas = max(1, int((await pipe.execute())[-1]))

    def _log_change(self, *, is_away: bool, why: str = "") -> None:
        """Log once when Redis goes or comes back; its address may hold a password and is not logged."""
        if is_away and not self._is_away:
            _LOG.error("Redis does not answer (%s): this gateway goes on with its own memory.", why)
        if self._is_away and not is_away:
            _LOG.warning("Redis answers again.")
        self._is_away = is_away


async def _in_time(commands: Awaitable[Value], seconds: float) -> Value:
    """What the commands give; raises TimeoutError if Redis does not answer in time.

    A loop that was busy itself hears the clock before the reply that lies in the socket: it has some turns to take it.
    """
    task = asyncio.ensure_future(commands)
    await asyncio.wait({task}, timeout=seconds)
    for _ in range(_TURNS):
        if task.done():
            return task.result()
        await asyncio.sleep(0)
    task.cancel()
    raise TimeoutError
