"""The access log: a line for a request, with nothing in it that tells of a person.

Belongs here: what a line says. Does not: how it is written (serving/logs.py).
"""

import logging
import random
import time

from starlette.types import ASGIApp, Receive, Scope, Send

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.endpoints import CALLER, Endpoint
from recsys_platform.serving.gateway.replies import WatchedSend
from recsys_platform.serving.gateway.state import Gateway

_LOG = logging.getLogger(__name__)


class AccessLog:
    """An endpoint whose requests, or a random share of them, are logged."""

    def __init__(self, endpoint: Endpoint, app: ASGIApp, gateway: Gateway) -> None:
        """`app`: of the endpoint. `gateway`: says which share is logged, and what was shown."""
        self._endpoint, self._app, self._gateway = endpoint, app, gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer and log a request."""
        if random.random() >= self._gateway.logged_share:  # noqa: S311  # which lines are written is no secret
            return await self._app(scope, receive, send)
        started, sent = time.perf_counter(), WatchedSend(send)
        await self._app(scope, receive, sent)
        self._log(scope, sent, time.perf_counter() - started)

    def _log(self, scope: Scope, sent: WatchedSend, seconds: float) -> None:
        """Log the route and not the path, which has ids of readers; of the caller the id of the key alone."""
        caller: Caller | None = scope.get(CALLER)
        fields = {
            "method": self._endpoint.method,
            "route": self._endpoint.path,
            "status": sent.status,
            "milliseconds": round(seconds * 1e3, 2),
            **self._gateway.facts_of(sent.request_id),
            "request_id": sent.request_id,
            **({"key_id": caller.name} if caller else {}),
        }
        _LOG.info(" ".join(f"{name}={value}" for name, value in fields.items()), extra=fields)
