"""Whatever happens to the stream, the disk, the clock or a gateway: each answer is answered, and what was answered lands once."""

import datetime as dt
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from recsys_platform.hub.layout import arrival_of
from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.serving.gateway.handlers import VIEWED
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.sources.firehose.emulator import DeliveryStream, FirehoseEmulator
from recsys_platform.sources.firehose.prefixes import landing_prefixes
from recsys_platform.sources.firehose.server import firehose_app
from recsys_platform.transform.dbt import PARSED, cached_manifest, target_folder
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import settable_clock
from tests.support.dbt_world import World
from tests.support.pace import wait_until
from tests.support.recording_server import recording_server
from tests.support.servers import free_port, made_up_credentials
from tests.support.serving_faults import RULES
from tests.support.serving_processes import GatewayProcess, ServerProcess, plan_of
from tests.support.serving_world import ServingWorld, landed_lines, make_world
from tests.support.steady_load import steady_load

REFUSES_SECONDS = 5.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(RULES)
    return made


@pytest.fixture
def home(world: ServingWorld) -> Iterator[Path]:
    """The world's home, without what earlier tests landed."""
    folder = world.home.parent
    yield folder
    for left in ("hub", "serving/spool", "config"):
        if (folder / left).exists():
            (folder / left).rename(folder / f"{left.replace('/', '-')}-{time.monotonic_ns()}")


class Stream:
    """What happens to the stream: the share of records that it refuses, and of requests whose answer is lost."""

    def __init__(self) -> None:
        self.refuses: Callable[[int], bool] = lambda number: False
        self.loses_answer: Callable[[int], bool] = lambda number: False
        self.records = self.requests = 0

    def throttled(self, data: bytes) -> bool:
        self.records += 1
        return self.refuses(self.records)


class LosesAnswers:
    """The emulator behind a network that loses some answers: the client gets a 500, though all was done."""

    def __init__(self, app: Any, stream: Stream) -> None:
        self.app, self.stream = app, stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def swallow(message: Any) -> None:
            pass

        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.stream.requests += 1
        if not self.stream.loses_answer(self.stream.requests):
            return await self.app(scope, receive, send)
        await self.app(scope, receive, swallow)
        await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def stream(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    """Firehose's emulator, which lands in the hub of the home; boto3 of gateways finds it."""
    state, port = Stream(), free_port()
    delivery = DeliveryStream("segment", *landing_prefixes("segment"), buffer_seconds=0, gzip=True)
    app = LosesAnswers(
        firehose_app(FirehoseEmulator(FolderHub(home / "hub"), delivery, throttled=state.throttled)), state
    )
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_FIREHOSE", f"http://127.0.0.1:{port}")
    with made_up_credentials():
        yield state
    server.should_exit = True
    thread.join(timeout=30)


def landed(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in landed_lines(FolderHub(home / "hub")) if line]


def exposures(home: Path) -> Counter[str]:
    return Counter(each["properties"]["request_id"] for each in landed(home) if each["event"] == VIEWED)


def ask(gateway: GatewayProcess, count: int) -> list[str]:
    """The request ids of so many answers."""
    with gateway.app() as client:
        answers = [client.get(f"/v1/users/u{number % 14:02d}/recommendations") for number in range(count)]
    assert {each.status_code for each in answers} == {200}
    return [each.json()["request_id"] for each in answers]


def metric(gateway: GatewayProcess, name: str) -> float:
    (line,) = [line for line in gateway.client().get("/metrics").text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])


@pytest.mark.slow  # builds the marts of exposures with dbt
def test_a_stream_that_refuses_half_of_the_records_gets_all_and_the_marts_count_none_twice(
    world: ServingWorld, home: Path, stream: Stream, tmp_path: Path
) -> None:
    stream.refuses = lambda number: number % 2 == 0
    stream.loses_answer = lambda number: number % 3 == 1
    with GatewayProcess(home, event_stream="firehose://segment") as gateway:
        with steady_load(plan_of(world, gateway)) as load:
            time.sleep(REFUSES_SECONDS)
        assert load.report.wrong == []
        stream.refuses = stream.loses_answer = lambda number: False
        exposed, posted = set(load.report.exposed), set(load.report.posted)
        wait_until(lambda: exposed <= set(exposures(home)), what="all has landed")
        gateway.send(signal.SIGTERM)
        gateway.process.wait(timeout=40)
    by_message = Counter(each["messageId"] for each in landed(home))
    assert max(by_message.values()) > 1  # lost answers: the same events again, under the same ids
    assert (set(exposures(home)), posted - set(by_message)) == (exposed, set())

    hub, manifest = FolderHub(home / "hub"), cached_manifest(target_folder(tmp_path) / PARSED, "local")
    marts = World(tmp_path, manifest).prepare()
    warehouse = DuckDBWarehouse(marts.home / "warehouse.duckdb")
    report = load_events(hub, warehouse, all_arrivals(hub, warehouse).new)
    assert (report.rejected, report.accepted) == (0, by_message.total())
    marts.build("--select", "+fct_recommendation_requests", "+fct_events")
    requests = Counter(request for (request,) in marts.rows("select request_id from marts.fct_recommendation_requests"))
    assert (set(requests), set(requests.values())) == (exposed, {1})
    assert marts.rows("select count(*) from marts.fct_events") == [(len(by_message),)]


@pytest.mark.slow  # starts two gateways
def test_two_gateways_share_a_home_and_one_sends_what_the_other_left_when_it_was_killed_with_a_full_buffer(
    world: ServingWorld, home: Path, stream: Stream
) -> None:
    stream.refuses = lambda number: True
    with (
        GatewayProcess(home, event_stream="firehose://segment") as killed,
        GatewayProcess(home, event_stream="firehose://segment") as other,
    ):
        with steady_load(plan_of(world, other, visitors=1)) as load:
            answered = ask(killed, 600)
            killed.kill()
        assert load.report.wrong == []
        answered += load.report.exposed
        assert landed(home) == []
        stream.refuses = lambda number: False
        wait_until(lambda: set(answered) <= set(exposures(home)), what="the other gateway has sent all")
        assert metric(other, 'recsys_spool_total{what="dropped"}') == 0
    # Answers are what landed and what was dropped, which is nothing; the killed gateway had answered all that it wrote.
    assert exposures(home) == Counter(answered)
    assert set(Counter(each["messageId"] for each in landed(home)).values()) == {1}


@pytest.mark.slow  # starts a gateway and a stream
def test_a_stream_that_hangs_blocks_no_answer_and_sigterm_drains_to_all_receivers(
    world: ServingWorld, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_SECRET", "a secret")
    (home / "config").mkdir()
    with (
        made_up_credentials(),
        recording_server() as hook,
        FirehoseProcess(home) as firehose,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL_FIREHOSE", firehose.url)
        hooks = f"{{type: webhook, url: '{hook.url}/', secret_env: HOOK_SECRET, user_ids: plain}}"
        (home / "config" / "destinations.yaml").write_text(f"hooks: {hooks}")
        with GatewayProcess(home, event_stream="firehose://segment") as gateway:
            before = ask(gateway, 100)
            wait_until(lambda: len(hook.accepted) > 0, what="the webhook gets events")
            firehose.send(signal.SIGSTOP)
            started = time.monotonic()
            answered = ask(gateway, 1_000)
            assert time.monotonic() - started < 60
            wait_until(lambda: len(hook.events()) == 1_100, what="the webhook does not wait for the stream")
            firehose.send(signal.SIGCONT)
            last = ask(gateway, 50)
            gateway.send(signal.SIGTERM)
            gateway.process.wait(timeout=60)
        firehose.send(signal.SIGTERM)  # it delivers what it has buffered
        firehose.process.wait(timeout=30)
    everything = Counter([*before, *answered, *last])
    # What the stream had taken while it hung was sent again: its answer came too late.
    assert set(exposures(home)) == set(everything)
    messages = {each["messageId"]: each["properties"]["request_id"] for each in landed(home) if each["event"] == VIEWED}
    assert Counter(messages.values()) == everything
    assert Counter(each["properties"]["request_id"] for each in hook.events()) == everything


class FirehoseProcess(ServerProcess):
    """`recsys firehose serve` as a process of its own."""

    def __init__(self, home: Path) -> None:
        super().__init__("firehose", home, ready="/")
        self._command[2:2] = ["serve", "--buffer-seconds", "0"]

    def answers(self, path: str | None = None) -> bool:
        """Any answer: it knows only POST."""
        try:
            return bool(self.client().get(path or self.ready).status_code)
        except Exception:  # noqa: BLE001  # not yet
            return False


@contextmanager
def full_disk(process: int) -> Iterator[None]:
    """Let no file of a process grow, as on a full disk, though the error has another number (EFBIG); files can be created."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


@pytest.mark.slow  # starts a gateway
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")
def test_answers_on_a_full_disk_are_answers_and_what_was_dropped_is_counted(world: ServingWorld, home: Path) -> None:
    with GatewayProcess(home) as gateway:
        kept = ask(gateway, 200)
        with full_disk(gateway.process.pid):
            lost = ask(gateway, 200)
            with gateway.app() as client:
                event = {"type": "track", "event": "Book Viewed", "messageId": "m1", "userId": "u01"}
                refused = client.post("/v1/events", json=event | {"timestamp": "2026-11-22T10:00:00Z"})
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        kept += ask(gateway, 200)
        dropped = metric(gateway, 'recsys_spool_total{what="dropped"}')
        gateway.send(signal.SIGTERM)
        gateway.process.wait(timeout=40)
    assert exposures(home) == Counter(kept)
    assert dropped == len(lost) + 1


def hours_of_landing(home: Path) -> set[dt.datetime | None]:
    return {arrival_of(item.key) for item in FolderHub(home / "hub").objects("engagement_events/")}


@pytest.mark.slow  # starts a gateway
def test_a_clock_that_is_set_back_an_hour_loses_nothing_and_locks_nobody_out(
    world: ServingWorld, home: Path, tmp_path: Path
) -> None:
    shift = tmp_path / "shift"
    shift.write_text("0")
    gateway = GatewayProcess(home, api_limits="free=5/20 premium=50/200 partner=1000000/1000000")
    gateway._command[:1] = [sys.executable, str(settable_clock.__file__), str(shift)]
    free = KeyStore(home / "serving" / "keys", "local").create("free", tier="free")[1]
    with gateway, gateway.client(authorization=f"Bearer {free}") as throttled:
        with steady_load(plan_of(world, gateway)) as load:
            wait_until(lambda: len(landed(home)) > 0, what="the first files land before the clock is set back")
            while throttled.get("/v1/popular").status_code == 200:
                pass
            set_back = time.monotonic()
            draft = shift.with_name("draft")
            draft.write_text("-3600")
            os.replace(draft, shift)
            wait_until(lambda: throttled.get("/v1/popular").status_code == 200, what="a caller gets tokens again")
            waited = time.monotonic() - set_back
            time.sleep(1.0)
        gateway.send(signal.SIGTERM)
        gateway.process.wait(timeout=40)
    assert load.report.wrong == []
    assert waited < 60
    shown = exposures(home)
    assert set(load.report.exposed) <= set(shown)
    assert set(Counter(each["messageId"] for each in landed(home)).values()) == {1}
