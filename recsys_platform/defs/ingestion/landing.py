"""Landing assets: tracker events delivered by Firehose, and snapshots of users and books fetched from REST endpoints.

Events are an external asset, only observed. A snapshot can be fetched only for today, since the endpoints have no history.
"""

import datetime as dt

import dagster as dg

from recsys_platform.common.clock import utc_today
from recsys_platform.common.errors import AttributesError
from recsys_platform.config.factories import endpoint_of
from recsys_platform.config.settings import Settings
from recsys_platform.defs.ingestion.schema_drift import drift_metadata
from recsys_platform.defs.partitions import DAILY, days_of
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_parts
from recsys_platform.sources.attributes import Snapshot, fetch_snapshot, last_fetch, store_fetched
from recsys_platform.sources.rest_client import Endpoint, redact_url

# Each request has its own retries with backoff; this retry is for a service that restarts in between.
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
        description=f"A complete daily snapshot of the endpoint in `{setting}`, as JSON lines in `{kind}/dt=…/`.",
    )
    def snapshot_asset(
        context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        day = days_of(context)[-1]
        endpoint = endpoint_of(settings, kind)
        if day != utc_today():
            return _already_there(hub, kind, day)
        if endpoint is None:
            raise dg.Failure(
                f"{setting} is not set: set it to the JSON endpoint, or put a snapshot of {day} into the hub.",
                allow_retries=False,
            )
        snapshot = _fetch_snapshot(hub, kind, endpoint)
        store_fetched(hub, kind, day, endpoint, snapshot)
        return dg.MaterializeResult(metadata={**_fetch_metadata(endpoint, snapshot), **drift_metadata(hub, kind, day)})

    return snapshot_asset


def _fetch_snapshot(hub: Hub, kind: Attributes, endpoint: Endpoint) -> Snapshot:
    try:
        return fetch_snapshot(endpoint, last_fetch(hub, kind, endpoint))
    except AttributesError as error:
        raise dg.Failure(str(error)) from error


def _fetch_metadata(endpoint: Endpoint, snapshot: Snapshot) -> dict[str, str | int]:
    return {
        "dagster/row_count": len(snapshot.records),
        "url": redact_url(endpoint.url),
        "unchanged": snapshot.unchanged,
        "pages": len(snapshot.pages),
        "pages_unchanged": sum(page.unchanged for page in snapshot.pages),
        "bytes_fetched": snapshot.bytes_fetched,
        "bytes_saved": snapshot.bytes_saved,
    }


def _already_there(hub: Hub, kind: Attributes, day: dt.date) -> dg.MaterializeResult:
    found = snapshot_parts(hub, kind, day)
    if not found:
        raise dg.Failure(
            f"There is no {kind} snapshot of {day} and the past cannot be fetched: choose today.", allow_retries=False
        )
    return dg.MaterializeResult(metadata={"objects": len(found), **drift_metadata(hub, kind, day)})


user_attributes = _snapshot_asset("user_attributes", "RECSYS_USERS_URL")
book_attributes = _snapshot_asset("book_attributes", "RECSYS_BOOKS_URL")
