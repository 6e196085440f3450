"""The gateway in AWS Lambda: `handler` answers events of API Gateway (v1, v2) and of load balancers.

Belongs here: loading once an environment, what an invocation does besides answering. Does not: the API (api.py).

A frozen environment runs no thread and may not wake again. So each invocation delivers its events before it ends, to the landing
alone: destinations would make it wait.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from mangum import Mangum

from recsys_platform.config.settings import load_settings
from recsys_platform.serving.gateway.api import app_of
from recsys_platform.serving.gateway.server import gateway_of
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.logs import configure_logging

_LOG = logging.getLogger(__name__)
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
_TEXT = ["text/", "application/json", "application/problem+json"]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one event; name this function as the handler of the Lambda function."""
    return _handler_of_settings()(event, context)


@cache
def _handler_of_settings() -> Handler:
    settings = load_settings()
    configure_logging(settings.form_of_logs)
    return handler_of(gateway_of(settings, forwards=False))


def handler_of(gateway: Gateway) -> Handler:
    """Load what a gateway serves and return what answers events with it."""
    gateway.follower.start()
    spools = [gateway.spool, *([gateway.counts.spool] if gateway.counts else [])]
    for spool in spools:
        spool.folder.mkdir(parents=True, exist_ok=True)
    # The lifespan would run in every invocation, and load everything each time.
    answer = Mangum(app_of(gateway), lifespan="off", text_mime_types=_TEXT)

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        found = answer(event, context)
        try:
            if gateway.counts:
                gateway.counts.flush_periods_over()
            for spool in spools:
                spool.flush()
        except OSError as error:  # such as a full disk: the next invocation tries again
            _LOG.warning("Events will be delivered later: %s", error)
        return found

    return handle
