"""What an answer of the API costs, measured where a client stands: over HTTP, from another process.

    python benchmarks/serving.py [--readers 50000] [--books 10000] [--json]

Everything is on: keys, limits, exposures, metrics. CPU is that of the server's whole process tree, so that other work on the machine
does not count. A ratio is the CPU of an answer of a bare Starlette application under the same server, divided by ours.
"""

import argparse
import http.client
import itertools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from measure import Budget, keeps_all, show
from serving_lambda import lambda_figures
from serving_shared import event_figures, memory_figures
from serving_world import make_world

BUDGET = {
    "live_cpu_ratio": Budget("≥", 0.12),
    "live_cpu_ms_100k": Budget("≤", 5),
    "published_cpu_ratio": Budget("≥", 0.45),
    "cached_cpu_ratio": Budget("≥", 0.6),
    "added_p50_ms": Budget("≤", 3),
    "added_p99_ms": Budget("≤", 10),
    "ready_seconds": Budget("≤", 5),
    "memory_ratio": Budget("≤", 2),
    "event_to_list_p99_ms": Budget("≤", 25),
}
HELLO = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def hello(request): return JSONResponse({"hello": "world"})
uvicorn.run(Starlette(routes=[Route("/", hello)]), port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
ANSWERS, ROUNDS, CLIENTS = 1_000, 3, 4
COUNTED_ANSWERS = 5_000
"""Answers whose CPU is counted: the clock of a process goes in steps of 10 ms, which are 2 µs of each."""
PERSONALIZE = 150.0
"""Dollars that Amazon Personalize asks for a million recommendations (list price, November 2026)."""
CPU_HOUR = 0.0425
"""Dollars of an hour of one vCPU of Fargate with 2 GB (list price, eu-west-1, November 2026)."""


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, ready: str, environment: dict[str, str]
) -> Iterator[tuple[psutil.Process, float]]:
    """A server, and how many seconds it took to be ready; ended afterwards."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}{ready}", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        yield psutil.Process(process.pid), time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(timeout=30)


def cpu_seconds(process: psutil.Process) -> float:
    """CPU of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def ask(port: int, paths: list[str], key: str, pause: float, result: "multiprocessing.Queue[list[float]]") -> None:
    """Ask for paths one after another; the seconds of each answer. Every answer must be 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers, seconds = {"authorization": f"Bearer {key}"}, []
    for path in paths:
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - started)
        assert answer.status == 200, (path, answer.status)
        if pause:
            time.sleep(pause)
    result.put(seconds)


def load(port: int, paths: list[str], key: str, pause: float = 0.0, connections: int = 1) -> np.ndarray:
    """The seconds of each answer, measured in a process for each connection. `pause`: of a client after an answer."""
    result: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    parts = [paths[at::connections] for at in range(connections)]
    clients = [multiprocessing.Process(target=ask, args=(port, part, key, pause, result)) for part in parts]
    for client in clients:
        client.start()
    found = np.concatenate([result.get(timeout=600) for _ in clients])
    for client in clients:
        client.join()
    return found


@dataclass(frozen=True)
class Server:
    """A server under load. `paths`: gives so many paths to ask for."""

    process: psutil.Process
    port: int
    paths: Callable[[int], list[str]]
    source: str | None = None

    def check(self, key: str) -> None:
        """Raise unless answers come from the source that is to be measured."""
        url = f"http://127.0.0.1:{self.port}{self.paths(1)[0]}"
        answer = httpx.get(url, headers={"authorization": f"Bearer {key}"}).json()
        assert answer.get("source") == self.source, answer

    def cpu_of_answer(self, key: str) -> float:
        """CPU seconds of one answer, after some that do not count."""
        load(self.port, self.paths(COUNTED_ANSWERS // 10), key)
        before = cpu_seconds(self.process)
        load(self.port, self.paths(COUNTED_ANSWERS), key)
        return (cpu_seconds(self.process) - before) / COUNTED_ANSWERS


class Paths:
    """Paths of requests for readers. Lists that are asked for are in the cache afterwards, so no live path is given twice."""

    def __init__(self, readers: int) -> None:
        """`readers`: how many there are."""
        self._chance, self._readers, self._numbers = np.random.default_rng(1), readers, itertools.count()

    def live(self, count: int) -> list[str]:
        """Paths that nobody asked for yet."""
        users = self._chance.integers(0, self._readers, count)
        return [f"/v1/users/u{user:06d}/recommendations?exclude=x{next(self._numbers)}" for user in users]

    def cached(self, count: int) -> list[str]:
        """Paths of fifty lists, again and again."""
        return [f"/v1/users/u{at % 50:06d}/recommendations" for at in range(count)]


def costs_of(servers: Mapping[str, Server], key: str) -> dict[str, float]:
    """CPU seconds of an answer of each server, the median of rounds in which each has its turn."""
    for each in servers.values():
        each.check(key)
    rounds = [{name: each.cpu_of_answer(key) for name, each in servers.items()} for _ in range(ROUNDS)]
    return {name: float(np.median([costs[name] for costs in rounds])) for name in servers}


def home_without_models(home: Path) -> Path:
    """A world with the same snapshot and keys and no model: what a gateway answers when the live source is gone."""
    other = home / "without_models"
    (other / "serving").mkdir(parents=True)
    for name in ("snapshots", "keys"):
        (other / "serving" / name).symlink_to(home / "serving" / name)
    return other


@contextmanager
def gateway(home: Path, *arguments: str, **settings: str) -> Iterator[tuple[psutil.Process, int, float]]:
    """A gateway of a world, its port, and how many seconds it took to be ready."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("recsys")), "serve", "--port", str(port), *arguments]
    quotas = "free=5/20 premium=50/200 partner=1000000/1000000"
    environment = {"RECSYS_HOME": str(home), "RECSYS_API_LIMITS": quotas, **settings}
    with running(command, port, "/readyz", environment) as (process, ready):
        yield process, port, ready


def measured(home: Path, key: str, readers: int) -> dict[str, float]:
    """All figures of one world."""
    port, paths = free_port(), Paths(readers)
    with (
        running([sys.executable, "-c", HELLO, str(port)], port, "/", {}) as (bare, _),
        gateway(home) as (ours, our_port, ready),
        gateway(home_without_models(home)) as (published, published_port, _),
    ):
        hello, live = Server(bare, port, lambda count: ["/"] * count), Server(ours, our_port, paths.live, "live")
        servers = {
            "hello": hello,
            "live": live,
            "published": Server(published, published_port, paths.live, "published"),
            "cached": Server(ours, our_port, paths.cached, "live"),
        }
        costs = costs_of(servers, key)
        times = latencies(hello, live, key, costs["live"])
        memory = ours.memory_info().rss / 1e9
    figures = {**cost_figures(costs), **times, "ready_seconds": ready, "memory_gb": memory}
    return {**figures, **shared_figures(home, key, paths)}


def shared_figures(home: Path, key: str, paths: Paths) -> dict[str, float]:
    """Figures of several processes: memory of four workers, and how fast an event reaches another gateway."""

    def load_workers(port: int) -> None:
        load(port, paths.live(ANSWERS), key, connections=2 * CLIENTS)

    return {**memory_figures(gateway, home, load_workers), **event_figures(gateway, home, key)}


def latencies(hello: Server, live: Server, key: str, cost: float) -> dict[str, float]:
    """What a client waits for at half of saturation, over what it waits for a bare answer; and with several clients at once."""
    slow = load(live.port, live.paths(ANSWERS), key, cost)
    fast = load(hello.port, hello.paths(ANSWERS), key, cost)
    busy = 1e3 * load(live.port, live.paths(ANSWERS), key, (2 * CLIENTS - 1) * cost, CLIENTS)
    return {
        **{f"added_p{at}_ms": 1e3 * float(np.percentile(slow, at) - np.percentile(fast, at)) for at in (50, 99)},
        **{f"{CLIENTS}_clients_p{at}_ms": float(np.percentile(busy, at)) for at in (50, 99)},
        f"{CLIENTS}_clients_slowest_ms": float(busy.max()),
    }


def cpu_of_live_answer(home: Path, key: str, readers: int) -> float:
    """CPU milliseconds of a live answer in a world."""
    with gateway(home) as (ours, port, _):
        return 1e3 * costs_of({"live": Server(ours, port, Paths(readers).live, "live")}, key)["live"]


def cost_figures(costs: Mapping[str, float]) -> dict[str, float]:
    """The figures of CPU seconds an answer by kind; `hello` is a bare one."""
    million, floor = costs["live"] * 1e6 / 3600, costs["hello"]
    return {
        **{f"{name}_cpu_us": cost * 1e6 for name, cost in costs.items()},
        "live_cpu_ratio": floor / costs["live"],
        "published_cpu_ratio": floor / costs["published"],
        "cached_cpu_ratio": floor / costs["cached"],
        "cpu_hours_a_million": million,
        "dollars_a_million": million * CPU_HOUR,
        "personalize_dollars_a_million": PERSONALIZE,
    }


def main() -> None:
    """Make the world, measure, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=50_000)
    parser.add_argument("--books", type=int, default=10_000)
    parser.add_argument("--many-books", type=int, default=100_000, help="of a second world; 0 for none")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("making the world…", file=sys.stderr)
        key = make_world(Path(folder), given.readers, given.books)
        figures = measured(Path(folder), key, given.readers) | lambda_figures(Path(folder), key)
    if given.many_books:
        with tempfile.TemporaryDirectory() as folder:
            readers = given.readers // 10  # what a live answer costs does not depend on how many there are
            key = make_world(Path(folder), readers, given.many_books)
            figures["live_cpu_ms_100k"] = cpu_of_live_answer(Path(folder), key, readers)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
