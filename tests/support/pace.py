"""How fast this machine works now: limits of time are meant for an idle one."""

import json
import time

IDLE_SECONDS = 0.09
"""What decoding 100,000 small texts takes on an idle machine."""


def patience() -> float:
    """How many times longer than on an idle machine work takes now, at least 1: other processes want its cores too."""
    started = time.perf_counter()
    for _ in range(100_000):
        json.loads('{"a":1}')
    return max(1.0, (time.perf_counter() - started) / IDLE_SECONDS)
