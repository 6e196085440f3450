"""What Dagster knows of a world: how fresh each layer is, which checks failed, what is switched on."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import dagster as dg

from recsys_platform.common.processes import is_process_since
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import Outline, stored_outline, write_outline
from recsys_platform.defs.pools import PROCESS


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
    outline = stored_outline(settings) or write_outline(settings, build_definitions(settings))
    with instance_of(settings) as instance:
        return State(
            _layers(outline, instance), _switches(outline, instance), _failed(outline, instance), _running(instance)
        )


def _layers(outline: Outline, instance: dg.DagsterInstance) -> tuple[Layer, ...]:
    keys = [asset.key for asset in outline.assets if asset.is_materializable]
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
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(outline.checks())
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
