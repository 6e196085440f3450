"""A real HTTP server whose answers a test writes, and what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from recsys_platform.sources.rest_client import Endpoint


@dataclass(frozen=True)
class Asked:
    """One request: `at` is seconds on the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    at: float

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def page(self) -> int:
        return int(self.query["page"])


@dataclass(frozen=True)
class Answer:
    """`body` is JSON, bytes as they are, or a function that writes to the connection."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, **headers: str) -> "Answer":
        return replace(self, headers={**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})


@dataclass
class Served:
    endpoint: Endpoint
    asked: list[Asked]

    @property
    def pages(self) -> list[int]:
        return [each.page for each in self.asked]


@contextmanager
def server(answer: Callable[[Asked], Answer], **patience: Any) -> Iterator[Served]:
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, time.monotonic()))
            given = answer(asked[-1])
            self.send_response_only(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.write(given.body)

        def write(self, body: Any) -> None:
            if callable(body):
                body(self.wfile)
            else:
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up is no news."""

    running = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    patience = {"per_page": 2, "attempts": 2, "backoff_seconds": 0.01} | patience
    try:
        yield Served(Endpoint(f"http://127.0.0.1:{running.server_port}/books", "book_id", **patience), asked)
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


BOOKS = [{"book_id": f"b{n}", "title": f"Buch Nº {n} – 書"} for n in range(5)]


def book_page(number: int, size: int = 2, books: list[Any] = BOOKS, **other: Any) -> dict[str, Any]:
    """A page as the contract says; `other` replaces its fields, None removes one."""
    page = {"page": number, "per_page": size, "total": len(books), "total_pages": -(-len(books) // size)}
    whole = page | {"data": books[(number - 1) * size : number * size]} | other
    return {name: value for name, value in whole.items() if value is not None}
