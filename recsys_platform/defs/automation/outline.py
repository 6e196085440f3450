"""What is written down of the definitions of a world, for commands that need not load them.

Loading the definitions imports dbt, Dagster's integrations and the models, which takes seconds. What a command asks of them, the asset
graph and what is switched on, stands beside Dagster's state, and is read from there until the code or the settings are others.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from recsys_platform.config.settings import Settings
from recsys_platform.defs.pools import ON_DEMAND
from recsys_platform.transform.dbt import ROOT

PACKAGE = Path(__file__).parents[2]
OUTLINE = "definitions.json"


@dataclass(frozen=True)
class AssetOutline:
    """One asset; `name`, `parents` are keys as `marts/dim_books`, `checks` names of its checks → whether they block."""

    name: str
    parents: tuple[str, ...]
    code_version: str | None
    checks: Mapping[str, bool]
    is_materializable: bool
    is_partitioned: bool
    is_on_demand: bool

    @property
    def key(self) -> dg.AssetKey:
        """Its key."""
        return dg.AssetKey.from_user_string(self.name)


@dataclass(frozen=True)
class Outline:
    """All assets, parents before children, and by name whether schedules and sensors are on by default."""

    assets: tuple[AssetOutline, ...]
    switches: Mapping[str, bool]

    @property
    def made_in_every_run(self) -> list[dg.AssetKey]:
        """What `recsys run` makes as a whole, not by day and not on demand."""
        found = (each for each in self.assets if each.is_materializable)
        return sorted(each.key for each in found if not each.is_partitioned and not each.is_on_demand)

    def checks(self, *, blocking_only: bool = False) -> list[dg.AssetCheckKey]:
        """The checks of all assets."""
        found = (
            (each.key, name) for each in self.assets for name in each.checks if each.checks[name] or not blocking_only
        )
        return [dg.AssetCheckKey(key, name) for key, name in found]

    def children(self, keys: set[dg.AssetKey]) -> set[dg.AssetKey]:
        """The assets that are made of one of some others."""
        names = {key.to_user_string() for key in keys}
        return {each.key for each in self.assets if not names.isdisjoint(each.parents)}


def outline_of(defs: dg.Definitions) -> Outline:
    """The outline of definitions."""
    graph = defs.resolve_asset_graph()
    found = [*(defs.schedules or ()), *(defs.sensors or ())]
    assets = tuple(_asset_outline(graph, key) for key in graph.toposorted_asset_keys)
    return Outline(assets, {item.name: _is_on_by_default(item) for item in found})


def _asset_outline(graph: AssetGraph, key: dg.AssetKey) -> AssetOutline:
    node = graph.get(key)
    checks = sorted(check for check in graph.asset_check_keys if check.asset_key == key)
    return AssetOutline(
        name=key.to_user_string(),
        parents=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        code_version=node.code_version,
        checks={check.name: graph.get(check).blocking for check in checks},
        is_materializable=node.is_materializable,
        is_partitioned=node.is_partitioned,
        is_on_demand=ON_DEMAND in node.tags,
    )


def _is_on_by_default(item: Any) -> bool:
    return bool(item.default_status.value == "RUNNING")


def write_outline(settings: Settings, defs: dg.Definitions) -> Outline:
    """Write down the outline of definitions, for the next command."""
    outline, file = outline_of(defs), _file(settings)
    draft = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a full disk, or a home that may only be read: it is written next time
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"of": _fingerprint(settings), **asdict(outline)}), encoding="utf-8")
        os.replace(draft, file)
    return outline


def stored_outline(settings: Settings) -> Outline | None:
    """The outline that was written down, None if there is none of today's code and settings."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(_file(settings).read_text(encoding="utf-8"))
        if stored["of"] == _fingerprint(settings):
            assets = (AssetOutline(**{**each, "parents": tuple(each["parents"])}) for each in stored["assets"])
            return Outline(tuple(assets), stored["switches"])
    return None


def _file(settings: Settings) -> Path:
    return settings.own_dagster_home / OUTLINE


def _fingerprint(settings: Settings) -> str:
    """Another one where code, dbt project, settings or files of the world are others; endpoints change no definition."""
    files = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in _sources(settings)]
    named = settings.model_dump_json(exclude={"users_url", "books_url"})
    return hashlib.sha256("\n".join([named, *files]).encode()).hexdigest()


def _sources(settings: Settings) -> Iterator[Path]:
    yield from sorted(settings.config_folder.glob("*.y*ml"))
    for pattern in ("*.py", "*.yaml"):
        yield from sorted(PACKAGE.rglob(pattern))
    yield from sorted(ROOT.glob("*.yml"))
    for folder in ("models", "seeds", "snapshots", "tests", "macros"):
        yield from sorted(path for path in (ROOT / folder).rglob("*.*") if path.is_file())
