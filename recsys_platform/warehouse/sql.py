"""Pieces of SQL that every engine reads, for queries that the engines share.

Those queries keep to what DuckDB and Snowflake have in common: no semi joins, no array parameters, no `filter (where …)`.
"""

import datetime as dt
from collections.abc import Sequence

from recsys_platform.common.clock import naive_utc_now

ARRIVAL_DAY = """try_cast(
    split_part(object_key, '/', 3) || '-' || split_part(object_key, '/', 4) || '-' || split_part(object_key, '/', 5) as date)"""
"""The day in the key of a landing object of `engagement_events/`; NULL for other keys, whatever the order of conditions."""

ARRIVAL_HOUR = """split_part(object_key, '/', 3) || '/' || split_part(object_key, '/', 4) || '/' ||
    split_part(object_key, '/', 5) || '/' || split_part(object_key, '/', 6)"""
"""The hour in the key of a landing object as text, such as `2026/11/22/10`; hours stand in the order of their texts."""


def marks(values: Sequence[object]) -> str:
    """Placeholders for the values of an `in (…)`; `null`, which nothing is in, for none."""
    return ", ".join("?" * len(values)) or "null"


def begins_with_any(column: str, prefixes: Sequence[str]) -> str:
    """A condition for texts that begin with one of some prefixes, which are its values."""
    return f"({' or '.join(f'left({column}, {len(prefix)}) = ?' for prefix in prefixes) or 'false'})"


def later_than(last: dt.datetime | None) -> dt.datetime:
    """Now (UTC, naive), or a microsecond after `last` where a clock went back."""
    now = naive_utc_now()
    return max(now, last + dt.timedelta(microseconds=1)) if last else now
