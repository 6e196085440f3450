"""Raw tables: each landed object is loaded exactly once, and the ledger records it.

A day can be loaded every few minutes: only objects that are not in the ledger are read. Without new objects nothing is loaded.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import dagster as dg

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.throttle import throttle
from recsys_platform.defs.partitions import DAILY, LOAD_FROM, MOST_RECORDED_DAYS, days_of, days_of_run
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.table_metadata import table_metadata
from recsys_platform.hub.layout import LANDING, SOURCES, Attributes, arrival_of, attributes_prefix, landing_prefix
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_parts
from recsys_platform.ingestion.arrivals import Arrivals, all_arrivals, arrivals, by_day, is_loaded, new_snapshots
from recsys_platform.ingestion.loading import load_events, load_snapshot
from recsys_platform.ingestion.quarantine import mirror_rejected
from recsys_platform.warehouse.port import LoadReport, Warehouse
from recsys_platform.warehouse.sql import ARRIVAL_DAY

EVER = (dt.date.min, dt.date.max)
_ROWS_BY_DAY = f"""
    select cast({ARRIVAL_DAY} as varchar) as day, cast(sum(accepted) as bigint) as row_count
    from ops.load_ledger where object_key like 'engagement_events/%' group by 1
"""


@dg.asset(
    key=["raw", "engagement_events"],
    deps=[dg.AssetKey(["landing", "engagement_events"])],
    group_name="raw",
    kinds={"duckdb", "json"},
    pool=WAREHOUSE_WRITER,
    partitions_def=DAILY,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def raw_engagement_events(
    context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
) -> dg.MaterializeResult:
    """One row per accepted landed record; rejected records are in `raw.rejected_records` with their reason."""
    warehouse.prepare()
    gaps = LOAD_FROM in context.run.tags
    days = [] if gaps else days_of(context)
    found = _unloaded_arrivals(context, hub, warehouse) if gaps else arrivals(hub, warehouse, *days)
    progress = throttle(lambda done, total: context.log.info(f"{done:,} of {total:,} objects loaded"))
    report = load_events(hub, warehouse, found.new, progress=progress)
    prefixes = [landing_prefix(source, day) for source in SOURCES for day in days] or [f"{LANDING}/"]
    mirror_rejected(hub, warehouse, *prefixes)
    context.log.info(_load_sentence(report))
    _record_days(context, warehouse, list(by_day(found.new))[:-1] if gaps else [])
    return dg.MaterializeResult(
        metadata={
            **_load_metadata(report),
            **table_metadata(warehouse, "raw.engagement_events"),
            "changed_after_load": [item.key for item in found.changed],
            "not_loaded": [*found.strangers, *found.early],
        }
    )


def _unloaded_arrivals(context: dg.AssetExecutionContext, hub: Hub, warehouse: Warehouse) -> Arrivals:
    """The objects that are not in the ledger, within the run's range of days."""
    first, last = days_of_run(context.run.tags) or EVER
    found = all_arrivals(hub, warehouse)
    return replace(found, new=tuple(item for item in found.new if first <= arrival_of(item.key).date() <= last))


def _record_days(context: dg.AssetExecutionContext, warehouse: Warehouse, loaded: Sequence[dt.date]) -> None:
    """Record the row counts of the run's days, and materializations of the newest `loaded` days, which are not the run's own."""
    counts = {row["day"]: row["row_count"] for row in warehouse.frame(_ROWS_BY_DAY).to_pylist()}
    for day in days_of(context):
        if day.isoformat() in counts:
            count = {"dagster/partition_row_count": counts[day.isoformat()]}
            context.add_asset_metadata(count, partition_key=day.isoformat())
    for day in loaded[-MOST_RECORDED_DAYS:]:
        count = {"dagster/partition_row_count": counts[day.isoformat()]}
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=day.isoformat(), metadata=count))


def _raw_attributes(kind: Attributes) -> dg.AssetsDefinition:
    @dg.asset(
        key=["raw", kind],
        deps=[dg.AssetKey(["landing", kind])],
        group_name="attributes",
        kinds={"duckdb", "json"},
        pool=WAREHOUSE_WRITER,
        partitions_def=DAILY,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"One row per {kind.split('_')[0]} and snapshot day, replaced whole when a day is fetched again.",
    )
    def raw(
        context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
    ) -> dg.MaterializeResult:
        warehouse.prepare()
        days = _new_days(context, hub, warehouse, kind) if LOAD_FROM in context.run.tags else days_of(context)
        reports = (_load_day(hub, warehouse, kind, day) for day in days)
        report = sum(reports, LoadReport())
        return dg.MaterializeResult(metadata={**_load_metadata(report), **table_metadata(warehouse, f"raw.{kind}")})

    return raw


def _new_days(context: dg.AssetExecutionContext, hub: Hub, warehouse: Warehouse, kind: Attributes) -> list[dt.date]:
    first, last = days_of_run(context.run.tags) or EVER
    return [day for day in new_snapshots(hub, warehouse, kind) if first <= day <= last]


def _load_day(hub: Hub, warehouse: Warehouse, kind: Attributes, day: dt.date) -> LoadReport:
    objects = snapshot_parts(hub, kind, day)
    known = warehouse.ledger(attributes_prefix(kind, day))
    if {item.key for item in objects} == known.keys() and all(is_loaded(known, item) for item in objects):
        return LoadReport()
    try:
        return load_snapshot(hub, warehouse, kind, day, objects)
    except RecsysError as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def _load_metadata(report: LoadReport) -> dict[str, int]:
    return {
        "objects": report.objects,
        "records": report.records,
        "accepted": report.accepted,
        "rejected": report.rejected,
    }


def _load_sentence(report: LoadReport) -> str:
    if not report.objects:
        return "No new landing objects: nothing was loaded."
    return f"{report.objects:,} objects, {report.records:,} records: {report.accepted:,} accepted, {report.rejected:,} rejected."


raw_user_attributes = _raw_attributes("user_attributes")
raw_book_attributes = _raw_attributes("book_attributes")
