"""Progress into Dagster's log, seldom enough that the telling costs nothing."""

import time
from collections.abc import Callable
from typing import ParamSpec

Given = ParamSpec("Given")


def every_few_seconds(tell: Callable[Given, None], seconds: float = 3) -> Callable[Given, None]:
    """The same, called at most every so many seconds: each line of the log is a row in the event store."""
    last = time.monotonic()

    def told(*args: Given.args, **kwargs: Given.kwargs) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            tell(*args, **kwargs)

    return told
