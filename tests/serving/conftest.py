"""A small published world and a gateway that serves it over HTTP."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import ListRules, parse_list_rules
from recsys_platform.recommender.lists.publication import publish
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.serving.exposures import EventSpool, to_hub
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.api import create_app
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.publishing import write_serving_files
from recsys_platform.serving.recent_events import RecentEventsInMemory
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.list_world import marts_of_world

NOW = dt.datetime(2026, 11, 22)
VARIANTS = load_variants()


@dataclass
class ServingWorld:
    """A published world; `publish` publishes again and writes what serving reads."""

    home: Path
    registry: Registry
    warehouse: DuckDBWarehouse
    marts: dict[str, Any]
    versions: dict[str, str]
    published: int = 0

    def publish(self, rules: ListRules) -> Path:
        self.published += 1
        now = NOW + dt.timedelta(minutes=self.published)
        given = {"variants": VARIANTS, "rules": rules, "list_length": 8, "now": now}
        publish(self.marts, self.registry, self.warehouse, **given)
        return write_serving_files(
            self.home, warehouse=self.warehouse, marts=self.marts, registry=self.registry, rules=rules
        )


def make_world(folder: Path) -> ServingWorld:
    marts = marts_of_world()
    titles = [f"Title of {book}" for book in marts["dim_books"]["book_id"].to_pylist()]
    marts["dim_books"] = marts["dim_books"].append_column("title", [titles])
    registry, data = Registry(folder / "registry"), dataset_from_marts(marts)
    names = ("popularity", "item_knn", "ease", "als")
    versions = {name: train(name, data, registry, variants=VARIANTS, now=NOW).version for name in names}
    registry.set_alias(PRODUCTION, versions["item_knn"], why="a test")
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    warehouse.prepare()
    return ServingWorld(folder / "serving", registry, warehouse, marts, versions)


@pytest.fixture(scope="module")
def serving_world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world with a snapshot and the artifact of `item_knn`."""
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(parse_list_rules({}))
    return made


@dataclass
class Running:
    """A gateway that answers at `url`; `client` has a key for apps."""

    gateway: Gateway
    url: str
    client: httpx.Client
    hub: FolderHub

    def recommended(self, user: str, **params: Any) -> Any:
        found = self.client.get(f"/v1/users/{user}/recommendations", params=params)
        assert found.status_code == 200, found.text
        return found.json()

    def post(self, *events: dict[str, Any]) -> Any:
        return self.client.post("/v1/events", json={"batch": list(events)})


def event(name: str, book: str, *, user: str | None = "u01", device: str = "d1", key: str = "m1", **more: Any) -> Any:
    """An event of Segment's format about a book."""
    base = {"type": "track", "event": name, "messageId": key, "userId": user, "anonymousId": device}
    return {**base, "timestamp": "2026-11-22T10:00:00Z", "properties": {"book_id": book, **more}}


@pytest.fixture
def run_gateway(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts gateways on a free port; all are stopped after the test."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(world: ServingWorld, name: str = "gateway") -> Running:
        hub, keys = FolderHub(tmp_path / "hub"), KeyStore(tmp_path / "keys", "local")
        gateway = Gateway(
            follower=Follower(world.home, world.registry),
            recent=RecentEventsInMemory(),
            spool=EventSpool(tmp_path / f"spool-{name}", to_hub(hub), flush_seconds=0.1),
            access=Access(keys),
        )
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
