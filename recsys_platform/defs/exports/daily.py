"""Events and sessions as Parquet in the hub, one file a day; snapshots of the other marts are written by `training/interactions`."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.exports.daily_export import DAILY_TABLES, DailyExport, DailyTable, write_changed_days
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.port import Warehouse


def _asset_spec(table: DailyTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["curated", table.name],
        deps=[dg.AssetKey(["marts", table.name])],
        description=f"`marts.{table.name}` as Parquet in `curated/{table.name}/`, by `{table.day}`; only changed days are written.",
        group_name="curated",
        kinds={"parquet"},
        automation_condition=NIGHTLY,
    )


@dg.multi_asset(specs=[_asset_spec(table) for table in DAILY_TABLES], can_subset=True, pool=WAREHOUSE_WRITER)
def curated_days(
    context: dg.AssetExecutionContext, hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]
) -> Iterator[dg.MaterializeResult]:
    """One step for all tables, so that the warehouse is opened once."""
    for table in DAILY_TABLES:
        key = dg.AssetKey(["curated", table.name])
        if key in context.selected_asset_keys:
            yield dg.MaterializeResult(key, metadata=_export_metadata(write_changed_days(hub, warehouse, table)))


def _export_metadata(done: DailyExport) -> dict[str, Any]:
    return {
        "dagster/row_count": done.rows,
        "days": done.days,
        "days_written": len(done.written),
        "days_removed": len(done.removed),
        "first_written": [day.isoformat() for day in done.written[:10]],
    }
