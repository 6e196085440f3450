"""Suppress httpx request logs: their URLs and headers may hold credentials."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11")


@contextmanager
def suppress_http_logs() -> Iterator[None]:
    """Suppress the log lines of httpx below WARNING in this block."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(_is_warning)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_warning)


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
