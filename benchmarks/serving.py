"""What an answer of the API costs, measured where a client stands: over HTTP, from another process.

    python benchmarks/serving.py [--readers 50000] [--books 10000] [--json]

Everything is on: keys, limits, exposures, metrics. CPU is that of the server's whole process tree, so that other work on the machine
does not count. A ratio is the CPU of an answer of a bare Starlette application under the same server, divided by ours.
"""

import argparse
import http.client
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
from measure import Budget, keeps_all, show
from serving_world import make_world

BUDGET = {
    "live_cpu_ratio": Budget("≥", 0.12),
    "published_cpu_ratio": Budget("≥", 0.45),
    "cached_cpu_ratio": Budget("≥", 0.6),
    "added_p50_ms": Budget("≤", 3),
    "added_p99_ms": Budget("≤", 10),
    "ready_seconds": Budget("≤", 5),
}
HELLO = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def hello(request): return JSONResponse({"hello": "world"})
uvicorn.run(Starlette(routes=[Route("/", hello)]), port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
ANSWERS = 3_000
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


def load(port: int, paths: list[str], key: str, pause: float = 0.0) -> np.ndarray:
    """The seconds of each answer, measured in a process of their own."""
    result: multiprocessing.Queue[list[float]] = multiprocessing.Queue()
    client = multiprocessing.Process(target=ask, args=(port, paths, key, pause, result))
    client.start()
    found = np.array(result.get(timeout=600))
    client.join()
    return found


def cpu_of(process: psutil.Process, port: int, paths: list[str], key: str) -> float:
    """CPU seconds of one answer."""
    load(port, paths[: len(paths) // 10], key)
    before = cpu_seconds(process)
    load(port, paths, key)
    return (cpu_seconds(process) - before) / len(paths)


def home_without_models(home: Path) -> Path:
    """A world with the same snapshot and keys and no model: what a gateway answers when the live rung is gone."""
    other = home / "without_models"
    (other / "serving").mkdir(parents=True)
    for name in ("snapshots", "keys"):
        (other / "serving" / name).symlink_to(home / "serving" / name)
    return other


def measured(home: Path, key: str, readers: int) -> dict[str, float]:
    """All figures of one world."""
    hello_port, port, chance = free_port(), free_port(), np.random.default_rng(1)
    serve = [str(Path(sys.executable).with_name("recsys")), "serve", "--port", str(port)]
    quotas = "free=5/20 premium=50/200 partner=1000000/1000000"
    environment = {"RECSYS_HOME": str(home), "RECSYS_API_LIMITS": quotas}
    someone = [f"u{at:06d}" for at in chance.integers(0, readers, ANSWERS)]
    live = [f"/v1/users/{user}/recommendations?exclude=x{number}" for number, user in enumerate(someone)]
    cached = [f"/v1/users/{someone[number % 50]}/recommendations" for number in range(ANSWERS)]
    with (
        running([sys.executable, "-c", HELLO, str(hello_port)], hello_port, "/", {}) as (hello, _),
        running(serve, port, "/readyz", environment) as (ours, ready),
    ):
        bare = [cpu_of(hello, hello_port, ["/"] * ANSWERS, key)]
        costs = {
            "live": cpu_of(ours, port, live, key),
            "cached": cpu_of(ours, port, cached, key),
        }
        bare.append(cpu_of(hello, hello_port, ["/"] * ANSWERS, key))
        floor = float(np.mean(bare))
        pause = costs["live"]  # half of saturation
        slow, fast = (load(at, paths, key, pause) for at, paths in ((port, live), (hello_port, ["/"] * ANSWERS)))
        added = {f"added_p{at}_ms": 1e3 * float(np.percentile(slow, at) - np.percentile(fast, at)) for at in (50, 99)}
        memory = ours.memory_info().rss / 1e9
    port = free_port()
    without_models = {**environment, "RECSYS_HOME": str(home_without_models(home))}
    with running([*serve[:-1], str(port)], port, "/readyz", without_models) as (ours, _):
        costs["published"] = cpu_of(ours, port, live, key)
    return {**cost_figures(costs, floor), **added, "ready_seconds": ready, "memory_gb": memory}


def cost_figures(costs: Mapping[str, float], floor: float) -> dict[str, float]:
    """The figures of CPU seconds an answer by kind; `floor`: of a bare answer."""
    million = costs["live"] * 1e6 / 3600
    return {
        "hello_cpu_us": floor * 1e6,
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
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print("making the world…", file=sys.stderr)
        key = make_world(Path(folder), given.readers, given.books)
        figures = measured(Path(folder), key, given.readers)
    show(figures, BUDGET, as_json=given.json)
    sys.exit(not keeps_all(figures, BUDGET))


if __name__ == "__main__":
    main()
