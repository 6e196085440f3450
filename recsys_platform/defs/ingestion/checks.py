"""Checks on every load that no landed record is lost, for the loaded days."""

import dagster as dg

from recsys_platform.defs.partitions import days_of_run
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.ingestion.reconciliation import Account, Days, account, damaged_objects
from recsys_platform.warehouse.port import Warehouse

_EVENTS = dg.AssetKey(["raw", "engagement_events"])


@dg.asset_check(asset=_EVENTS, blocking=True, pool=WAREHOUSE_WRITER)
def every_record_is_accepted_or_rejected(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """For every landing object, records = accepted + rejected: in the ledger and, for the days of this run, in the tables."""
    days = days_of_run(context.run.tags)
    found = account(warehouse, days)
    return dg.AssetCheckResult(
        passed=not found.broken,
        metadata={
            "days": _format_days(days),
            "objects": found.objects,
            "records": found.records,
            "accepted": found.accepted,
            "rejected": found.rejected,
            "objects_out_of_balance": len(found.broken),
            "first": [str(row) for row in found.broken[:5]],
        },
        description=_balance_sentence(found, days),
    )


@dg.asset_check(asset=_EVENTS, pool=WAREHOUSE_WRITER)
def every_object_is_whole(
    context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
) -> dg.AssetCheckResult:
    """No landing object is truncated or damaged. The readable records of such an object are loaded, the rest is rejected."""
    days = days_of_run(context.run.tags)
    damaged = damaged_objects(warehouse, days)
    what = (
        f"{len(damaged)} damaged: {damaged[0]}; deliver the missing records in a new object"
        if damaged
        else "no damaged objects"
    )
    return dg.AssetCheckResult(
        passed=not damaged,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"days": _format_days(days), "damaged_objects": len(damaged), "first": damaged[:5]},
        description=what,
    )


def _format_days(days: Days | None) -> str:
    return f"{days[0]} to {days[1]}" if days else "all"


def _balance_sentence(found: Account, days: Days | None) -> str:
    in_balance = f"{found.records:,} records of {found.objects:,} objects accounted for, days: {_format_days(days)}"
    return found.broken_sentence or in_balance
