"""The metrics of a world: by a sensor that emits them, and for a command that prints them."""

import datetime as dt
from collections.abc import Callable
from functools import cache

import dagster as dg

from recsys_platform.common.clock import utc_now
from recsys_platform.config.factories import hub_of, registry_of, warehouse_of
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.load_requests import Seen
from recsys_platform.defs.automation.measurements import (
    measure,
    samples_of_hub,
    samples_of_instance,
    samples_of_loads,
    samples_of_registry,
    seen_by_sensor,
)
from recsys_platform.defs.automation.outline import outline_of_repository, stored_outline, write_outline
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.arrivals import arrivals, oldest_hour
from recsys_platform.monitoring.emitters import emitter_of
from recsys_platform.monitoring.metrics import Sample
from recsys_platform.recommender.registry.versions import Registry

INTERVAL_SECONDS = 120
"""Two values in each five minutes, which alarms look at."""


def metrics_sensors(
    status: dg.DefaultSensorStatus, settings: Settings, clock: Callable[[], dt.datetime]
) -> list[dg.SensorDefinition]:
    """A sensor that emits all metrics; none if they are off.

    It ticks only while the daemon works: if its metrics stay away, that is the alarm of a dead daemon.
    """
    if settings.metrics == "off":
        return []
    longest = dt.timedelta(hours=settings.alert_silence_hours)
    # Made by the first tick: what it imports may be missing, which other sensors do not need.
    emitter_once = cache(emitter_of)

    @dg.sensor(
        name="metrics",
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description="Emits metrics of loads, freshness, checks, runs, the daemon and the model, as RECSYS_METRICS says.",
    )
    def metrics(
        context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub], registry: dg.ResourceParam[Registry]
    ) -> dg.SkipReason:
        emitter = emitter_once(settings)
        if context.repository_def is None or emitter is None:
            return dg.SkipReason("There is no asset graph.")
        outline, now = outline_of_repository(context.repository_def), clock()
        of_dagster, errors = measure(
            lambda: samples_of_instance(outline, context.instance, now),
            lambda: samples_of_loads(seen_by_sensor(context.instance), now),
        )
        # Before anything else is asked: a hub or registry that hangs until the tick is over must not hide what Dagster knows.
        emitter.emit(of_dagster, now)
        of_others, more_errors = measure(
            lambda: samples_of_hub(hub, now, longest),
            lambda: samples_of_registry(registry, now),
        )
        emitter.emit(of_others, now)
        return dg.SkipReason(" ".join([f"{len(of_dagster) + len(of_others)} values.", *errors, *more_errors]))

    return [metrics]


def metrics_of_world(
    settings: Settings, build_definitions: Callable[[Settings], dg.Definitions]
) -> tuple[list[Sample], list[str]]:
    """The same samples without a daemon, and a sentence for each source that cannot be read."""
    outline, now = stored_outline(settings) or write_outline(settings, build_definitions(settings)), utc_now()
    hub, longest = hub_of(settings), dt.timedelta(hours=settings.alert_silence_hours)
    with instance_of(settings) as instance:
        return measure(
            lambda: samples_of_instance(outline, instance, now),
            lambda: samples_of_loads(_seen_now(settings, hub, now), now),
            lambda: samples_of_hub(hub, now, longest),
            lambda: samples_of_registry(registry_of(settings), now),
        )


def _seen_now(settings: Settings, hub: Hub, now: dt.datetime) -> Seen:
    """What waits, by a look at the days that the landing sensor lists as well."""
    found = arrivals(hub, warehouse_of(settings), now.date(), now.date() - dt.timedelta(days=1))
    return Seen(now, len(found.new), oldest_hour(found.new, now))
