"""moto's server for tests, with rights (aws_rights.py) and a quick clock: run as `python -m tests.support.moto_server -p 5600`.

A queue of moto asks each of its messages for the time, several times, whenever one is sent or received, and takes it apart into a date
and together again: a thousand messages took it half a minute.
"""

import time

from moto.server import main
from moto.sqs import models

from tests.support import aws_rights


def install() -> None:
    """The same milliseconds since 1970."""
    models.unix_time_millis = lambda: time.time() * 1000


if __name__ == "__main__":
    install()
    aws_rights.enforce()
    main()
