"""A shadow is asked for some lists and compared; whatever it does, no answer changes, waits or names it."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import CHALLENGER
from recsys_platform.serving import shadow as module
from recsys_platform.serving.errors import BackendError
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.model_hosts import HttpHost, ModelHosts
from recsys_platform.serving.recommending import Answer, Backend, InProcess, RecommendedBook
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.shadow import AT_ONCE, Shadow, compared
from recsys_platform.serving.shadow_rule import ShadowError, ShadowRule, parse_shadow
from tests.support.pace import patience, wait_until
from tests.support.servers import free_port
from tests.support.serving_world import Running, ServingWorld, landed_lines, make_world

Start = Callable[..., Running]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    made = make_world(tmp_path_factory.mktemp("shadowed"))
    made.registry.set_alias(CHALLENGER, made.versions["als"], why="a test")
    made.publish(parse_list_rules({}))
    return made


def beside(world: ServingWorld, run_gateway: Start, backend: Backend, share: float = 1.0) -> Running:
    """A gateway with a shadow that a backend asks."""
    metrics, rule = Metrics(), ShadowRule(CHALLENGER, share)
    follower = Follower(world.home, world.registry, Routing(read_shadow=lambda: rule))
    made = Shadow(lambda: follower.routing.shadow, backend, metrics.count_shadow)
    return run_gateway(world, follower=follower, shadow=made, metrics=metrics)


def figures(api: Running) -> dict[str, float]:
    """The metrics of the shadow."""
    lines = api.client.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if line.startswith("recsys_shadow")]
    return {name.removeprefix("recsys_shadow"): float(value) for name, _, value in pairs}


def wait_for_figures(api: Running, total: int) -> dict[str, float]:
    wait_until(lambda: sum(value for name, value in figures(api).items() if name.startswith("_total")) >= total)
    return figures(api)


def books(answer: Any) -> list[str]:
    return [each["book_id"] for each in answer["items"]]


def test_lists_are_compared_in_metrics_and_nobody_sees_the_shadow(
    world: ServingWorld, run_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first list of a process loads compiled code: a busy machine takes longer than half a second.
    monkeypatch.setattr(module, "SECONDS", 30.0)
    plain = run_gateway(world, "plain")
    before = {user: books(plain.recommended(user, k=5)) for user in ("u01", "u02", "u03")}
    api = beside(world, run_gateway, InProcess())
    for user, shown in before.items():
        found = api.recommended(user, k=5)
        assert (books(found), found["model"]) == (shown, "item_knn")
        api.recommended(user, k=5)  # from the cache: nothing is asked
    found = wait_for_figures(api, 3)
    assert found['_total{result="compared"}'] == found["_overlap_count"] == 3
    assert 0 < found["_overlap_sum"] <= 3
    assert found['_seconds_count{of="shadow"}'] == found['_seconds_count{of="answer"}'] == 3
    api.gateway.spool.stop()
    events = [json.loads(line) for line in landed_lines(api.hub)]
    assert {each["properties"]["model"] for each in events} == {"item_knn"}


class Failing(InProcess):
    """A shadow that breaks in one way or another."""

    def recommend(self, *given: Any) -> Any:
        raise (BackendError if given[4] % 2 else ValueError)("broken")


def test_a_shadow_that_fails_is_counted_and_nothing_else(world: ServingWorld, run_gateway: Start) -> None:
    api = beside(world, run_gateway, Failing())
    for number in range(6):
        assert api.recommended(f"u{number:02d}")["source"] == "live"
        assert wait_for_figures(api, number + 1)['_total{result="failed"}'] == number + 1
    assert "recsys_failures_total{" not in api.client.get("/metrics").text


class Hanging(InProcess):
    """A shadow that does not answer until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def recommend(self, *given: Any) -> Any:
        self.over.wait(timeout=60)
        return super().recommend(*given)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.over.set()


def test_what_comes_while_a_shadow_hangs_is_dropped(world: ServingWorld, run_gateway: Start, hanging: Hanging) -> None:
    api = beside(world, run_gateway, hanging)
    for number in range(14):
        assert api.recommended(f"u{number:02d}")["source"] == "live"
    assert figures(api)['_total{result="dropped"}'] == 14 - AT_ONCE
    hanging.over.set()
    wait_for_figures(api, 14)


def test_a_share_of_the_lists_is_compared() -> None:
    seeds = np.random.default_rng(1).integers(0, 1 << 63, 20_000).tolist()
    taken = sum(ShadowRule(CHALLENGER, 0.1).takes(seed) for seed in seeds)
    assert abs(taken - 2_000) < 4 * math.sqrt(20_000 * 0.1 * 0.9)
    assert all(ShadowRule(CHALLENGER, 1).takes(seed) for seed in seeds[:100])


def listed(*given: str) -> Answer:
    items = [
        RecommendedBook(rank=rank, book_id=book, score=1.0, reason="", because_book_id=None, propensity=1.0)
        for rank, book in enumerate(given, 1)
    ]
    return Answer(items=items, source="live", model="m", model_version="m-v1")


def test_overlap_and_correlation_are_those_of_the_ranks() -> None:
    assert compared(listed(*"abcd"), listed(*"abcd")) == (1.0, pytest.approx(1.0))
    assert compared(listed(*"abcd"), listed(*"dcba")) == (1.0, pytest.approx(-1.0))
    assert compared(listed(*"abcd"), listed(*"axby")) == (0.5, pytest.approx(1.0))
    overlap, correlation = compared(listed(*"abcd"), listed(*"xyza"))
    assert (overlap, math.isnan(correlation)) == (0.25, True)
    assert compared(listed(), listed())[0] == 0.0


WRONG = {
    "no model": ({"share": 0.1}, "model: "),
    "all and more": ({"model": "challenger", "share": 1.5}, "share: input should be less than or equal to 1"),
    "an unknown name": ({"model": "challenger", "share": 0.1, "rate": 1}, "rate: unexpected"),
    "a list": ([], "it must be a mapping with `model` and `share`"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_in_one_sentence(what: str) -> None:
    content, said = WRONG[what]
    with pytest.raises(ShadowError, match=f"shadow.yaml: {said}"):
        parse_shadow(content, where="shadow.yaml")
    assert parse_shadow(None) is None


@pytest.fixture
def stopped_host(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A model host as a process of its own, to be stopped and continued."""
    made = make_world(tmp_path)
    made.registry.set_alias(CHALLENGER, made.versions["als"], why="a test")
    made.publish(parse_list_rules({}))
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "shadow.yaml").write_text("{model: challenger, share: 1}")
    port = free_port()
    command = [str(Path(sys.executable).with_name("recsys")), "model-host", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, "RECSYS_HOME": str(tmp_path)}, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while not answers(url):
            assert time.monotonic() < until
            time.sleep(0.1)
        yield process, url
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow  # starts a model host
def test_a_shadow_host_that_is_stopped_changes_no_answer_and_adds_no_latency(
    world: ServingWorld, run_gateway: Start, stopped_host: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, url = stopped_host
    hosts = ModelHosts({url: HttpHost(url)}, module.SECONDS)
    plain, api = run_gateway(world, "plain"), beside(world, run_gateway, hosts)
    api.recommended("u01")
    assert wait_for_figures(api, 1)['_total{result="compared"}'] == 1
    process.send_signal(signal.SIGSTOP)
    seconds: dict[str, list[float]] = {"plain": [], "beside": []}
    for number in range(150):  # other lists each time: nothing comes from the cache
        for name, gateway in (("plain", plain), ("beside", api)):
            started = time.perf_counter()
            found = gateway.recommended(f"u{number % 14:02d}", k=1 + number % 20, offset=number // 20)
            seconds[name].append(time.perf_counter() - started)
            assert found["source"] == "live"
    added = np.median(seconds["beside"]) - np.median(seconds["plain"])
    assert added < 0.003 * patience()
    assert sum(took > module.SECONDS / 2 for took in seconds["beside"]) <= 2 * patience()
    told = figures(api)
    assert told['_total{result="dropped"}'] > 0
    process.send_signal(signal.SIGCONT)
    time.sleep(2)
    api.recommended("u01", k=20, offset=20)
    until = time.monotonic() + 60
    while figures(api)['_total{result="compared"}'] < 2:
        assert time.monotonic() < until
        api.recommended("u02", k=1 + int(time.monotonic() * 10) % 100)
        time.sleep(0.1)
