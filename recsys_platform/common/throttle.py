"""Limit how often a progress callback runs."""

import time
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


def throttle(callback: Callable[P, None], seconds: float = 3) -> Callable[P, None]:
    """The same callback, called at most once every `seconds`: each line of Dagster's log is a row in its event log."""
    last = time.monotonic()

    def throttled(*args: P.args, **kwargs: P.kwargs) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            callback(*args, **kwargs)

    return throttled
