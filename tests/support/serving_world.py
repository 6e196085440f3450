"""A small published world that serving reads, and a gateway that runs on it."""

import datetime as dt
import gzip
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data.training_data import dataset_from_marts, with_loaded_to
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.publication import publish
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.publishing import write_serving_files
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

    def publish(self, rules: ListRules, loaded_to: dt.datetime | None = None) -> Path:
        self.published += 1
        now = NOW + dt.timedelta(minutes=self.published)
        given = {"variants": VARIANTS, "rules": rules, "list_length": 8, "now": now}
        publish(self.marts, self.registry, self.warehouse, **given)
        marts = with_loaded_to(self.marts, loaded_to) if loaded_to else self.marts
        return write_serving_files(
            self.home, warehouse=self.warehouse, marts=marts, registry=self.registry, rules=rules
        )


def make_world(folder: Path) -> ServingWorld:
    """A world of its own with versions of four models, `item_knn` live; nothing is published yet."""
    models, versions = _trained_models()
    registry = Registry(Path(shutil.copytree(models.name, folder / "models")))
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    warehouse.prepare()
    return ServingWorld(folder / "serving", registry, warehouse, _titled_marts(), dict(versions))


@cache
def _trained_models() -> tuple[tempfile.TemporaryDirectory[str], dict[str, str]]:
    """The folder of a registry and its versions by variant, made once a process: worlds get copies."""
    folder = tempfile.TemporaryDirectory(prefix="trained-models-")
    registry, data = Registry(Path(folder.name)), dataset_from_marts(_titled_marts())
    names = ("popularity", "item_knn", "ease", "als")
    versions = {name: train(name, data, registry, variants=VARIANTS, now=NOW).version for name in names}
    registry.set_alias(PRODUCTION, versions["item_knn"], why="a test")
    return folder, versions


def _titled_marts() -> dict[str, Any]:
    marts = marts_of_world()
    titles = [f"Title of {book}" for book in marts["dim_books"]["book_id"].to_pylist()]
    marts["dim_books"] = marts["dim_books"].append_column("title", [titles])
    return marts


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


def landed_lines(hub: FolderHub) -> list[bytes]:
    """The records of all landing objects of a hub."""
    keys = [item.key for item in hub.objects("engagement_events/")]
    return [line for key in keys for line in gzip.decompress(hub.get(key)).splitlines()]
