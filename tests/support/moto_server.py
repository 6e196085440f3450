"""moto's server with a clock that is read at once: for tests, run as `python -m tests.support.moto_server -p 5600`.

A queue of moto asks each of its messages for the time, several times, whenever one is sent or received, and takes it apart into a date
and together again: a thousand messages took it half a minute.
"""

import time

from moto.server import main
from moto.sqs import models


def install() -> None:
    """The same milliseconds since 1970."""
    models.unix_time_millis = lambda: time.time() * 1000


if __name__ == "__main__":
    install()
    main()
