"""The landing objects that `ingest.py` loads: one simulated world, and hubs with some of its days.

Belongs here: simulating once into a scratch folder, and linking days of it into smaller hubs. Does not: loading, measuring.
"""

import datetime as dt
import json
import os
import shutil
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from recsys_platform.hub.layout import (
    LANDING,
    SOURCES,
    Attributes,
    arrival_of,
    attributes_key,
    landing_prefix,
    source_of,
)
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.simulation.simulate import simulate
from recsys_platform.sources.attributes import store_snapshot

BOOKS, DAYS, LAST_DAY, SEED = 3000, 103, dt.date(2026, 6, 30), 7
READERS_FOR_10M = 30_000
SNAPSHOTS: tuple[Attributes, ...] = ("user_attributes", "book_attributes")
PEEK = 262_144


@dataclass(frozen=True)
class World:
    """One simulated world in a folder: `records` in `objects`, arrived on `days`, the oldest first."""

    folder: Path
    records: int
    objects: int
    days: tuple[dt.date, ...]

    @property
    def hub(self) -> Hub:
        """Everything that landed."""
        return FolderHub(self.folder / "hub")


def world_of(scratch: Path, *, events: int) -> World:
    """The world of about so many records: simulated if it is not there yet, one to three minutes for ten million."""
    readers = max(100, READERS_FOR_10M * events // 10_000_000)
    folder = scratch / f"world-{readers}x{BOOKS}x{DAYS}"
    done = folder / "done.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        made = simulate(
            FolderHub(folder / "hub"),
            readers=readers,
            books=BOOKS,
            days=DAYS,
            seed=SEED,
            end=LAST_DAY,
            truth_dir=folder / "truth",
        )
        done.write_text(json.dumps({"records": made.records, "objects": made.objects}))
    days = tuple(LAST_DAY - dt.timedelta(days=back) for back in reversed(range(DAYS)))
    return World(folder=folder, days=days, **json.loads(done.read_text()))


def oldest_days(world: World, share: float) -> tuple[dt.date, ...]:
    """The first days of a world that hold about a share of its bytes, all three trackers among them."""
    return _until(world, world.days, share)


def newest_days(world: World, share: float, *, before: dt.date) -> tuple[dt.date, ...]:
    """The last days before a day that hold about a share of the bytes of all days before it, oldest first."""
    earlier = [day for day in world.days if day < before]
    return tuple(sorted(_until(world, earlier[::-1], share)))


def _until(world: World, days: Sequence[dt.date], share: float) -> tuple[dt.date, ...]:
    sizes = sizes_by_day(world.hub)
    wanted, taken = share * sum(sizes[day] for day in days), 0
    for count, day in enumerate(days, start=1):
        taken += sizes[day]
        if taken >= wanted * 0.999:
            return tuple(days[:count])
    return tuple(days)


def sizes_by_day(hub: Hub) -> dict[dt.date, int]:
    """Compressed bytes by day of arrival."""
    sizes: dict[dt.date, int] = defaultdict(int)
    for item in hub.objects(f"{LANDING}/"):
        sizes[arrival_of(item.key).date()] += item.size_bytes
    return dict(sizes)


def link_days(world: World, hub: Hub, days: Sequence[dt.date]) -> list[HubObject]:
    """Hard links to what arrived on some days; all objects of these days in the hub."""
    for day in days:
        for source in SOURCES:
            for item in world.hub.objects(landing_prefix(source, day)):
                _link(world.hub.path(item.key), hub.path(item.key))
    return [item for day in days for source in SOURCES for item in hub.objects(landing_prefix(source, day))]


def link_snapshots(world: World, hub: Hub, days: Sequence[dt.date]) -> None:
    """The attributes of all readers and books on each of some days: the same ones, as they are in the end."""
    for kind in SNAPSHOTS:
        first = world.hub.path(attributes_key(kind, LAST_DAY))
        if not first.exists():
            store_snapshot(world.hub, kind, LAST_DAY, pq.read_table(_truth(world, kind)).to_pylist())
        for day in days:
            _link(first, hub.path(attributes_key(kind, day)))


def _truth(world: World, kind: Attributes) -> Path:
    return world.folder / "truth" / f"{kind}.parquet"


def _link(found: Path, wanted: Path) -> None:
    if not wanted.exists():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        os.link(found, wanted)


def layouts_of(hub: Hub) -> dict[str, dict[str, list[str]]]:
    """Source → keys with a record a line (`lines`) and with nothing between records (`joined`)."""
    found: dict[str, dict[str, list[str]]] = {source: {"lines": [], "joined": []} for source in SOURCES}
    for item in hub.objects(f"{LANDING}/"):
        head = zlib.decompressobj(wbits=31).decompress(hub.get(item.key), PEEK)
        found[source_of(item.key)]["lines" if b"\n" in head else "joined"].append(item.key)
    return found
