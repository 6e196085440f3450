"""Whatever happens to a gateway, valid requests are answered and what was answered lands once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.servers import free_port
from tests.support.serving_world import ServingWorld, landed_lines, make_world


@pytest.fixture
def world(tmp_path: Path) -> ServingWorld:
    made = make_world(tmp_path)
    made.publish(parse_list_rules({}))
    return made


@contextmanager
def gateway_process(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """`recsys serve` as a process of its own, ready to answer."""
    port = free_port()
    key = KeyStore(home / "serving" / "keys", "local").create("test")[1]
    command = [str(Path(sys.executable).with_name("recsys")), "serve", "--port", str(port)]
    limits = "free=5/20 premium=50/200 partner=100000/100000"
    environment = {**os.environ, "RECSYS_HOME": str(home), "RECSYS_API_LIMITS": limits}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=20)
    try:
        wait_until(lambda: is_ready(client))
        yield process, client
    finally:
        process.kill()
        process.wait()
        client.close()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.05)


def request_ids(home: Path) -> Counter[str]:
    lines = landed_lines(FolderHub(home / "hub"))
    return Counter(json.loads(line)["properties"]["request_id"] for line in lines)


@pytest.mark.slow  # starts two servers
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_no_exposure_is_lost_or_lands_twice_when_a_gateway_is_ended(
    world: ServingWorld, tmp_path: Path, ended_by: signal.Signals
) -> None:
    answered: list[str] = []

    def ask_until_the_end(client: httpx.Client) -> None:
        try:
            while True:
                found = client.get(f"/v1/users/u{len(answered) % 14:02d}/recommendations")
                assert found.status_code == 200
                answered.append(found.json()["request_id"])
        except httpx.TransportError:
            return

    with gateway_process(tmp_path) as (process, client):
        thread = threading.Thread(target=ask_until_the_end, args=(client,))
        thread.start()
        wait_until(lambda: len(answered) > 300)
        process.send_signal(ended_by)
        process.wait(timeout=30)
        thread.join(timeout=30)
    with gateway_process(tmp_path):  # delivers what the first one left
        wait_until(lambda: set(answered) <= set(request_ids(tmp_path)))
    landed = request_ids(tmp_path)
    assert set(landed.values()) == {1}
    assert len(set(landed) - set(answered)) <= 1  # the answer that was on its way


def test_twenty_swaps_of_the_model_under_load_give_no_failed_or_mixed_answer(
    world: ServingWorld, run_gateway: Any
) -> None:
    api, found, stop = run_gateway(world), Counter[tuple[int, str]](), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=api.url, headers=api.client.headers) as client:
            number = 0
            while not stop.is_set():
                number += 1
                answer = client.get(f"/v1/users/u{number % 14:02d}/recommendations", params={"k": 5})
                found[answer.status_code, answer.json()["source"]] += 1
                assert len(answer.json()["items"]) == 5

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(20):
        name = ("als", "item_knn")[number % 2]
        world.registry.set_alias(PRODUCTION, world.versions[name], why="a swap")
        api.gateway.follower.refresh()
        assert api.gateway.follower.served.models[PRODUCTION].artifact.variant == name
    stop.set()
    for thread in threads:
        thread.join()
    assert set(found) == {(200, "live")}
    assert found[200, "live"] > 50
