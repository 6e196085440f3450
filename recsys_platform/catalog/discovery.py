"""Find the tables of the hub and learn their fields from a bounded sample.

JSON tables: the first records of up to `SAMPLE_OBJECTS` objects, spread evenly over the newest days, so that neither a quiet hour
nor a busy one stands for all. Parquet tables: footers of the newest files, no rows. Equal hubs give equal answers.
"""

import datetime as dt
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.catalog.hive_types import arrow_type, columns_of, joined
from recsys_platform.catalog.json_schema import Field, Schema, discover
from recsys_platform.catalog.tables import KnownEvent, KnownField, Partition, Sample, Table
from recsys_platform.common.errors import HubError
from recsys_platform.common.json_text import read_json
from recsys_platform.hub.layout import (
    LANDING,
    SOURCES,
    Attributes,
    arrival_of,
    is_curated_key,
    is_landing_key,
    is_snapshot_key,
)
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.framing import split_records

SAMPLE_OBJECTS = 32
SPREAD_OVER = 128  # objects of at least two days, and of as many more as are needed to choose from so many
SAMPLE_BYTES = 1_000_000  # as they lie in the hub, mostly compressed
SAMPLE_RECORDS = 10_000
SAMPLE_FILES = 8
MOST_EVENTS, LONGEST_NAME = 200, 100
Record = dict[str, Any]


@dataclass(frozen=True)
class _Listing:
    """The objects of a table by day, oldest first."""

    name: str
    location: str
    days: Mapping[dt.date, Sequence[HubObject]]

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return tuple(
            Partition(day, len(objects), sum(item.size_bytes for item in objects)) for day, objects in self.days.items()
        )


def find_tables(hub: Hub) -> list[Table]:
    """Every table that has objects, as version 1 of the newest day that anything landed on; strays are left out."""
    landing = [listing for listing in _landing(hub) if listing.days]
    curated = [listing for listing in _curated(hub) if listing.days]
    if not landing and not curated:
        return []
    today = max(max(listing.days) for listing in landing or curated)
    return [
        *(_json_table(hub, listing, today) for listing in landing),
        *(_parquet_table(hub, listing, today) for listing in curated),
    ]


def find_strays(hub: Hub) -> list[str]:
    """The keys beside snapshots and curated days that are no part of them, sorted."""
    kinds: tuple[Attributes, ...] = get_args(Attributes)
    beside = [item.key for kind in kinds for item in hub.objects(f"{kind}/") if not is_snapshot_key(kind, item.key)]
    return sorted([*beside, *(item.key for item in hub.objects("curated/") if not is_curated_key(item.key))])


def event_name(source: str, record: Record) -> str:
    """What a tracker calls this event, as dbt's staging reads it; empty for records that are not events."""
    if source == "segment":
        kind = _text(record, "type").lower() or ("track" if _text(record, "event") else "")
        return _text(record, "event") if kind == "track" else kind
    if source == "pinpoint":
        return _text(record, "event_type")
    return _matomo_action(record) if source == "matomo" else ""


def _matomo_action(record: Record) -> str:
    """One request is one action; the first of these keys that it has says which."""
    if category := _text(record, "e_c"):
        return f"{category} {_text(record, 'e_a')}".rstrip()
    said = next((key for key in ("search", "idgoal", "download", "link", "ping") if _text(record, key)), "")
    names = {"search": "Site Search", "idgoal": f"Goal {_text(record, 'idgoal')}", "link": "Outlink"}
    return names.get(said, said.capitalize()) or "Page View"


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _landing(hub: Hub) -> Iterator[_Listing]:
    for source in SOURCES:
        location = f"{LANDING}/source={source}/"
        objects = [item for item in hub.objects(location) if is_landing_key(item.key)]
        yield _listing(f"landing/{LANDING}_{source}", location, objects, lambda key: arrival_of(key).date())
    for kind in get_args(Attributes):
        yield _by_dt(hub, f"landing/{kind}", f"{kind}/", partial(is_snapshot_key, kind))


def _curated(hub: Hub) -> Iterator[_Listing]:
    for name in hub.folders("curated"):
        yield _by_dt(hub, f"curated/{name}", f"curated/{name}/", is_curated_key)


def _by_dt(hub: Hub, name: str, location: str, is_part: Callable[[str], bool]) -> _Listing:
    objects = [item for item in hub.objects(location) if is_part(item.key)]
    return _listing(name, location, objects, lambda key: dt.date.fromisoformat(key.split("/")[-2].removeprefix("dt=")))


def _listing(name: str, location: str, objects: Iterable[HubObject], day_of: Callable[[str], dt.date]) -> _Listing:
    days: defaultdict[dt.date, list[HubObject]] = defaultdict(list)
    for item in objects:
        days[day_of(item.key)].append(item)
    return _Listing(name, location, dict(sorted(days.items())))


def _json_table(hub: Hub, listing: _Listing, today: dt.date) -> Table:
    source = listing.location.partition("source=")[2].rstrip("/")
    newest = _newest_days(listing) if source else [max(listing.days)]  # a snapshot is whole in one day
    objects = _spread([item for day in newest for item in listing.days[day]])
    by_event, by_object = _read(hub, objects, source)
    schemas = {name: _without_addresses(discover(records)) for name, records in by_event.items()}
    schema = _merged(schemas.values())
    return Table(
        name=listing.name,
        location=listing.location,
        format="json",
        day=today,
        version=1,
        columns=columns_of(schema.fields),
        partition_keys=dict.fromkeys(("year", "month", "day", "hour"), "string") if source else {"dt": "date"},
        objects=sum(map(len, listing.days.values())),
        size_bytes=sum(partition.size_bytes for partition in listing.partitions),
        sample=Sample(
            len(objects), schema.records, newest[0], newest[-1], sum(by_object[o.key] for o in listing.days[newest[-1]])
        ),
        fields=tuple(_known(path, seen, schema.records, today) for path, seen in schema.fields.items()),
        events=_events(schemas) if source else (),
        partitions=listing.partitions,
    )


def _newest_days(listing: _Listing) -> list[dt.date]:
    chosen: list[dt.date] = []
    for day in sorted(listing.days, reverse=True):
        if len(chosen) >= 2 and sum(len(listing.days[each]) for each in chosen) >= SPREAD_OVER:
            break
        chosen.append(day)
    return sorted(chosen)


def _spread(objects: Sequence[HubObject]) -> list[HubObject]:
    """At most `SAMPLE_OBJECTS` of them, evenly, the newest among them."""
    step = max(len(objects) / SAMPLE_OBJECTS, 1)
    chosen = {len(objects) - 1 - int(number * step) for number in range(min(SAMPLE_OBJECTS, len(objects)))}
    return [objects[index] for index in sorted(chosen)]


def _read(hub: Hub, objects: Sequence[HubObject], source: str) -> tuple[dict[str, list[Record]], Counter[str]]:
    """The sampled records by the name of their event, and how many there are of each object."""
    by_event, by_object = defaultdict(list), Counter[str]()
    for item in objects:
        readable = _readable(hub, item, SAMPLE_BYTES // len(objects))
        for record in itertools.islice(readable, max(SAMPLE_RECORDS // len(objects), 1)):
            by_event[event_name(source, record)].append(record)
            by_object[item.key] += 1
    return by_event, by_object


def _readable(hub: Hub, item: HubObject, at_most: int) -> Iterator[Record]:
    """The records that stand in the first bytes of an object; none after the place where those end."""
    pieces = iter(split_records(hub.head(item.key, at_most)))
    if item.size_bytes > at_most:
        pieces = itertools.takewhile(lambda piece: not piece.reason, pieces)
    for piece in pieces:
        if not piece.reason:
            with suppress(RecursionError):  # nested more deeply than a schema tells
                yield read_json(piece.text)


def _without_addresses(schema: Schema) -> Schema:
    """Without keys that are data: one with an `@` in it is an address, not a field."""
    return Schema(schema.records, {path: seen for path, seen in schema.fields.items() if "@" not in path})


def _merged(schemas: Iterable[Schema]) -> Schema:
    """The schema of all records of some schemas."""
    records, present = 0, Counter[str]()
    types: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    nullable: set[str] = set()
    for schema in schemas:
        records += schema.records
        for path, seen in schema.fields.items():
            present[path] += round(seen.share * schema.records)
            types[path] = joined(types[path], seen.types)
            nullable |= {path} if seen.nullable else set()
    fields = {path: Field(frozenset(types[path]), path in nullable, present[path] / records) for path in sorted(types)}
    return Schema(records, fields)


def _known(path: str, seen: Field, records: int, today: dt.date) -> KnownField:
    return KnownField(path, tuple(sorted(seen.types)), seen.nullable, round(seen.share, 6), records, today)


def _events(schemas: Mapping[str, Schema]) -> tuple[KnownEvent, ...]:
    """The names by number of records; a name with an `@` in it is an address, not a name."""
    everywhere = set.intersection(*(set(schema.fields) for schema in schemas.values())) if schemas else set()
    events = [
        KnownEvent(name, schema.records, tuple(sorted(schema.fields.keys() - everywhere)))
        for name, schema in schemas.items()
        if name and "@" not in name and len(name) <= LONGEST_NAME
    ]
    return tuple(sorted(events, key=lambda event: (-event.records, event.name))[:MOST_EVENTS])


def _parquet_table(hub: Hub, listing: _Listing, today: dt.date) -> Table:
    objects = [item for day in listing.days.values() for item in day][-SAMPLE_FILES:]
    footers = [_footer(hub, item) for item in objects]
    rows = sum(footer.num_rows for footer in footers)
    schema = footers[-1].schema.to_arrow_schema()
    sampled = list(listing.days)[-SAMPLE_FILES:]
    return Table(
        name=listing.name,
        location=listing.location,
        format="parquet",
        day=today,
        version=1,
        columns={column.name: arrow_type(column.type) for column in schema},
        partition_keys={"dt": "date"},
        objects=sum(map(len, listing.days.values())),
        size_bytes=sum(partition.size_bytes for partition in listing.partitions),
        sample=Sample(len(objects), rows, sampled[0], sampled[-1], footers[-1].num_rows),
        fields=tuple(_column(column, footers, rows, today) for column in schema),
        partitions=listing.partitions,
    )


def _footer(hub: Hub, item: HubObject) -> pq.FileMetaData:
    try:
        return pq.read_metadata(pa.BufferReader(hub.get(item.key)))
    except pa.ArrowInvalid as error:
        raise HubError(f"{item.key} is not Parquet: remove it, and it is written again.") from error


def _column(column: pa.Field, footers: Sequence[pq.FileMetaData], rows: int, today: dt.date) -> KnownField:
    """A column with what the footers tell of it; a nested one tells of its elements, so it counts as always there."""
    found = [part for footer in footers for part in _statistics(footer, column.name)]
    nulls = sum(part.null_count for part in found)
    edges = [edge for part in found if part.has_min_max for edge in (part.min, part.max)] if _has_order(column) else []
    return KnownField(
        path=column.name,
        types=(arrow_type(column.type),),
        nullable=nulls > 0,
        share=round(1 - nulls / rows, 6) if rows else 0.0,
        records=rows,
        last_seen=today,
        minimum=str(min(edges)) if edges else None,
        maximum=str(max(edges)) if edges else None,
    )


def _statistics(footer: pq.FileMetaData, name: str) -> Iterator[pq.Statistics]:
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    for chunk in (group.column(index) for group in groups for index in range(group.num_columns)):
        if chunk.path_in_schema == name and chunk.is_stats_set and chunk.statistics.has_null_count:
            yield chunk.statistics


def _has_order(column: pa.Field) -> bool:
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(is_number or pa.types.is_temporal(kind))
