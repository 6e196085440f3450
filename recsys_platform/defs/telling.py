"""Progress into Dagster's log, seldom enough that the telling costs nothing."""

import time
from collections.abc import Callable

Tell = Callable[[int, int], None]


def every_few_seconds(tell: Tell, seconds: float = 3) -> Tell:
    """The same, called at most every so many seconds: each line of the log is a row in the event store."""
    last = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            last = time.monotonic()
            tell(done, total)

    return told
