"""Days of arrival (UTC), up to and including today."""

import datetime as dt
from collections.abc import Collection, Mapping

import dagster as dg

from recsys_platform.hub.layout import FIRST_DAY

DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), end_offset=1)
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
LOAD_FROM, LOAD_TO = "recsys/load_from", "recsys/load_to"
"""Tags of a run that loads whatever waits from one day to another, as many days as there are."""
TOLD_DAYS = 31
"""Days that one load records one by one: each costs Dagster some writes, which years of history would turn into minutes."""


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """The days that a run was asked for."""
    return [dt.date.fromisoformat(key) for key in context.partition_keys]


def load_tags(days: Collection[dt.date]) -> dict[str, str]:
    """The tags of one run that loads some days, whatever the gaps between them.

    In a short span the gaps are days without objects; of a long one Dagster is told the last day as the partition of the run.
    """
    first, last = min(days).isoformat(), max(days).isoformat()
    if (max(days) - min(days)).days < TOLD_DAYS:
        return {RANGE_START: first, RANGE_END: last}
    return {PARTITION: last, LOAD_FROM: first, LOAD_TO: last}


def days_of_run(tags: Mapping[str, str]) -> tuple[dt.date, dt.date] | None:
    """First and last day of arrival that a run is about, by its tags; None for all of them."""
    for names in ((LOAD_FROM, LOAD_TO), (RANGE_START, RANGE_END), (PARTITION, PARTITION)):
        if set(names) <= tags.keys():
            return dt.date.fromisoformat(tags[names[0]]), dt.date.fromisoformat(tags[names[1]])
    return None
