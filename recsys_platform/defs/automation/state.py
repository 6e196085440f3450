"""The state of a world in Dagster: freshness of each layer, failed checks, switched-on schedules and sensors."""

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dagster as dg

from recsys_platform.common.processes import is_process_since
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.check_status import completed_checks
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import Outline, stored_outline, write_outline
from recsys_platform.defs.pools import PROCESS


@dataclass(frozen=True)
class Layer:
    """A layer (schema or stage): its latest materialization (UTC), its number of assets, and how many were never materialized."""

    name: str
    newest: dt.datetime | None
    assets: int
    missing: int


@dataclass(frozen=True)
class State:
    """The state for one screen; `running`: the job and start time (UTC) of each run in progress."""

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
    "serving",
    "experiments",
    "analytics",
    "reports",
    "ops",
)


def state_of(settings: Settings, build_definitions: Callable[[Settings], dg.Definitions]) -> State:
    """Read the state of a world from its instance; a world that never ran has no materializations.

    `build_definitions` takes seconds and is only called if the cached outline is missing or outdated.
    """
    outline = stored_outline(settings) or write_outline(settings, build_definitions(settings))
    with instance_of(settings) as instance:
        return State(
            layer_states(outline, instance),
            _switch_states(outline, instance),
            failed_checks(outline, instance),
            _running_runs(instance),
        )


def layer_states(outline: Outline, instance: dg.DagsterInstance) -> tuple[Layer, ...]:
    """The state of each layer that has assets."""
    keys = [asset.key for asset in outline.assets if asset.is_materializable]
    entries = (record.asset_entry for record in instance.get_asset_records(keys))
    made = {entry.asset_key: entry.last_materialization_record for entry in entries}
    times: dict[str, list[float]] = defaultdict(list)
    for key in keys:
        record = made.get(key)
        times[key.path[0]].append(record.timestamp if record else 0)
    return tuple(_layer_state(name, times[name]) for name in LAYERS if times[name])


def asset_ages(outline: Outline, instance: dg.DagsterInstance, now: dt.datetime) -> Iterator[tuple[str, float, float]]:
    """Materialized assets with a freshness policy: name, age, and the age that is allowed, in seconds. `now`: UTC."""
    most = {asset.key: asset.most_seconds for asset in outline.assets if asset.most_seconds is not None}
    for record in instance.get_asset_records(sorted(most)):
        entry = record.asset_entry
        if entry.last_materialization_record:
            made = entry.last_materialization_record.timestamp
            yield entry.asset_key.to_user_string(), now.timestamp() - made, most[entry.asset_key]


def _layer_state(name: str, times: list[float]) -> Layer:
    newest = dt.datetime.fromtimestamp(max(times), dt.UTC) if max(times) else None
    return Layer(name, newest, len(times), times.count(0))


def _switch_states(outline: Outline, instance: dg.DagsterInstance) -> tuple[tuple[str, bool], ...]:
    """The status of each schedule and sensor: as set in the UI, else its default."""
    stored = {state.instigator_name: state.status.value for state in instance.all_instigator_state()}
    by_hand = {name: status == "RUNNING" for name, status in stored.items() if status in ("RUNNING", "STOPPED")}
    return tuple((name, by_hand.get(name, default)) for name, default in outline.switches.items())


def failed_checks(outline: Outline, instance: dg.DagsterInstance) -> tuple[str, ...]:
    """The names of the checks whose newest completed evaluation failed."""
    records = completed_checks(instance, outline.checks())
    return tuple(sorted(key.to_user_string() for key, record in records.items() if record.status.value == "FAILED"))


def _is_process_alive(record: dg.RunRecord) -> bool:
    process = record.dagster_run.tags.get(PROCESS)
    return process is None or is_process_since(int(process), record.start_time or 0)


def _running_runs(instance: dg.DagsterInstance) -> tuple[tuple[str, dt.datetime], ...]:
    """The runs in progress, without those from the command line whose process was killed."""
    records = instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    return tuple(
        (record.dagster_run.job_name, dt.datetime.fromtimestamp(record.start_time, dt.UTC))
        for record in records
        if record.start_time and _is_process_alive(record)
    )
