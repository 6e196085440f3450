"""The copy for readers as an asset: made once everything that it copies is up to date."""

import dagster as dg

from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import ON_NEWS
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.transform import assets as dbt
from recsys_platform.recommender.lists.contracts import TABLES
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy
from recsys_platform.warehouse.port import Warehouse

_COPIED = [
    *sorted(key for key in dbt.dbt_models.keys if key.path[0] == "marts"),
    *(dg.AssetKey(["published", name]) for name in TABLES),
]


@dg.asset(
    key=["analytics", "copy"],
    deps=_COPIED,
    group_name="published",
    kinds={"duckdb"},
    pool=WAREHOUSE_WRITER,
    automation_condition=ON_NEWS,
)
def analytics_copy(
    warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Marts and published lists in `analytics.duckdb`, which can be read while a run writes the warehouse."""
    if not isinstance(warehouse, DuckDBWarehouse):
        return dg.MaterializeResult(metadata={"not copied": "Snowflake can be read while it is written"})
    rows = write_reading_copy(warehouse, settings.analytics_path)
    size = settings.analytics_path.stat().st_size
    return dg.MaterializeResult(metadata={"path": str(settings.analytics_path), "bytes": size, **rows})
