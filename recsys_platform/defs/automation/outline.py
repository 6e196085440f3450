"""A cached outline of a world's definitions, so that most commands need not load them.

Loading the definitions imports dbt, Dagster's integrations and the models, which takes seconds. So the asset graph and the default
status of schedules and sensors are cached beside Dagster's state until the code or the settings change.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._check import CheckError
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.config.settings import Settings
from recsys_platform.defs.pools import ON_DEMAND
from recsys_platform.transform.dbt import ROOT

PACKAGE = Path(__file__).parents[2]
OUTLINE = "definitions.json"


@dataclass(frozen=True)
class AssetOutline:
    """An asset; `name` and `parents` are keys such as `marts/dim_books`, `checks` maps names of checks → whether they block.

    `most_seconds`: the age that its freshness policy allows; None without one.
    """

    name: str
    parents: tuple[str, ...]
    code_version: str | None
    checks: Mapping[str, bool]
    is_materializable: bool
    is_partitioned: bool
    is_on_demand: bool
    most_seconds: float | None

    @property
    def key(self) -> dg.AssetKey:
        """The asset's key."""
        return dg.AssetKey.from_user_string(self.name)


@dataclass(frozen=True)
class Outline:
    """All assets in topological order, and by name whether schedules and sensors are on by default."""

    assets: tuple[AssetOutline, ...]
    switches: Mapping[str, bool]

    @property
    def made_in_every_run(self) -> list[dg.AssetKey]:
        """The unpartitioned assets that `recsys run` materializes, without those on demand."""
        found = (each for each in self.assets if each.is_materializable)
        return sorted(each.key for each in found if not each.is_partitioned and not each.is_on_demand)

    def checks(self, *, blocking_only: bool = False) -> list[dg.AssetCheckKey]:
        """The checks of all assets."""
        found = (
            (each.key, name) for each in self.assets for name in each.checks if each.checks[name] or not blocking_only
        )
        return [dg.AssetCheckKey(key, name) for key, name in found]

    def children(self, keys: set[dg.AssetKey]) -> set[dg.AssetKey]:
        """The direct children of some assets."""
        names = {key.to_user_string() for key in keys}
        return {each.key for each in self.assets if not names.isdisjoint(each.parents)}


def outline_of(defs: dg.Definitions) -> Outline:
    """The outline of definitions."""
    return _outline(defs.resolve_asset_graph(), [*(defs.schedules or ()), *(defs.sensors or ())])


def outline_of_repository(repository: dg.RepositoryDefinition) -> Outline:
    """The outline of the definitions that a run belongs to."""
    return _outline(repository.asset_graph, [*repository.schedule_defs, *repository.sensor_defs])


def _outline(graph: AssetGraph, switches: Sequence[Any]) -> Outline:
    assets = tuple(_asset_outline(graph, key) for key in graph.toposorted_asset_keys)
    return Outline(assets, {item.name: _is_on_by_default(item) for item in switches})


def _asset_outline(graph: AssetGraph, key: dg.AssetKey) -> AssetOutline:
    node = graph.get(key)
    checks = sorted(check for check in graph.asset_check_keys if check.asset_key == key)
    window = getattr(node.freshness_policy, "fail_window", None)
    return AssetOutline(
        name=key.to_user_string(),
        parents=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        code_version=node.code_version,
        checks={check.name: graph.get(check).blocking for check in checks},
        is_materializable=node.is_materializable,
        is_partitioned=node.is_partitioned,
        is_on_demand=ON_DEMAND in node.tags,
        most_seconds=window.to_timedelta().total_seconds() if window else None,
    )


def _is_on_by_default(item: Any) -> bool:
    return bool(item.default_status.value == "RUNNING")


def write_outline(settings: Settings, defs: dg.Definitions) -> Outline:
    """Write the outline of the definitions to the cache."""
    outline, file = outline_of(defs), _outline_path(settings)
    with suppress(OSError):  # a full disk or a read-only home: it is written next time
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps({"of": _code_fingerprint(settings), **asdict(outline)}))
    return outline


def outline_of_run(context: dg.AssetExecutionContext, settings: Settings) -> Outline | None:
    """The outline of the definitions that a run was started with; None if nobody wrote one.

    A run of the command line has no repository but wrote the outline, which stays that of the run if somebody edits a file meanwhile.
    """
    try:
        return outline_of_repository(context.repository_def)
    except CheckError:
        return stored_outline(settings, may_be_older=True)


def stored_outline(settings: Settings, *, may_be_older: bool = False) -> Outline | None:
    """The cached outline; None if it is missing or, unless it `may_be_older`, the code or the settings have changed."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads(_outline_path(settings).read_text(encoding="utf-8"))
        if may_be_older or stored["of"] == _code_fingerprint(settings):
            assets = (AssetOutline(**{**each, "parents": tuple(each["parents"])}) for each in stored["assets"])
            return Outline(tuple(assets), stored["switches"])
    return None


def _outline_path(settings: Settings) -> Path:
    return settings.own_dagster_home / OUTLINE


def _code_fingerprint(settings: Settings) -> str:
    """A hash of the code, the dbt project, the world's own files and the settings, without endpoints: definitions do not use them."""
    files = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in _source_files(settings)]
    named = settings.model_dump_json(exclude={"users_url", "books_url"})
    return hashlib.sha256("\n".join([named, *files]).encode()).hexdigest()


def _source_files(settings: Settings) -> Iterator[Path]:
    yield from sorted(settings.config_folder.glob("*.y*ml"))
    for pattern in ("*.py", "*.yaml"):
        yield from sorted(PACKAGE.rglob(pattern))
    yield from sorted(ROOT.glob("*.yml"))
    for folder in ("models", "seeds", "snapshots", "tests", "macros"):
        yield from sorted(path for path in (ROOT / folder).rglob("*.*") if path.is_file())
