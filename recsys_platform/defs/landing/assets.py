"""What lands: tracker events delivered by Firehose, and snapshots of users and books fetched from REST.

The events are external: they are only observed. A snapshot can be fetched for today alone, since the endpoints know no past.
"""

import datetime as dt

import dagster as dg

from recsys_platform.defs.partitions import DAILY, days_of
from recsys_platform.errors import AttributesError
from recsys_platform.hub.attributes import Endpoint, fetch_snapshot, shown, store_snapshot
from recsys_platform.hub.keys import Attributes, attributes_prefix
from recsys_platform.hub.store import Hub
from recsys_platform.settings import Settings

# Every request is retried with backoff by itself; this is for a service that restarts in between.
NETWORK_RETRIES = dg.RetryPolicy(max_retries=1, delay=5)

engagement_events = dg.AssetSpec(
    ["landing", "engagement_events"],
    description=(
        "Events of the trackers as Firehose delivers them: gzipped JSON objects under "
        "`engagement_events/source=…/YYYY/MM/DD/HH/`, by hour of arrival (UTC). Immutable; observed by the landing sensor."
    ),
    group_name="landing",
    kinds={"json"},
    partitions_def=DAILY,
    owners=["team:data-platform"],
)


def _snapshot_asset(kind: Attributes, setting: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=["landing", kind],
        group_name="attributes",
        kinds={"json", "rest"},
        partitions_def=DAILY,
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=NETWORK_RETRIES,
        description=f"One complete snapshot a day of the endpoint in `{setting}`, as JSON lines in `{kind}/dt=…/`.",
    )
    def snapshot(
        context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        day = days_of(context)[-1]
        url = settings.users_url if kind == "user_attributes" else settings.books_url
        if day != dt.datetime.now(dt.UTC).date():
            return _already_there(hub, kind, day)
        if url is None:
            raise dg.Failure(
                f"{setting} is not set: set it to the JSON endpoint, or put a snapshot of {day} into the hub.",
                allow_retries=False,
            )
        records = _fetch(settings, str(url))
        store_snapshot(hub, kind, day, records)
        return dg.MaterializeResult(metadata={"dagster/row_count": len(records), "url": shown(str(url))})

    return snapshot


def _fetch(settings: Settings, url: str) -> list[dict[str, object]]:
    endpoint = Endpoint(url, settings.attributes_per_page, settings.http_timeout_seconds, settings.http_attempts)
    try:
        return fetch_snapshot(endpoint)
    except AttributesError as error:
        raise dg.Failure(str(error)) from error


def _already_there(hub: Hub, kind: Attributes, day: dt.date) -> dg.MaterializeResult:
    found = hub.objects(attributes_prefix(kind, day))
    if not found:
        raise dg.Failure(
            f"There is no {kind} snapshot of {day} and the past cannot be fetched: choose today.", allow_retries=False
        )
    return dg.MaterializeResult(metadata={"objects": len(found)})


user_attributes = _snapshot_asset("user_attributes", "RECSYS_USERS_URL")
book_attributes = _snapshot_asset("book_attributes", "RECSYS_BOOKS_URL")
