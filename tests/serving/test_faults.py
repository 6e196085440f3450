"""Whatever happens to a gateway, valid requests are answered and what was answered lands once."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.gateway.handlers import VIEWED
from tests.support.pace import wait_until
from tests.support.serving_faults import FAULTS, RULES, Scene, run_fault, scene_of
from tests.support.serving_processes import GatewayProcess, plan_of
from tests.support.serving_world import ServingWorld, landed_lines, make_world
from tests.support.steady_load import steady_load


@pytest.fixture
def world(tmp_path: Path) -> ServingWorld:
    return published_world(tmp_path)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("scene")
    with scene_of(published_world(home), home) as made:
        yield made


def published_world(home: Path) -> ServingWorld:
    made = make_world(home)
    made.publish(RULES)
    return made


def landed_ids(home: Path) -> tuple[Counter[str], Counter[str]]:
    """The request ids of exposures, and the message ids of posted events, in the hub."""
    records = [json.loads(line) for line in landed_lines(FolderHub(home / "hub"))]
    shown = Counter(each["properties"]["request_id"] for each in records if each["event"] == VIEWED)
    return shown, Counter(each["messageId"] for each in records if each["event"] != VIEWED)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.is_quick])
def test_what_breaks_on_disk_is_not_seen_by_clients(name: str, scene: Scene) -> None:
    report = run_fault(FAULTS[name], scene)
    assert (report.wrong, report.unanswered) == ([], 0)
    assert report.answered > 50


@pytest.mark.slow  # starts two servers
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM], ids=lambda each: each.name)
def test_no_exposure_is_lost_or_lands_twice_when_a_gateway_is_ended(
    world: ServingWorld, tmp_path: Path, ended_by: signal.Signals
) -> None:
    with GatewayProcess(tmp_path) as gateway:
        with steady_load(plan_of(world, gateway, pause=0.0)) as load:
            time.sleep(1.5)
            gateway.send(ended_by)
            gateway.process.wait(timeout=30)
        exposed, posted = set(load.report.exposed), set(load.report.posted)
        assert (load.report.wrong, len(exposed) > 200) == ([], True)
        gateway.start()  # delivers what the first one left
        wait_until(lambda: exposed <= set(landed_ids(tmp_path)[0]))
    shown, others = landed_ids(tmp_path)
    assert set(shown.values()) == set(others.values()) == {1}
    assert posted <= set(others)
    # Answers that were on their way: of each visitor one, which may have been a home page of three shelves.
    assert len(set(shown) - exposed) <= 3 * load.plan.visitors


@pytest.mark.slow  # starts servers, and kills them
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.is_quick])
def test_valid_requests_are_answered_whatever_breaks_behind_the_gateway(
    name: str, world: ServingWorld, tmp_path: Path
) -> None:
    fault = FAULTS[name]
    with scene_of(world, tmp_path, with_host=fault.with_host) as scene:
        report = run_fault(fault, scene)
    assert (report.wrong, report.unanswered if not fault.is_outage else 0) == ([], 0)
    assert report.answered > 50


@pytest.mark.slow  # two clients ask without a pause while it lasts
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
