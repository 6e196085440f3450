"""A receiver over HTTP that remembers what it was sent, and answers as a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


@dataclass
class RecordingServer:
    """Requests in order. `answer`: gives status and body for a request; only those with a 2xx are `accepted`."""

    url: str = ""
    answer: Callable[[Received], tuple[int, bytes, dict[str, str]]] = lambda request: (200, b"{}", {})
    requests: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        """The events of all accepted batches."""
        return [event for each in self.accepted for event in each.content["batch"]]


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """A server on a free port of the loopback, until the end of the block."""
    server = RecordingServer()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            status, content, headers = server.answer(request)
            with lock:
                server.requests.append(request)
                if status < 300:
                    server.accepted.append(request)
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Not into the output of tests."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
