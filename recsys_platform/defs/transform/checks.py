"""Nothing that was accepted is lost on the way to the marts: proven on every build."""

import datetime as dt
from dataclasses import asdict

import dagster as dg

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
        metadata={**totals, "out_of_balance": len(broken), "newest_days": _table([*broken, *days])},
        description=_first_broken(broken) if broken else accounted,
    )


@dg.asset_check(asset=dg.AssetKey(["marts", "rpt_event_conservation"]), pool=WAREHOUSE_WRITER)
def no_landing_hour_lies_ahead(warehouse: dg.ResourceParam[Warehouse]) -> dg.AssetCheckResult:
    """No landing object lies under an hour that has not come yet; a warning."""
    ahead = objects_ahead(warehouse, dt.datetime.now(dt.UTC).replace(tzinfo=None))
    told = (
        f"{len(ahead):,} landing objects lie under an hour to come, first {ahead[0]}: see to the clock of who wrote them"
        if ahead
        else None
    )
    return dg.AssetCheckResult(
        passed=not ahead,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"objects": len(ahead), "keys": ahead[:SHOWN_OBJECTS]},
        description=told,
    )


def _table(days: list[Conserved]) -> dg.TableMetadataValue:
    """What is out of balance, then the newest days of each tracker."""
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
        f"{day.distinct_events} distinct, {day.duplicates} duplicates and {day.invalid} invalid; `recsys run --all` builds them anew"
    )
