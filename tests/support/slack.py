"""What stands for Slack: a channel for alerts over HTTP."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

KEY = "services/T0/B0/key-of-the-channel"


class Slack:
    """It remembers what was posted to the webhook and answers as it is told, then with 200."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answers: list[int] = []

    async def hear(self, request: Request) -> PlainTextResponse:
        self.heard.append((await request.json())["text"])
        return PlainTextResponse("", status_code=self.answers.pop(0) if self.answers else 200)


@contextmanager
def slack() -> Iterator[Slack]:
    """One that listens on a free port of this machine."""
    made = Slack()
    app = Starlette(routes=[Route(f"/{KEY}", made.hear, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/{KEY}"
    yield made
    server.should_exit = True
    thread.join()
