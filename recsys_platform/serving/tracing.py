"""Traces of requests: spans for the request, the model and Redis, sent to a collector by OpenTelemetry's protocol over HTTP.

Belongs here: the interface of traces, which imports nothing, and whether they are on. Does not: OpenTelemetry (otel.py), which is
imported only when they are.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from starlette.types import ASGIApp

Headers = Callable[[], Mapping[str, str]]
Facts = Callable[[str], Mapping[str, str]]
"""Gives facts about an answer, by its request id."""


class Span(Protocol):
    """What happens now, with its duration."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Add a fact; none that tells of a person."""


class Tracing(Protocol):
    """Makes spans; what is done in a span is part of it."""

    def app(self, app: ASGIApp, method: str, route: str, facts_of: Facts) -> ASGIApp:
        """An endpoint with a span for each request, which goes on with the trace of the caller (W3C `traceparent`)."""

    def span(self, name: str, attributes: Mapping[str, str], *, remote: bool = False) -> AbstractContextManager[Span]:
        """A span of what is done within. `remote`: whether another server does it."""

    def headers(self) -> Mapping[str, str]:
        """The headers that hand the trace of now on to another server."""

    def stop(self) -> None:
        """Send what is left, for a moment at most."""
