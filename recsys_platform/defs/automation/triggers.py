"""What starts runs without a person: the job, its schedule, and the sensors; off unless `RECSYS_AUTOMATION=on`."""

import datetime as dt
import hashlib
from collections.abc import Sequence

import dagster as dg

from recsys_platform.defs.automation.alerts import failure_alert
from recsys_platform.defs.automation.cleanup import cleanup_job, daily_cleanup
from recsys_platform.defs.partitions import FIRST_DAY
from recsys_platform.defs.training.aliases import moved_aliases
from recsys_platform.errors import RecsysError
from recsys_platform.hub.notifications import LandingQueue
from recsys_platform.hub.store import Hub, HubObject
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.resources import queue_of
from recsys_platform.settings import Settings
from recsys_platform.warehouse.arrivals import Arrivals, all_arrivals, announced, by_day
from recsys_platform.warehouse.port import Warehouse

REFRESH = "refresh"
LANDING_EVENTS = dg.AssetKey(["landing", "engagement_events"])
RAW_EVENTS = dg.AssetKey(["raw", "engagement_events"])

ON_DEMAND = "recsys/on_demand"
"""Tag of an asset that is only materialized when a person names it, in no run of the whole road."""

RECONCILE = dt.timedelta(hours=1)
"""How often the whole hub is listed although a queue tells of new objects: a message may be lost, a day without any may not."""

refresh = dg.define_asset_job(
    REFRESH,
    selection=dg.AssetSelection.all() - dg.AssetSelection.tag(ON_DEMAND, "true"),
    description="The whole road for some days of arrival: fetch, load, transform, train, publish.",
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


def triggers(settings: Settings) -> dg.Definitions:
    """The job, the schedule and the sensors, switched as the settings say."""
    is_on = settings.automation == "on"
    sensor_status = dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED
    return dg.Definitions(
        jobs=[refresh, attributes_job, cleanup_job],
        schedules=[_daily_attributes(schedule_status, settings), daily_cleanup(schedule_status)],
        sensors=[
            _new_landing_objects(sensor_status, queue_of(settings)),
            _moved_aliases(sensor_status),
            failure_alert(sensor_status, settings),
            dg.AutomationConditionSensorDefinition(
                "follow_the_graph",
                target=dg.AssetSelection.all(),
                default_status=sensor_status,
                description="Runs what its automation condition asks for.",
            ),
        ],
    )


def _daily_attributes(status: dg.DefaultScheduleStatus, settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=attributes_job,
        cron_schedule="0 2 * * *",
        default_status=status,
        description="Fetch users and books once a day, before models are trained.",
    )
    def daily_attributes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if settings.users_url is None or settings.books_url is None:
            return dg.SkipReason("RECSYS_USERS_URL and RECSYS_BOOKS_URL are not both set: there is nothing to fetch.")
        day = context.scheduled_execution_time.astimezone(dt.UTC).date().isoformat()
        return dg.RunRequest(run_key=day, partition_key=day)

    return daily_attributes


def _new_landing_objects(status: dg.DefaultSensorStatus, queue: LandingQueue | None) -> dg.SensorDefinition:
    @dg.sensor(
        target=dg.AssetSelection.assets(RAW_EVENTS),
        minimum_interval_seconds=60,
        default_status=status,
        description="Asks for a load of every arrival day that has objects which the ledger does not know.",
    )
    def new_landing_objects(
        context: dg.SensorEvaluationContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            found, cursor = _look(hub, warehouse, queue, context.cursor)
            waiting = by_day(found.new)
            requests = [_request(day, objects) for day, objects in waiting.items()]
        except RecsysError as error:
            return dg.SkipReason(str(error))
        if not requests:
            return dg.SensorResult(skip_reason="No landing objects that the ledger does not know.", cursor=cursor)
        told = [observed(day, len(objects)) for day, objects in waiting.items()]
        return dg.SensorResult(run_requests=requests, asset_events=told, cursor=cursor)

    return new_landing_objects


def _moved_aliases(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="moved_aliases",
        minimum_interval_seconds=60,
        default_status=status,
        description="Notes what a person put into production or made the challenger; published tables follow.",
    )
    def moved(
        context: dg.SensorEvaluationContext, registry: dg.ResourceParam[Registry]
    ) -> dg.SensorResult | dg.SkipReason:
        try:
            found = moved_aliases(context.instance, registry)
        except RecsysError as error:
            return dg.SkipReason(str(error))
        return (
            dg.SensorResult(asset_events=[found]) if found else dg.SkipReason("No alias was moved since the last note.")
        )

    return moved


def _look(
    hub: Hub, warehouse: Warehouse, queue: LandingQueue | None, listed_at: str | None
) -> tuple[Arrivals, str | None]:
    """What is new by the queue or, without one and once in a while, by listing the hub; and when that was last done."""
    now = dt.datetime.now(dt.UTC)
    if queue is None:
        return all_arrivals(hub, warehouse), None
    if listed_at is None or now - dt.datetime.fromisoformat(listed_at) >= RECONCILE:
        return all_arrivals(hub, warehouse), now.isoformat()
    found, settled = announced(hub, warehouse, queue.receive())
    queue.delete(settled)
    return found, listed_at


def observed(day: dt.date, objects: int) -> dg.AssetMaterialization:
    """That a day has some new landing objects; an observation would not count for the freshness policy."""
    return dg.AssetMaterialization(LANDING_EVENTS, partition=day.isoformat(), metadata={"new_objects": objects})


def _request(day: dt.date, objects: Sequence[HubObject]) -> dg.RunRequest:
    """One run a day and set of waiting objects: a load under way is not asked for twice."""
    if day < FIRST_DAY:
        raise RecsysError(
            f"Landing objects of {day} are older than the first partition, {FIRST_DAY}: move them out of the hub."
        )
    waiting = hashlib.sha256("\n".join(f"{item.key} {item.etag}" for item in objects).encode()).hexdigest()
    return dg.RunRequest(run_key=f"{day}:{waiting[:16]}", partition_key=day.isoformat())
