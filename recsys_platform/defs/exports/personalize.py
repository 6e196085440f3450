"""Data sets for Amazon Personalize, materialized only on request, neither by automation nor by `recsys run`."""

import dagster as dg

from recsys_platform.common.clock import utc_today
from recsys_platform.defs.pools import ON_DEMAND, WAREHOUSE_WRITER
from recsys_platform.exports.personalize import ExportResult, export, personalize_key
from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.data.training_data import MARTS, NEWEST_DAY
from recsys_platform.recommender.errors import DataError
from recsys_platform.warehouse.port import Warehouse

DATASETS = dg.AssetKey(["personalize", "datasets"])
_CHECK = "there_is_enough_to_train_on"


@dg.asset(
    key=DATASETS,
    deps=[dg.AssetKey(["marts", name]) for name in MARTS],
    group_name="published",
    kinds={"csv"},
    tags={ON_DEMAND: "true"},
    pool=WAREHOUSE_WRITER,
    check_specs=[dg.AssetCheckSpec(_CHECK, asset=DATASETS)],
)
def personalize_datasets(hub: dg.ResourceParam[Hub], warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
    """Interactions, users and items as CSV with their Avro schemas, under `personalize/` in the hub."""
    day = warehouse.frame(NEWEST_DAY)["day"][0].as_py() or utc_today()
    try:
        done = export(hub, warehouse, day)
    except DataError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return dg.MaterializeResult(
        metadata={
            **done.rows,
            "dagster/row_count": done.rows["interactions"],
            "interactions_left_out": done.left_out,
            "day": day.isoformat(),
            "path": hub.where(personalize_key(day, "")),
        },
        check_results=[_warnings_check(done)],
    )


def _warnings_check(done: ExportResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=_CHECK,
        passed=not done.warnings,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(done.warnings) or None,
    )
