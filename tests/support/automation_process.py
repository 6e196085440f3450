"""What Dagster's daemon does for a world, in a process of its own each time: `follow(home, settings)`.

Ticks the sensor `moved_aliases` and the automation conditions, runs what they ask for in that process, until they ask for nothing.
The cursor of the conditions is kept in a file, so that the next start follows on this one as a daemon that was restarted would.
"""

import multiprocessing
import os
import sys
from collections.abc import Collection, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster_shared.serdes import deserialize_value, serialize_value

from recsys_platform.config.factories import registry_of
from recsys_platform.config.settings import PREFIX, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.recommender.registry.versions import Registry

MOST_TICKS = 12
# Forked from a server that has imported this module and MLflow and done nothing else: to import it anew takes most of a quiet step.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__, "mlflow.tracking"])


def follow(home: Path, **named: str) -> int:
    """Follow what was changed in a world, in a new process with these settings alone; how many runs were made."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    environment = {f"{PREFIX}{name}": value for name, value in {"HOME": str(home), **named}.items()}
    process = PROCESSES.Process(target=tick_until_quiet, args=(home / "conditions.json", environment, theirs))
    process.start()
    theirs.close()
    process.join()
    assert process.exitcode == 0
    made: int = ours.recv()
    return made


def tick_until_quiet(file: Path, environment: Mapping[str, str], out: Connection) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
    settings, made = load_settings(), 0
    defs = build_defs(settings)
    cursor = deserialize_value(file.read_text(), AssetDaemonCursor) if file.exists() else None
    with instance_of(settings) as instance:
        quiet = 0
        for _ in range(MOST_TICKS):
            note_moved_aliases(defs, instance, registry_of(settings))
            found = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
            cursor = found.cursor
            asked = {each.key for each in found.results if each.true_subset.size}
            if asked:
                make(defs, instance, asked)
                made += 1
            quiet = 0 if asked else quiet + 1
            if quiet == 2:  # what was updated in a tick is news in the next one
                break
        else:
            sys.exit(f"Still asked for after {MOST_TICKS} ticks: {sorted(key.to_user_string() for key in asked)}")
    file.write_text(serialize_value(cursor))
    out.send(made)


def note_moved_aliases(defs: dg.Definitions, instance: dg.DagsterInstance, registry: Registry) -> None:
    """One tick of the sensor."""
    sensor = defs.resolve_sensor_def("moved_aliases")
    with dg.build_sensor_context(instance=instance, resources={"registry": registry}) as context:
        for event in sensor.evaluate_tick(context).asset_events:
            instance.report_runless_asset_event(event)


def make(defs: dg.Definitions, instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> None:
    """The run that was asked for, with what is only made together with it."""
    graph = defs.resolve_asset_graph()
    together = {other for key in keys for other in graph.get(key).execution_set_asset_keys}
    job = defs.resolve_implicit_global_asset_job_def()
    loggers = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(instance=instance, asset_selection=list(together), run_config=loggers).success
