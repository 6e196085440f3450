"""Days of arrival (UTC), up to and including today."""

import datetime as dt
from collections.abc import Iterable, Iterator

import dagster as dg

FIRST_DAY = dt.date(2000, 1, 1)
DAILY = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), end_offset=1)


def days_of(context: dg.AssetExecutionContext) -> list[dt.date]:
    """The days that a run was asked for."""
    return [dt.date.fromisoformat(key) for key in context.partition_keys]


def stretches(days: Iterable[dt.date]) -> Iterator[tuple[dt.date, dt.date]]:
    """First and last day of each unbroken stretch of days."""
    first = last = None
    for day in sorted(days):
        if last is not None and day != last + dt.timedelta(days=1):
            yield first, last  # type: ignore[misc]
            first = None
        first, last = first or day, day
    if first and last:
        yield first, last
