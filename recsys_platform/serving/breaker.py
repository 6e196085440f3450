"""A circuit breaker: after some failures in a row a service is left alone for a while, so that no request waits for it.

Belongs here: purgatory's breaker as serving uses it. Does not: what is done instead.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from purgatory.domain.model import HALF_OPENED, OPENED, ClosedState, OpenedState
from purgatory.service._sync.circuitbreaker import SyncCircuitBreakerFactory


class CircuitOpenError(Exception):
    """Raised instead of trying while the circuit is open."""


class Breaker:
    """Opens after `failures` errors in a row, and lets a request try again after `seconds`."""

    def __init__(self, name: str, *, failures: int = 3, seconds: float = 1.0) -> None:
        """`name`: of the service, for errors."""
        self._breaker = SyncCircuitBreakerFactory(failures, seconds).get_breaker(name)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count an error raised within; raises CircuitOpenError instead of entering while the circuit is open."""
        self._check_open()
        with ExitStack() as stack:
            try:
                stack.enter_context(self._breaker)
            except OpenedState:  # another thread was faster
                raise CircuitOpenError from None
            yield

    def _check_open(self) -> None:
        """Raise an error of our own: the library raises one object again and again, whose traceback grows with each request."""
        context, now = self._breaker.context, time.time()
        if context.state == HALF_OPENED:  # another request tries
            raise CircuitOpenError
        if context.state != OPENED:
            return
        opened_at = context.opened_at or 0.0
        if opened_at > now:
            context.set_state(ClosedState())  # the clock was set back: it would stay open as long
        elif now <= opened_at + context.ttl:
            raise CircuitOpenError
