"""Gateways of this process, each on a free port with a thread of its own."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from recsys_platform.hub.local import FolderHub
from recsys_platform.serving.connections import OPTIONS
from recsys_platform.serving.exposures import EventSpool, to_hub
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.api import app_of
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.gateway.tokens import Tokens
from recsys_platform.serving.recent_events import RecentEventsInMemory
from tests.support.serving_world import Running, ServingWorld


@contextmanager
def running_gateways(folder: Path) -> Iterator[Callable[..., Running]]:
    """A function that starts gateways, with other parts if given; hub, keys and spools are in `folder`. All are stopped at the end."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(world: ServingWorld, name: str = "gateway", tokens: Tokens | None = None, **parts: Any) -> Running:
        hub, keys = FolderHub(folder / "hub"), KeyStore(folder / "keys", "local")
        given: dict[str, Any] = {
            "follower": Follower(world.home, world.registry),
            "recent": RecentEventsInMemory(),
            "spool": EventSpool(folder / f"spool-{name}", to_hub(hub), flush_seconds=0.1),
            "access": Access(keys, tokens),
        }
        gateway = Gateway(**given | parts)
        server = uvicorn.Server(uvicorn.Config(app_of(gateway), port=0, **OPTIONS | {"log_level": "critical"}))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {keys.create(name)[1]}"}, timeout=30)
        return Running(gateway, url, client, hub)

    try:
        yield start
    finally:
        for server, thread in servers:
            server.should_exit = True
            thread.join(timeout=30)
