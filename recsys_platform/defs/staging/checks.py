"""Nothing that landed is lost: proven on every load."""

import dagster as dg

from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.warehouse.port import Warehouse

_EVENTS = dg.AssetKey(["raw", "engagement_events"])

# Every object of the ledger against the rows that stand in the two raw tables.
_OBJECTS_OUT_OF_BALANCE = """
    with accepted as (select object_key, count(*) as n from raw.engagement_events group by 1),
    rejected as (select object_key, count(*) as n from raw.rejected_records group by 1)
    select coalesce(l.object_key, a.object_key, r.object_key) as object_key, l.records,
        coalesce(a.n, 0) as accepted, coalesce(r.n, 0) as rejected
    from (from ops.load_ledger where starts_with(object_key, 'engagement_events/')) as l
    full join accepted as a using (object_key)
    full join rejected as r on r.object_key = coalesce(l.object_key, a.object_key)
    where l.records is distinct from coalesce(a.n, 0) + coalesce(r.n, 0)
        or l.accepted is distinct from coalesce(a.n, 0)
    order by 1
"""
_TOTALS = """
    select count(*) as objects, coalesce(sum(records), 0)::bigint as records,
        coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(rejected), 0)::bigint as rejected
    from ops.load_ledger where starts_with(object_key, 'engagement_events/')
"""
_DAMAGED = """
    select object_key || ': ' || reason as what, count(*) as pieces from raw.rejected_records
    where reason like '%gzip%' group by 1 order by 1
"""


@dg.asset_check(asset=_EVENTS, blocking=True, pool=WAREHOUSE_WRITER)
def every_record_is_accepted_or_rejected(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """For every landing object: records = accepted + rejected, in the ledger and in the tables."""
    broken, totals = broken_objects(warehouse)
    accounted = f"{totals['records']:,} records of {totals['objects']:,} objects accounted for"
    return dg.AssetCheckResult(
        passed=not broken,
        metadata={**totals, "objects_out_of_balance": len(broken), "first": [str(row) for row in broken[:5]]},
        description=_first_broken(broken) if broken else accounted,
    )


@dg.asset_check(asset=_EVENTS, pool=WAREHOUSE_WRITER)
def every_object_is_whole(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """No landing object is truncated or damaged; what could be read of such an object is loaded, the rest is rejected."""
    damaged = damaged_objects(warehouse)
    what = (
        f"{len(damaged)} damaged: {damaged[0]}; deliver the rest in a new object" if damaged else "no damaged objects"
    )
    return dg.AssetCheckResult(
        passed=not damaged,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"damaged_objects": len(damaged), "first": damaged[:5]},
        description=what,
    )


def broken_objects(warehouse: Warehouse) -> tuple[list[dict[str, object]], dict[str, int]]:
    """The objects whose rows do not add up, and the totals of the ledger."""
    return warehouse.frame(_OBJECTS_OUT_OF_BALANCE).to_pylist(), warehouse.frame(_TOTALS).to_pylist()[0]


def damaged_objects(warehouse: Warehouse) -> list[str]:
    """Key and damage of every object of which only a part could be read."""
    return [row["what"] for row in warehouse.frame(_DAMAGED).to_pylist()]


def _first_broken(broken: list[dict[str, object]]) -> str:
    row = broken[0]
    return (
        f"{len(broken)} objects are out of balance, first {row['object_key']}: ledger {row['records']} records, tables "
        f"{row['accepted']} accepted and {row['rejected']} rejected; delete its rows and its ledger entry, then `recsys run --all`"
    )
