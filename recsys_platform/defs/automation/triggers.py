"""Jobs, schedules and sensors; switched off unless `RECSYS_AUTOMATION=on`."""

import datetime as dt
from collections.abc import Callable, Collection
from functools import partial

import dagster as dg

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import queue_of
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.alerts import failure_alert
from recsys_platform.defs.automation.cleanup import cleanup_job, daily_cleanup
from recsys_platform.defs.automation.dead_runs import fail_dead_runs
from recsys_platform.defs.automation.lineage import lineage_sensors
from recsys_platform.defs.automation.load_requests import (
    LANDING_SENSOR,
    RAW_EVENTS,
    REFRESH,
    Cursor,
    Seen,
    fetch_request,
    load_requests,
    observed,
)
from recsys_platform.defs.automation.metrics import metrics_sensors
from recsys_platform.defs.automation.problems import problems_alert
from recsys_platform.defs.partitions import MOST_RECORDED_DAYS
from recsys_platform.defs.pools import ON_DEMAND
from recsys_platform.defs.serving.canary import canary_sensor
from recsys_platform.defs.training.aliases import moved_aliases
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.sqs import LandingQueue
from recsys_platform.ingestion.arrivals import Arrivals, all_arrivals, announced, arrivals, by_day, oldest_hour
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.warehouse.port import Warehouse

RECONCILE = dt.timedelta(hours=1)
"""How often the whole hub is listed. Other ticks list today and yesterday, or read the queue, which may lose messages."""

refresh = dg.define_asset_job(
    REFRESH,
    selection=dg.AssetSelection.all() - dg.AssetSelection.tag(ON_DEMAND, "true"),
    description="The whole pipeline for some arrival days: fetch, load, transform, train, publish.",
)
attributes_job = dg.define_asset_job(
    "fetch_attributes",
    selection=dg.AssetSelection.assets(
        ["landing", "user_attributes"],
        ["landing", "book_attributes"],
        ["raw", "user_attributes"],
        ["raw", "book_attributes"],
    ),
    description="Fetch today's users and books and load them.",
)


def triggers(settings: Settings, *, clock: Callable[[], dt.datetime] = utc_now) -> dg.Definitions:
    """The jobs, schedules and sensors, switched on or off by the settings."""
    is_on = settings.automation == "on"
    sensor_status = dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    return dg.Definitions(
        jobs=[refresh, attributes_job, cleanup_job],
        schedules=[_daily_attributes(schedule_status, settings), daily_cleanup(schedule_status)],
        sensors=[
            _new_landing_objects(sensor_status, queue_of(settings), clock),
            _moved_aliases(sensor_status),
            failure_alert(sensor_status, settings),
            problems_alert(sensor_status, settings, clock),
            *metrics_sensors(sensor_status, settings, clock),
            *lineage_sensors(sensor_status, settings, clock),
            canary_sensor(sensor_status, settings, clock),
            dg.AutomationConditionSensorDefinition(
                "follow_the_graph",
                target=dg.AssetSelection.all(),
                default_status=sensor_status,
                description="Materializes the assets whose automation condition is true.",
            ),
        ],
    )


def _daily_attributes(status: dg.DefaultScheduleStatus, settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=attributes_job,
        cron_schedule="*/10 2-23 * * *",
        default_status=status,
        description="Fetches users and books once a day from 02:00 UTC on, before training; retries on failure.",
    )
    def daily_attributes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if settings.users_url is None or settings.books_url is None:
            return dg.SkipReason("RECSYS_USERS_URL and RECSYS_BOOKS_URL are not both set: there is nothing to fetch.")
        now = context.scheduled_execution_time.astimezone(dt.UTC)
        return fetch_request(context.instance, attributes_job.name, now)

    return daily_attributes


def _new_landing_objects(
    status: dg.DefaultSensorStatus, queue: LandingQueue | None, clock: Callable[[], dt.datetime]
) -> dg.SensorDefinition:
    @dg.sensor(
        name=LANDING_SENSOR,
        target=dg.AssetSelection.assets(RAW_EVENTS),
        minimum_interval_seconds=60,
        default_status=status,
        description="Requests a load for the arrival days that have objects which are not in the ledger.",
    )
    def new_landing_objects(
        context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.SensorResult | dg.SkipReason:
        cursor, now = Cursor.parse(context.cursor), clock()
        try:
            found, settle = _poll_arrivals(hub, warehouse, queue, cursor, now)
            waiting = by_day(found.new)
            cursor.seen = Seen(now, len(found.new), oldest_hour(found.new, now))
            fail_dead_runs(context.instance)
            requests = load_requests(context.instance, cursor, waiting, now)
            settle()
        except RecsysError as error:
            return dg.SkipReason(str(error))
        requested = {day: waiting[day] for day, last in cursor.asked.items() if last.at == now}
        events = [observed(day, len(objects)) for day, objects in list(requested.items())[-MOST_RECORDED_DAYS:]]
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_nothing(waiting, found),
            asset_events=events,
            cursor=cursor.dump(),
        )

    return new_landing_objects


def _moved_aliases(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="moved_aliases",
        minimum_interval_seconds=60,
        default_status=status,
        description="Records changes of the aliases production and challenger; the published tables follow.",
    )
    def moved(
        context: dg.SensorEvaluationContext, registry: dg.ResourceParam[Registry]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            found = moved_aliases(context.instance, registry)
        except RecsysError as error:
            return dg.SkipReason(str(error))
        return (
            dg.SensorResult(asset_events=[found]) if found else dg.SkipReason("No alias was moved since the last tick.")
        )

    return moved


def _poll_arrivals(
    hub: Hub, warehouse: Warehouse, queue: LandingQueue | None, cursor: Cursor, now: dt.datetime
) -> tuple[Arrivals, Callable[[], None]]:
    """The new objects, and a function to call once their load is requested.

    Lists the whole hub once an hour, else today and yesterday, or reads the queue. Days with a requested load are listed until they
    have no unloaded objects.
    """
    if cursor.listed_at is None or now - cursor.listed_at >= RECONCILE:
        cursor.listed_at = now
        return all_arrivals(hub, warehouse), _do_nothing
    if queue is None:
        return arrivals(hub, warehouse, now.date(), now.date() - dt.timedelta(days=1), *cursor.asked), _do_nothing
    found, settled = announced(hub, warehouse, queue.receive())
    return found + arrivals(hub, warehouse, *cursor.asked), partial(queue.delete, settled)


def _do_nothing() -> None:
    """Without a queue there are no messages to delete."""


def _why_nothing(waiting: Collection[dt.date], found: Arrivals) -> str:
    """Why no load is requested, and which objects in the hub are not loaded."""
    why = f"{len(waiting)} days wait: their load is in progress, or failed and will be retried after a pause."
    return " ".join([why if waiting else "No new landing objects.", *found.warnings()])
