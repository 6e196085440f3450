"""How fast this machine works now: limits of time are meant for an idle one."""

import json
import time
from collections.abc import Callable

IDLE_SECONDS = 0.09
"""What decoding 100,000 small texts takes on an idle machine."""


def patience(clock: Callable[[], float] = time.perf_counter) -> float:
    """How many times longer than on an idle machine work takes now, at least 1: other processes want its cores and caches too."""
    started = clock()
    for _ in range(100_000):
        json.loads('{"a":1}')
    return max(1.0, (clock() - started) / IDLE_SECONDS)


def wait_until(reached: Callable[[], object], seconds: float = 60, what: str = "", pause: float = 0.02) -> None:
    """Wait for something to be true; fail after so many seconds of an idle machine. How fast this one is, is measured only then."""
    began = time.monotonic()
    while not reached():
        waited = time.monotonic() - began
        assert waited < seconds or waited < seconds * patience(), f"not reached within {seconds} s: {what}"
        time.sleep(pause)
