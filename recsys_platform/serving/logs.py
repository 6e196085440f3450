"""Logs of a server: as text for people, or as JSON, a line each, for a collector of logs.

Belongs here: how records are written. Does not: what is logged, and access logs (gateway/access_log.py).
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any, Literal

from recsys_platform.common.errors import RecsysError

_FIELDS = ("method", "route", "status", "milliseconds", "source", "variant", "request_id", "key_id")
"""What may be added to a record: nothing else that a library adds is written."""
_SAID_BY_US = (RecsysError, OSError)
"""Errors whose texts name files and settings; those of others may quote a value, such as a reader's id."""


def configure_logging(form: Literal["text", "json"]) -> None:
    """Write the records of this process to stderr in a form: ours from INFO, those of libraries from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter() if form == "json" else logging.Formatter("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("recsys_platform").setLevel(logging.INFO)


def json_formatter() -> logging.Formatter:
    """Return what writes a record as one line of JSON."""
    import structlog  # not for logs as text

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(allow=_FIELDS),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[
            _exception_without_values,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ],
    )


_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def _exception_without_values(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say where an exception was raised, by file and line: its text may hold ids of persons."""
    given: _ExcInfo | None = event.pop("exc_info", None)
    if given and given[1] is not None:
        kind, error, trace = given
        event["exception"] = kind.__name__
        event["stack"] = [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(trace)]
        if isinstance(error, _SAID_BY_US):
            event["error"] = str(error)
    return event
