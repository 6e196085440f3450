"""Remove what the retention settings no longer keep: model versions, Dagster's runs and logs, evaluations.

Landing objects, attribute snapshots and curated days are never removed: they are the source of truth.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from recsys_platform.common.clock import to_naive_utc, utc_now
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.old_runs import (
    forget_tags_of_removed_events,
    old_events_without_run,
    old_runs,
    remove_events,
    remove_old_run,
)
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.recommender.evaluation.results import evaluations_before, remove_evaluations
from recsys_platform.recommender.registry.retention import expendable_versions
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.serving.routing_files import routing_of
from recsys_platform.warehouse.port import Warehouse

CLEANUP = "cleanup"


@dataclass(frozen=True)
class Removed:
    """The removed items of one kind: their names, and the bytes they used, as far as known."""

    what: str
    names: tuple[str, ...]
    bytes: int = 0


def clean_up(
    settings: Settings,
    registry: Registry,
    warehouse: Warehouse,
    instance: dg.DagsterInstance,
    *,
    now: dt.datetime,
    dry_run: bool = False,
) -> list[Removed]:
    """Remove what the retention settings no longer keep; with `dry_run` only list it. `now` is UTC with its time zone."""
    return [
        _remove_versions(registry, settings.keep_versions, routed_models(settings), dry_run=dry_run),
        _remove_runs(instance, now - dt.timedelta(days=settings.keep_runs_days), dry_run=dry_run),
        _remove_events(instance, now - dt.timedelta(days=settings.keep_runs_days), dry_run=dry_run),
        _remove_evaluations(warehouse, now - dt.timedelta(days=settings.keep_evaluations_days), dry_run=dry_run),
    ]


def routed_models(settings: Settings) -> tuple[str, ...]:
    """The aliases and versions that the files of routing name. Raises RecsysError if one of them cannot be read."""
    routing = routing_of(settings)
    routing.refresh()
    if routing.error:
        raise RecsysError(f"Nothing is removed while it is not known which model versions are in use: {routing.error}")
    return routing.named_models()


def _remove_versions(registry: Registry, newest: int, named: Sequence[str], *, dry_run: bool) -> Removed:
    going = expendable_versions(registry.versions(), registry.history(), newest=newest, named=named)
    size = sum(registry.size_of(each.version) for each in going)
    if not dry_run:
        registry.fail_orphaned_runs()
        for each in going:
            registry.remove(each.version)
    return Removed("model versions", tuple(each.label for each in going), size)


def _remove_runs(instance: dg.DagsterInstance, before: dt.datetime, *, dry_run: bool) -> Removed:
    going = old_runs(instance, before)
    if not dry_run and going:
        for run in going:
            remove_old_run(instance, run)
        forget_tags_of_removed_events(instance)
    return Removed("runs of Dagster", tuple(run.run_id for run in going), sum(run.bytes for run in going))


def _remove_events(instance: dg.DagsterInstance, before: dt.datetime, *, dry_run: bool) -> Removed:
    going = old_events_without_run(instance, before)
    if not dry_run and going:
        remove_events(instance, going)
        forget_tags_of_removed_events(instance)
    return Removed("events of sensors", tuple(map(str, going)))


def _remove_evaluations(warehouse: Warehouse, before: dt.datetime, *, dry_run: bool) -> Removed:
    going = evaluations_before(to_naive_utc(before), warehouse)
    if not dry_run and going:
        remove_evaluations(going, warehouse)
    return Removed("evaluations", tuple(going))


@dg.op(
    pool=WAREHOUSE_WRITER,
    description="Remove model versions, runs, logs and evaluations that the settings no longer keep.",
)
def remove_what_is_no_longer_kept(
    context: dg.OpExecutionContext,
    settings: dg.ResourceParam[Settings],
    registry: dg.ResourceParam[Registry],
    warehouse: dg.ResourceParam[Warehouse],
) -> None:
    """Run the same cleanup as `recsys cleanup`."""
    done = clean_up(settings, registry, warehouse, context.instance, now=utc_now())
    for each in done:
        context.log.info(f"{len(each.names)} {each.what} removed, {each.bytes:,} bytes")


@dg.job(name=CLEANUP, description="Removes what the retention settings no longer keep.")
def cleanup_job() -> None:
    """The cleanup op."""
    remove_what_is_no_longer_kept()


def daily_cleanup(status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """A schedule for every night, after training and publishing."""
    return dg.ScheduleDefinition(
        name="daily_cleanup",
        job=cleanup_job,
        cron_schedule="0 6 * * *",
        default_status=status,
        description="Remove what the retention settings no longer keep.",
    )
