"""A small published world and gateways that serve it over HTTP."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.exposures import EventSpool, to_hub
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.api import create_app
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.gateway.tokens import Tokens
from recsys_platform.serving.recent_events import RecentEventsInMemory
from tests.support.serving_world import Running, ServingWorld, make_world


@pytest.fixture(scope="module")
def serving_world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world with a snapshot and the artifact of `item_knn`."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(parse_list_rules({}))
    return made


@pytest.fixture
def run_gateway(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts gateways on a free port, with other parts if given; all are stopped after the test."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(world: ServingWorld, name: str = "gateway", tokens: Tokens | None = None, **parts: Any) -> Running:
        hub, keys = FolderHub(tmp_path / "hub"), KeyStore(tmp_path / "keys", "local")
        given: dict[str, Any] = {
            "follower": Follower(world.home, world.registry),
            "recent": RecentEventsInMemory(),
            "spool": EventSpool(tmp_path / f"spool-{name}", to_hub(hub), flush_seconds=0.1),
            "access": Access(keys, tokens),
        }
        gateway = Gateway(**given | parts)
        server = uvicorn.Server(uvicorn.Config(create_app(gateway), port=0, log_level="critical"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {keys.create(name)[1]}"}, timeout=30)
        return Running(gateway, url, client, hub)

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(timeout=30)
