"""Talk over HTTP without telling it: the HTTP library logs whole addresses and headers, where keys may stand."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_TALKATIVE = ("httpx", "httpcore.connection", "httpcore.http11")


@contextmanager
def discreet_http() -> Iterator[None]:
    """No log lines of the HTTP library below warnings, for as long as the block runs."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    for logger in loggers:
        logger.addFilter(_is_warning)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
