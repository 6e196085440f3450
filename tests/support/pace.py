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
