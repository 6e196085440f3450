"""The reading copy as an asset, materialized once everything in it is up to date."""

from collections.abc import Iterable

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import ON_CHANGE
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.recommender.lists.contracts import TABLES
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy
from recsys_platform.warehouse.port import Warehouse


def analytics_copy(dbt_models: Iterable[dg.AssetKey]) -> dg.AssetsDefinition:
    """The copy of those of dbt's models that are marts, and of the published tables."""
    marts = sorted(key for key in dbt_models if key.path[0] == "marts")
    as_asset = dg.asset(
        key=["analytics", "copy"],
        deps=[*marts, *(dg.AssetKey(["published", name]) for name in TABLES)],
        group_name="published",
        kinds={"duckdb"},
        pool=WAREHOUSE_WRITER,
        automation_condition=ON_CHANGE,
    )
    return as_asset(_write_analytics_copy)


def _write_analytics_copy(
    warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Marts and published lists in `analytics.duckdb`, which can be read while a run is writing the warehouse."""
    if not isinstance(warehouse, DuckDBWarehouse):
        return dg.MaterializeResult(metadata={"not copied": "Snowflake can be read while it is written"})
    rows = write_reading_copy(warehouse, settings.analytics_path)
    size = settings.analytics_path.stat().st_size
    return dg.MaterializeResult(metadata={"path": str(settings.analytics_path), "bytes": size, **rows})
