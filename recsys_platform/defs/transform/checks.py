"""Checks on every build that no accepted record is lost on the way to the marts."""

from dataclasses import asdict

import dagster as dg

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.ingestion.reconciliation import Conserved, conserved_events, objects_ahead
from recsys_platform.warehouse.port import Warehouse

SHOWN_DAYS = 14
SHOWN_OBJECTS = 20
_NAMES = ("accepted", "distinct_events", "duplicates", "invalid")


@dg.asset_check(asset=dg.AssetKey(["marts", "rpt_event_conservation"]), blocking=True, pool=WAREHOUSE_WRITER)
def every_accepted_record_is_an_event_a_duplicate_or_invalid(
    warehouse: dg.ResourceParam[Warehouse],
) -> dg.AssetCheckResult:
    """For every arrival day and tracker: accepted = distinct events + duplicates + invalid."""
    days = conserved_events(warehouse)
    broken = [day for day in days if day.lost]
    totals = {name: sum(getattr(day, name) for day in days) for name in _NAMES}
    accounted = f"{totals['accepted']:,} accepted records of {len(days)} arrival days and trackers accounted for"
    return dg.AssetCheckResult(
        passed=not broken,
        metadata={**totals, "out_of_balance": len(broken), "newest_days": _days_table([*broken, *days])},
        description=_first_broken(broken) if broken else accounted,
    )


@dg.asset_check(asset=dg.AssetKey(["marts", "rpt_event_conservation"]), pool=WAREHOUSE_WRITER)
def no_landing_hour_lies_ahead(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """No landing object is in the folder of a future hour; a warning."""
    ahead = objects_ahead(warehouse, naive_utc_now())
    problem = (
        f"{len(ahead):,} landing objects are in folders of future hours, first {ahead[0]}: check the clock of their writer"
        if ahead
        else None
    )
    return dg.AssetCheckResult(
        passed=not ahead,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"objects": len(ahead), "keys": ahead[:SHOWN_OBJECTS]},
        description=problem,
    )


def _days_table(days: list[Conserved]) -> dg.TableMetadataValue:
    """The unbalanced days, then the newest days of each tracker."""
    rows = [
        dg.TableRecord({**asdict(day), "arrived_on": str(day.arrived_on), "lost": day.lost})
        for day in days[: 3 * SHOWN_DAYS]
    ]
    columns = [dg.TableColumn("arrived_on", "date"), dg.TableColumn("source", "string")]
    numbers = [dg.TableColumn(name, "int") for name in (*_NAMES, "lost")]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema([*columns, *numbers]))


def _first_broken(broken: list[Conserved]) -> str:
    day = broken[0]
    return (
        f"{len(broken)} arrival days are out of balance, first {day.arrived_on} of {day.source}: {day.accepted} accepted, but "
        f"{day.distinct_events} distinct, {day.duplicates} duplicates and {day.invalid} invalid; `recsys run --all` rebuilds them"
    )
