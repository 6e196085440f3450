"""The account of every landed record: what the ledger says against what stands in the raw tables."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.sql import ARRIVAL_DAY, ARRIVAL_HOUR

Days = tuple[dt.date, dt.date]
"""First and last day of arrival, both included."""

# The ledger has a line an object: it is proven whole each time. The rows are counted only for the days in question.
_OUT_OF_BALANCE = read_sql("recsys_platform.ingestion", "unbalanced_objects").format(arrival_day=ARRIVAL_DAY)
_TOTALS = read_sql("recsys_platform.ingestion", "ledger_totals").format(arrival_day=ARRIVAL_DAY)
_DAMAGED = read_sql("recsys_platform.ingestion", "damaged_objects")
_EVER = (dt.date(1, 1, 1), dt.date(9998, 12, 31))


@dataclass(frozen=True)
class Account:
    """Totals of the ledger over the days asked for, and the objects whose rows do not add up to their line."""

    objects: int
    records: int
    accepted: int
    rejected: int
    broken: tuple[dict[str, Any], ...]

    @property
    def broken_sentence(self) -> str:
        """What is out of balance and what to do; empty if nothing is."""
        if not self.broken:
            return ""
        row = self.broken[0]
        return (
            f"{len(self.broken)} objects are out of balance, first {row['object_key']}: ledger {row['records']} records, tables "
            f"{row['accepted']} accepted and {row['rejected']} rejected; delete its rows and its ledger entry, then `recsys run --all`"
        )


def account(warehouse: Warehouse, days: Days | None = None) -> Account:
    """Compare ledger and rows for some days of arrival, None for all history; the ledger's own sums for all history always."""
    first, last = days or _EVER
    moments = _day_bounds(days)
    broken = warehouse.frame(_OUT_OF_BALANCE, [first, last, *moments, *moments]).to_pylist()
    totals = warehouse.frame(_TOTALS, [first, last]).to_pylist()[0]
    return Account(**totals, broken=tuple(broken))


def damaged_objects(warehouse: Warehouse, days: Days | None = None) -> list[str]:
    """Key and damage of every object of some days of arrival of which only a part could be read."""
    return [row["what"] for row in warehouse.frame(_DAMAGED, _day_bounds(days)).to_pylist()]


def _day_bounds(days: Days | None) -> list[dt.datetime]:
    """From the first moment (included) to the last (excluded)."""
    first, last = days or _EVER
    begin = dt.datetime.combine(first, dt.time())
    return [begin, dt.datetime.combine(last, dt.time()) + dt.timedelta(days=1)]


_AHEAD = f"""
    select object_key from ops.load_ledger where object_key like 'engagement_events/%' and {ARRIVAL_HOUR} > ? order by 1
"""


def objects_ahead(warehouse: Warehouse, now: dt.datetime) -> list[str]:
    """Keys of loaded landing objects whose hour of arrival is more than an hour after a moment (UTC, naive)."""
    limit = f"{now + dt.timedelta(hours=1):%Y/%m/%d/%H}"
    return [str(row["object_key"]) for row in warehouse.frame(_AHEAD, [limit]).to_pylist()]


@dataclass(frozen=True)
class Conserved:
    """Where the accepted records of an arrival day and tracker went; `lost` is 0 if they all went somewhere, once."""

    arrived_on: dt.date
    source: str
    accepted: int
    distinct_events: int
    duplicates: int
    invalid: int

    @property
    def lost(self) -> int:
        """Records that are nowhere; below 0, those that are there more than once."""
        return self.accepted - self.distinct_events - self.duplicates - self.invalid


def conserved_events(warehouse: Warehouse) -> list[Conserved]:
    """Every arrival day and tracker of `marts.rpt_event_conservation`, newest day first."""
    rows = warehouse.frame("select * from marts.rpt_event_conservation order by arrived_on desc, source").to_pylist()
    return [Conserved(**row) for row in rows]
