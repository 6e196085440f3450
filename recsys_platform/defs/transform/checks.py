"""Checks on every build: no accepted record is lost on the way to the marts, and the choice of books does not narrow."""

from dataclasses import asdict, fields

import dagster as dg

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.config.settings import Settings
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.ingestion.reconciliation import Conserved, conserved_events, objects_ahead
from recsys_platform.reports.catalog_coverage import CatalogWeek, catalog_weeks, judged_series, narrowings
from recsys_platform.warehouse.port import Warehouse

SHOWN_DAYS = 14
SHOWN_OBJECTS = 20
SHOWN_WEEKS = 12
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


@dg.asset_check(asset=dg.AssetKey(["marts", "rpt_catalog_coverage"]), pool=WAREHOUSE_WRITER)
def the_choice_of_books_does_not_narrow(
    warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Exposures and reads of the newest week are not much more concentrated than before (RECSYS_CONCENTRATION_RISE); a warning."""
    weeks = catalog_weeks(warehouse)
    found, judged = narrowings(weeks, rise=settings.concentration_rise), judged_series(weeks)
    enough = (
        f"{len(judged)} series of weeks compared"
        if judged
        else "No two weeks have enough exposures or reads to compare"
    )
    return dg.AssetCheckResult(
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"compared": len(judged), "newest_weeks": _weeks_table(weeks)},
        description=" ".join(each.sentence for each in found) or enough,
    )


def _weeks_table(weeks: list[CatalogWeek]) -> dg.TableMetadataValue:
    """The last weeks of all exposures, of all reads and of each model, newest first."""
    newest = sorted({week.week_start for week in weeks})[-SHOWN_WEEKS:]
    rows = [
        dg.TableRecord({**asdict(week), "week_start": str(week.week_start)})
        for week in weeks
        if week.week_start in newest
    ]
    rows.sort(key=lambda row: str(row.data["week_start"]), reverse=True)
    kinds = {"counted": "string", "model": "string", "week_start": "string", "is_complete": "bool"}
    columns = [dg.TableColumn(each.name, kinds.get(each.name, "float")) for each in fields(CatalogWeek)]
    return dg.MetadataValue.table(rows, schema=dg.TableSchema(columns))


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
