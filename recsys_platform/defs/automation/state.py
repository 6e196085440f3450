"""What Dagster knows of a world: how fresh each layer is, which checks failed, what is switched on."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import dagster as dg

from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.run import instance_of
from recsys_platform.settings import Settings


@dataclass(frozen=True)
class Layer:
    """The assets of a schema or stage: when the newest of them was made (UTC), how many there are and how many were never made."""

    name: str
    newest: dt.datetime | None
    assets: int
    missing: int


@dataclass(frozen=True)
class State:
    """One screen of it."""

    layers: tuple[Layer, ...]
    switches: tuple[tuple[str, bool], ...]
    failed_checks: tuple[str, ...]


LAYERS = ("landing", "raw", "staging", "intermediate", "marts", "curated", "hub", "training", "models", "published")


def state_of(settings: Settings) -> State:
    """Read the instance of a world; a world that never ran has no newest times."""
    defs = build_defs(settings)
    with instance_of(settings) as instance:
        return State(_layers(defs, instance), _switches(defs, instance), _failed(defs, instance))


def _layers(defs: dg.Definitions, instance: dg.DagsterInstance) -> tuple[Layer, ...]:
    graph = defs.resolve_asset_graph()
    times: dict[str, list[float]] = defaultdict(list)
    for key in graph.materializable_asset_keys:
        records = instance.fetch_materializations(key, limit=1).records
        times[key.path[0]].append(records[0].timestamp if records else 0)
    return tuple(_layer(name, times[name]) for name in LAYERS if times[name])


def _layer(name: str, times: list[float]) -> Layer:
    newest = dt.datetime.fromtimestamp(max(times), dt.UTC) if max(times) else None
    return Layer(name, newest, len(times), times.count(0))


def _switches(defs: dg.Definitions, instance: dg.DagsterInstance) -> tuple[tuple[str, bool], ...]:
    """The default of each schedule and sensor, unless it was switched by hand in the UI."""
    stored = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
    found = [*(defs.schedules or ()), *(defs.sensors or ())]
    return tuple((item.name, _is_on(item, stored.get(item.name))) for item in found)


def _is_on(item: Any, stored: str | None) -> bool:
    status: str = stored if stored in ("RUNNING", "STOPPED") else item.default_status.value
    return status == "RUNNING"


def _failed(defs: dg.Definitions, instance: dg.DagsterInstance) -> tuple[str, ...]:
    keys = list(defs.resolve_asset_graph().asset_check_keys)
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return tuple(sorted(key.to_user_string() for key, record in records.items() if record.status.value == "FAILED"))
