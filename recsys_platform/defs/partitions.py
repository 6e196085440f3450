"""Days of arrival (UTC), up to and including today."""

import datetime as dt
from collections.abc import Collection, Mapping

import dagster as dg

from recsys_platform.hub.layout import FIRST_DAY

DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), end_offset=1)
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
LOAD_FROM, LOAD_TO = "recsys/load_from", "recsys/load_to"
"""Tags of a run that loads every unloaded object of a range of days."""
MOST_RECORDED_DAYS = 31
"""The most days that one load records as partitions: each costs Dagster some writes, which adds up to minutes for years of history."""


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """The days (partitions) of a run."""
    return [dt.date.fromisoformat(key) for key in context.partition_keys]


def load_tags(days: Collection[dt.date]) -> dict[str, str]:
    """The tags of one run that loads some days, which need not be consecutive.

    A short range becomes a partition range, whose gaps are days without objects. A longer one has its last day as partition.
    """
    first, last = min(days).isoformat(), max(days).isoformat()
    if (max(days) - min(days)).days < MOST_RECORDED_DAYS:
        return {RANGE_START: first, RANGE_END: last}
    return {PARTITION: last, LOAD_FROM: first, LOAD_TO: last}


def days_of_run(tags: Mapping[str, str]) -> tuple[dt.date, dt.date] | None:
    """The first and last arrival day of a run, from its tags; None if it is not limited to days."""
    for names in ((LOAD_FROM, LOAD_TO), (RANGE_START, RANGE_END), (PARTITION, PARTITION)):
        if set(names) <= tags.keys():
            return dt.date.fromisoformat(tags[names[0]]), dt.date.fromisoformat(tags[names[1]])
    return None
