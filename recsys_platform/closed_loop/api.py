"""The API that simulated readers use: a process of its own over HTTP, or the application in this process for what might have been.

Belongs here: starting and ending both. Does not: what readers do (simulation/).
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp, Message, Scope

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import PREFIX, Settings
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.gateway.server import gateway_of, key_store_of, with_simulated_clock
from recsys_platform.simulation.reader_app import Ask, Response, asks_over_http

RECSYS = Path(sys.executable).with_name("recsys")
START_SECONDS, STOP_SECONDS = 120.0, 60.0


@contextmanager
def served_over_http(settings: Settings, log: Path) -> Iterator[Ask]:
    """Run `recsys serve --simulated-clock` while the block runs, and yield what sends requests to it.

    When the block ends, the events that it took are in the hub. `log`: the file for what it prints. Raises RecsysError if it does not
    answer, or does not end in time.
    """
    port = _free_port()
    url, command = f"http://127.0.0.1:{port}", [str(RECSYS), "serve", "--simulated-clock", "--port", str(port)]
    environment = os.environ | {f"{PREFIX}HOME": str(settings.home)}
    with (
        key_store_of(settings).lent("simulated readers") as key,
        log.open("ab") as file,
        subprocess.Popen(command, env=environment, stdout=file, stderr=file) as server,
    ):
        try:
            _wait_until_ready(f"{url}/readyz", server, log)
            yield asks_over_http(url, key)
        finally:
            server.terminate()
            is_killed = _kill_if_late(server)
    if is_killed:
        raise RecsysError(
            f"The API of the simulated readers did not end within {STOP_SECONDS:g} s and was killed: {log} has what it printed. "
            "Run the command again: the API delivers what waits."
        )


@contextmanager
def served_in_process(settings: Settings) -> Iterator[Ask]:
    """Answer from the application in this process, and keep none of its events: for lists that nobody is really shown."""
    with (
        TemporaryDirectory(prefix="recsys-loop-") as folder,
        key_store_of(settings).lent("what might have been") as key,
    ):
        gateway = gateway_of(settings, forwards=False)
        gateway.spool = EventSpool(Path(folder), lambda content, arrival: None)
        gateway.counts = None
        app = with_simulated_clock(gateway)
        gateway.follower.refresh()
        gateway.spool.start()
        loop = asyncio.new_event_loop()
        try:
            yield asks_in_process(app, key, loop)
        finally:
            gateway.spool.stop()
            loop.close()


def asks_in_process(app: ASGIApp, key: str, loop: asyncio.AbstractEventLoop | None = None) -> Ask:
    """Send requests to an application of this process, one after another: all but the network. Not safe for threads."""
    running = loop or asyncio.new_event_loop()

    def ask(method: str, path: str, headers: Mapping[str, str], content: Any) -> Response:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": json.dumps(content).encode(), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = _scope_of(method, path, {"authorization": f"Bearer {key}", **headers})
        running.run_until_complete(app(scope, receive, send))
        body = sent[1]["body"]
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Response(sent[0]["status"], found, json.loads(body) if body else None)

    return ask


def _scope_of(method: str, path: str, headers: Mapping[str, str]) -> Scope:
    parts = urlsplit(path)
    return {
        "type": "http",
        "method": method,
        "path": parts.path,
        "query_string": parts.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RecsysError(f"The API of the simulated readers does not answer: {log} has what it printed.")


def _kill_if_late(server: subprocess.Popen[bytes]) -> bool:
    """Wait until a process ends; kill it, and return True, if that takes too long."""
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return True
    return False
