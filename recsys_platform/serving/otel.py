"""Traces by OpenTelemetry; its own variables (`OTEL_…`) set the endpoint, the share of traces, names and attributes.

Belongs here: all that imports OpenTelemetry. Does not: where spans are made (gateway/, traced.py).
"""

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from recsys_platform.serving.gateway.replies import WatchedSend
from recsys_platform.serving.tracing import Facts

_LAST_SECONDS = 2.0
# Not baggage: what a caller puts there may tell of a person.
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACE_CONTEXT = (b"traceparent", b"tracestate")


class OpenTelemetry:
    """Makes spans and sends them in batches, in a thread; what a collector that is away does not take is dropped."""

    def __init__(self, service: str) -> None:
        """`service`: the name of this service, unless `OTEL_SERVICE_NAME` says another one."""
        resource = Resource({"service.name": service}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("recsys_platform")

    def app(self, app: ASGIApp, method: str, route: str, facts_of: Facts) -> ASGIApp:
        """An endpoint with a span for each request. The path is not in it: it has ids of readers."""
        return _TracedApp(
            app, self._tracer, f"{method} {route}", {"http.request.method": method, "http.route": route}, facts_of
        )

    def span(self, name: str, attributes: Mapping[str, str], *, remote: bool = False) -> AbstractContextManager[Span]:
        """A span of what is done within."""
        kind = SpanKind.CLIENT if remote else SpanKind.INTERNAL
        # An exception's text may hold ids of persons; its type is noted by who makes the span.
        return self._tracer.start_as_current_span(name, kind=kind, attributes=attributes, record_exception=False)

    def headers(self) -> Mapping[str, str]:
        """The headers that hand the trace of now on to another server."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier

    def stop(self) -> None:
        """Send what is left, for two seconds at most: a collector that is away must not hold up the end of a process."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        last.join(_LAST_SECONDS)


class _TracedApp:
    """An ASGI application, and no function: of that Starlette would make another kind of endpoint."""

    def __init__(self, app: ASGIApp, tracer: Tracer, name: str, attributes: Mapping[str, str], facts_of: Facts) -> None:
        self._app, self._tracer, self._name, self._attributes, self._facts_of = app, tracer, name, attributes, facts_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = {key.decode(): value.decode("latin-1") for key, value in scope["headers"] if key in _TRACE_CONTEXT}
        parent, sent = _PROPAGATOR.extract(given), WatchedSend(send)
        with self._tracer.start_as_current_span(self._name, parent, SpanKind.SERVER, self._attributes) as span:
            await self._app(scope, receive, sent)
            span.set_attributes({"http.response.status_code": sent.status, "recsys.request_id": sent.request_id})
            span.set_attributes({f"recsys.{name}": value for name, value in self._facts_of(sent.request_id).items()})
            if sent.status >= 500:
                span.set_status(StatusCode.ERROR)
