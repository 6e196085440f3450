"""The assignment of an experiment computed again from the marts: answers that contradict it, and groups that may be compared.

Belongs here: the buckets that a variant owned over time, and the queries. Does not: what is found in the counts
(statistics/health.py).

Only for experiments whose changes are in the audit: of others nobody knows which variant was right on which day.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from recsys_platform.common.sql_files import read_sql
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.buckets import bucket_sql, parse_ranges, sizes_of
from recsys_platform.experiments.changes import Period, changes_in, periods_of
from recsys_platform.experiments.statistics.health import Finding, contradictions
from recsys_platform.warehouse.port import Warehouse

SLACK = dt.timedelta(minutes=10)
"""How long gateways and lists may take to follow a change: until then the variant of before is right too."""
_UNITS, _CONTRADICTING, _READERS = (
    read_sql("recsys_platform.experiments", name)
    for name in ("first_units", "contradicting_answers", "readers_of_ranges")
)
_RANGE = """
    select
        cast(? as varchar) as variant,
        cast(? as integer) as first_bucket,
        cast(? as integer) as last_bucket,
        cast(? as timestamp) as valid_from,
        cast(? as timestamp) as valid_to"""
_EARLIEST, _LATEST = dt.datetime(1970, 1, 1), dt.datetime(9999, 1, 1)


class OwnedRange(NamedTuple):
    """Buckets, the last one included, that a variant owned for some time."""

    variant: str
    first: int
    last: int
    since: dt.datetime = _EARLIEST
    until: dt.datetime = _LATEST


def contradicting_answers(
    warehouse: Warehouse,
    experiment: Experiment,
    first: dt.date,
    last: dt.date,
    periods: Sequence[Period] | None = None,
) -> Finding | None:
    """Find answers that name another variant than the visitor had at that time. None also if the audit has no change.

    `periods`: those of the audit, by default read from it.
    """
    periods = audited_periods(warehouse, experiment) if periods is None else periods
    if not periods:
        return None
    sql, values = _query(_CONTRADICTING, experiment, owned_ranges(periods), (first, last))
    [counts] = warehouse.frame(sql, values).to_pylist()
    return contradictions(int(counts["answers"]), int(counts["contradicting"]))


def comparable_groups(
    warehouse: Warehouse,
    experiment: Experiment,
    readers: Mapping[str, int],
    days: Sequence[dt.date],
    periods: Sequence[Period] | None = None,
) -> tuple[Mapping[str, int], dict[str, float]]:
    """Return readers by variant, and the weights that they should have, for the check of the sample ratio.

    `readers`: all of them, who count as long as the weights kept their ratio. If some variants were ramped and others were not, a
    variant got readers who had come before; then only readers whose buckets had the same variant all the time count, and none if that
    leaves fewer than two variants. `periods`: those of the audit, by default read from it.
    """
    periods = audited_periods(warehouse, experiment) if periods is None else periods
    if not _has_other_ratios(periods):
        return readers, {variant.name: variant.weight for variant in experiment.variants}
    kept, weights = list(_ranges_of_all(periods)), defaultdict[str, float](float)
    for each in kept:
        weights[each.variant] += each.last + 1 - each.first
    if len(weights) < 2:
        return {}, dict.fromkeys((variant.name for variant in experiment.variants), 1.0)
    sql, values = _query(_READERS, experiment, kept, (days[0], days[-1]))
    found = {row["variant"]: int(row["readers"]) for row in warehouse.frame(sql, values).to_pylist()}
    return found, dict(weights)


def audited_periods(warehouse: Warehouse, experiment: Experiment) -> list[Period]:
    """Return the times in which the experiment had visitors; none if no command changed it."""
    own = [each for each in changes_in(warehouse) if each.experiment == experiment.name]
    return [each for each in periods_of(experiment, own) if each.state.is_running] if own else []


def _has_other_ratios(periods: Iterable[Period]) -> bool:
    shares = []
    for period in periods:
        sizes = sizes_of(period.state.weights.values())
        shares.append({name: size / sum(sizes) for name, size in zip(period.state.weights, sizes, strict=True)})
    return any(abs(share[name] - shares[0].get(name, 0)) > 1e-6 for share in shares for name in share)


def owned_ranges(periods: Sequence[Period]) -> list[OwnedRange]:
    """Return which buckets each variant owned from when to when, with the slack; no two of one variant overlap in both."""
    return [
        OwnedRange(variant, start, end - 1, since, until)
        for variant in dict.fromkeys(name for each in periods for name in each.state.variants)
        for start, end in _pieces(periods, variant)
        for since, until in _times(each for each in periods if _owns(each, variant, start))
    ]


def _ranges_of_all(periods: Sequence[Period]) -> Iterator[OwnedRange]:
    """The buckets that one variant owned in all periods."""
    for variant in periods[0].state.variants:
        for start, end in _pieces(periods, variant):
            if all(_owns(each, variant, start) for each in periods):
                yield OwnedRange(variant, start, end - 1)


def _pieces(periods: Iterable[Period], variant: str) -> list[tuple[int, int]]:
    """The buckets that a variant ever owned, cut where any period cuts them."""
    ranges = [each for period in periods for each in _ranges(period, variant)]
    cuts = sorted({at for each in ranges for at in each})
    return [(start, end) for start, end in pairwise(cuts) if any(low <= start < high for low, high in ranges)]


def _owns(period: Period, variant: str, at: int) -> bool:
    return any(start <= at < end for start, end in _ranges(period, variant))


def _ranges(period: Period, variant: str) -> tuple[tuple[int, int], ...]:
    found = period.state.variants.get(variant)
    return parse_ranges(found.buckets) if found else ()


def _times(periods: Iterable[Period]) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The times of periods with the slack, those that touch as one."""
    merged: list[tuple[dt.datetime, dt.datetime]] = []
    for each in periods:
        since = each.since - SLACK if each.since else _EARLIEST
        until = each.until + SLACK if each.until else _LATEST
        if merged and since <= merged[-1][1]:
            since = merged.pop()[0]
        merged.append((since, until))
    yield from merged


def _query(
    sql: str, experiment: Experiment, ranges: Sequence[OwnedRange], days: tuple[dt.date, dt.date]
) -> tuple[str, list[object]]:
    """A query over answers of these days and ranges, and its values."""
    units = _UNITS.format(bucket=bucket_sql("cast(? as varchar)", "assignments.unit_id"))
    salts = [experiment.bucket_salt] * units.count("cast(? as varchar)")
    values: list[object] = [*salts, experiment.name]
    for each in ranges:
        values += [each.variant, each.first, each.last, each.since.isoformat(" "), each.until.isoformat(" ")]
    text = sql.format(units=units, ranges="\n    union all".join([_RANGE] * len(ranges)))
    return text, [*values, experiment.name, *days]
