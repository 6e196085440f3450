"""A circuit breaker: after some failures in a row a service is left alone for a while, so that no request waits for it.

Belongs here: purgatory's breaker as serving uses it. Does not: what is done instead.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from purgatory.domain.model import OPENED, ClosedState, OpenedState
from purgatory.service._sync.circuitbreaker import SyncCircuitBreakerFactory

Open = OpenedState
"""Raised instead of trying while the circuit is open."""


class Breaker:
    """Opens after `failures` errors in a row, and lets a request try again after `seconds`."""

    def __init__(self, name: str, *, failures: int = 3, seconds: float = 1.0) -> None:
        """`name`: of the service, for errors."""
        self._breaker = SyncCircuitBreakerFactory(failures, seconds).get_breaker(name)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count an error raised within; raises `Open` instead of entering while the circuit is open."""
        context = self._breaker.context
        if context.state == OPENED and (context.opened_at or 0) > time.time():
            context.set_state(ClosedState())  # the clock was set back: it would stay open as long
        with self._breaker:
            yield
