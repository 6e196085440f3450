"""What Dagster knows of a world: how fresh each layer is, which checks failed, what is switched on.

Loading the definitions takes seconds, so what they are is written down beside Dagster's state and read from there, until the code
or the settings are others.
"""

import datetime as dt
import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from recsys_platform.common.processes import is_process_since
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.pools import PROCESS
from recsys_platform.transform.dbt import ROOT

PACKAGE = Path(__file__).parents[2]
OUTLINE = "definitions.json"


@dataclass(frozen=True)
class Layer:
    """The assets of a schema or stage: when the newest of them was made (UTC), how many there are and how many were never made."""

    name: str
    newest: dt.datetime | None
    assets: int
    missing: int


@dataclass(frozen=True)
class State:
    """One screen of it; `running`: what each run that is under way does, and since when (UTC)."""

    layers: tuple[Layer, ...]
    switches: tuple[tuple[str, bool], ...]
    failed_checks: tuple[str, ...]
    running: tuple[tuple[str, dt.datetime], ...] = ()


@dataclass(frozen=True)
class Outline:
    """Of the definitions: asset keys, checks as asset key and name, and by name whether schedules and sensors are on by default."""

    assets: tuple[str, ...]
    checks: tuple[tuple[str, str], ...]
    switches: Mapping[str, bool]


LAYERS = (
    "landing",
    "raw",
    "staging",
    "intermediate",
    "marts",
    "curated",
    "hub",
    "training",
    "models",
    "published",
    "analytics",
)


def state_of(settings: Settings, build_definitions: Callable[[Settings], dg.Definitions]) -> State:
    """Read the instance of a world; a world that never ran has no newest times.

    `build_definitions` is only called where the outline of the definitions is missing or outdated: it takes seconds.
    """
    outline = _stored_outline(settings) or write_outline(settings, build_definitions(settings))
    with instance_of(settings) as instance:
        return State(
            _layers(outline, instance), _switches(outline, instance), _failed(outline, instance), _running(instance)
        )


def write_outline(settings: Settings, defs: dg.Definitions) -> Outline:
    """Write down what the definitions of a world are, for the next who asks for its state."""
    graph = defs.resolve_asset_graph()
    checks = sorted((key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys)
    found = [*(defs.schedules or ()), *(defs.sensors or ())]
    outline = Outline(
        tuple(sorted(key.to_user_string() for key in graph.materializable_asset_keys)),
        tuple(checks),
        {item.name: _default(item) for item in found},
    )
    file = _file(settings)
    draft = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a full disk, or a home that may only be read: it is written next time
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps({"of": _fingerprint(settings), **asdict(outline)}), encoding="utf-8")
        os.replace(draft, file)
    return outline


def _stored_outline(settings: Settings) -> Outline | None:
    with suppress(OSError, ValueError, KeyError):
        stored = json.loads(_file(settings).read_text(encoding="utf-8"))
        if stored["of"] == _fingerprint(settings):
            checks = tuple((asset, name) for asset, name in stored["checks"])
            return Outline(tuple(stored["assets"]), checks, stored["switches"])
    return None


def _file(settings: Settings) -> Path:
    return settings.own_dagster_home / OUTLINE


def _fingerprint(settings: Settings) -> str:
    """Another one where the code, the dbt project, a setting or a file of the world is another."""
    files = [f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in _sources(settings)]
    return hashlib.sha256("\n".join([settings.model_dump_json(), *files]).encode()).hexdigest()


def _sources(settings: Settings) -> Iterator[Path]:
    yield from sorted(settings.config_folder.glob("*.yaml"))
    for pattern in ("*.py", "*.yaml"):
        yield from sorted(PACKAGE.rglob(pattern))
    for folder in ("models", "seeds", "snapshots", "tests", "macros"):
        yield from sorted(path for path in (ROOT / folder).rglob("*.*") if path.is_file())


def _default(item: Any) -> bool:
    return bool(item.default_status.value == "RUNNING")


def _layers(outline: Outline, instance: dg.DagsterInstance) -> tuple[Layer, ...]:
    keys = [dg.AssetKey.from_user_string(name) for name in outline.assets]
    entries = (record.asset_entry for record in instance.get_asset_records(keys))
    made = {entry.asset_key: entry.last_materialization_record for entry in entries}
    times: dict[str, list[float]] = defaultdict(list)
    for key in keys:
        record = made.get(key)
        times[key.path[0]].append(record.timestamp if record else 0)
    return tuple(_layer(name, times[name]) for name in LAYERS if times[name])


def _layer(name: str, times: list[float]) -> Layer:
    newest = dt.datetime.fromtimestamp(max(times), dt.UTC) if max(times) else None
    return Layer(name, newest, len(times), times.count(0))


def _switches(outline: Outline, instance: dg.DagsterInstance) -> tuple[tuple[str, bool], ...]:
    """The default of each schedule and sensor, unless it was switched by hand in the UI."""
    stored = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
    by_hand = {name: status == "RUNNING" for name, status in stored.items() if status in ("RUNNING", "STOPPED")}
    return tuple((name, by_hand.get(name, default)) for name, default in outline.switches.items())


def _failed(outline: Outline, instance: dg.DagsterInstance) -> tuple[str, ...]:
    keys = [dg.AssetCheckKey(dg.AssetKey.from_user_string(asset), name) for asset, name in outline.checks]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return tuple(sorted(key.to_user_string() for key, record in records.items() if record.status.value == "FAILED"))


def _lives(record: dg.RunRecord) -> bool:
    process = record.dagster_run.tags.get(PROCESS)
    return process is None or is_process_since(int(process), record.start_time or 0)


def _running(instance: dg.DagsterInstance) -> tuple[tuple[str, dt.datetime], ...]:
    """Runs of the command line whose process was killed are over, though nobody has said so yet."""
    records = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return tuple(
        (record.dagster_run.job_name, dt.datetime.fromtimestamp(record.start_time, dt.UTC))
        for record in records
        if record.start_time and _lives(record)
    )
