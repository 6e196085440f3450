"""Discover the tables of the hub and their fields from a bounded sample.

JSON tables: the first records of up to `SAMPLE_OBJECTS` objects, spread evenly over the newest days, so that quiet and busy hours
are both represented. Parquet tables: footers of the newest files, no rows. The result depends on the hub's content alone.
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
    dt_folder_day,
    is_curated_key,
    is_landing_key,
    is_snapshot_key,
)
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.framing import split_records

SAMPLE_OBJECTS = 32
SPREAD_OVER = 128  # sample from at least two days, and from as many more as are needed for so many objects
SAMPLE_BYTES = 1_000_000  # as stored in the hub, mostly compressed
SAMPLE_RECORDS = 10_000
SAMPLE_FILES = 8
MAX_EVENTS, MAX_NAME_LENGTH = 200, 100
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
    """Every table that has objects, as version 1 of the newest day with landed objects; misplaced objects are ignored."""
    landing = [listing for listing in _landing_listings(hub) if listing.days]
    curated = [listing for listing in _curated_listings(hub) if listing.days]
    if not landing and not curated:
        return []
    today = max(max(listing.days) for listing in landing or curated)
    return [
        *(_json_table(hub, listing, today) for listing in landing),
        *(_parquet_table(hub, listing, today) for listing in curated),
    ]


def find_strays(hub: Hub) -> list[str]:
    """The keys of misplaced objects in the folders of snapshots and curated tables, sorted."""
    kinds: tuple[Attributes, ...] = get_args(Attributes)
    beside = [item.key for kind in kinds for item in hub.objects(f"{kind}/") if not is_snapshot_key(kind, item.key)]
    return sorted([*beside, *(item.key for item in hub.objects("curated/") if not is_curated_key(item.key))])


def event_name(source: str, record: Record) -> str:
    """The tracker's name of an event, as in dbt's staging models; empty for records that are not events."""
    if source == "segment":
        kind = _text_value(record, "type").lower() or ("track" if _text_value(record, "event") else "")
        return _text_value(record, "event") if kind == "track" else kind
    if source == "pinpoint":
        return _text_value(record, "event_type")
    return _matomo_action(record) if source == "matomo" else ""


def _matomo_action(record: Record) -> str:
    """The action of a Matomo request: the first of these keys that it has."""
    if category := _text_value(record, "e_c"):
        return f"{category} {_text_value(record, 'e_a')}".rstrip()
    action = next((key for key in ("search", "idgoal", "download", "link", "ping") if _text_value(record, key)), "")
    names = {"search": "Site Search", "idgoal": f"Goal {_text_value(record, 'idgoal')}", "link": "Outlink"}
    return names.get(action, action.capitalize()) or "Page View"


def _text_value(record: Record, key: str) -> str:
    value = record.get(key)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _landing_listings(hub: Hub) -> Iterator[_Listing]:
    for source in SOURCES:
        location = f"{LANDING}/source={source}/"
        objects = [item for item in hub.objects(location) if is_landing_key(item.key)]
        yield _group_by_day(f"landing/{LANDING}_{source}", location, objects, lambda key: arrival_of(key).date())
    for kind in get_args(Attributes):
        yield _dt_listing(hub, f"landing/{kind}", f"{kind}/", partial(is_snapshot_key, kind))


def _curated_listings(hub: Hub) -> Iterator[_Listing]:
    for name in hub.folders("curated"):
        yield _dt_listing(hub, f"curated/{name}", f"curated/{name}/", is_curated_key)


def _dt_listing(hub: Hub, name: str, location: str, is_part: Callable[[str], bool]) -> _Listing:
    objects = [item for item in hub.objects(location) if is_part(item.key)]
    return _group_by_day(name, location, objects, dt_folder_day)


def _group_by_day(name: str, location: str, objects: Iterable[HubObject], day_of: Callable[[str], dt.date]) -> _Listing:
    days: defaultdict[dt.date, list[HubObject]] = defaultdict(list)
    for item in objects:
        days[day_of(item.key)].append(item)
    return _Listing(name, location, dict(sorted(days.items())))


def _json_table(hub: Hub, listing: _Listing, today: dt.date) -> Table:
    source = listing.location.partition("source=")[2].rstrip("/")
    newest = _newest_days(listing) if source else [max(listing.days)]  # one day of a snapshot is complete
    objects = _sample_objects([item for day in newest for item in listing.days[day]])
    by_event, by_object = _sample_records(hub, objects, source)
    schemas = {name: _without_addresses(discover(records)) for name, records in by_event.items()}
    schema = _merge_schemas(schemas.values())
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
        fields=tuple(_known_field(path, seen, schema.records, today) for path, seen in schema.fields.items()),
        events=_known_events(schemas) if source else (),
        partitions=listing.partitions,
    )


def _newest_days(listing: _Listing) -> list[dt.date]:
    chosen: list[dt.date] = []
    for day in sorted(listing.days, reverse=True):
        if len(chosen) >= 2 and sum(len(listing.days[each]) for each in chosen) >= SPREAD_OVER:
            break
        chosen.append(day)
    return sorted(chosen)


def _sample_objects(objects: Sequence[HubObject]) -> list[HubObject]:
    """At most `SAMPLE_OBJECTS` evenly spaced objects, including the newest."""
    step = max(len(objects) / SAMPLE_OBJECTS, 1)
    chosen = {len(objects) - 1 - int(number * step) for number in range(min(SAMPLE_OBJECTS, len(objects)))}
    return [objects[index] for index in sorted(chosen)]


def _sample_records(
    hub: Hub, objects: Sequence[HubObject], source: str
) -> tuple[dict[str, list[Record]], Counter[str]]:
    """The sampled records by event name, and their number by object."""
    by_event, by_object = defaultdict(list), Counter[str]()
    for item in objects:
        readable = _read_records(hub, item, SAMPLE_BYTES // len(objects))
        for record in itertools.islice(readable, max(SAMPLE_RECORDS // len(objects), 1)):
            by_event[event_name(source, record)].append(record)
            by_object[item.key] += 1
    return by_event, by_object


def _read_records(hub: Hub, item: HubObject, at_most: int) -> Iterator[Record]:
    """The valid records in the first `at_most` bytes of an object, without the truncated last one."""
    pieces = iter(split_records(hub.head(item.key, at_most)))
    if item.size_bytes > at_most:
        pieces = itertools.takewhile(lambda piece: not piece.reason, pieces)
    for piece in pieces:
        if not piece.reason:
            with suppress(RecursionError):  # nested too deeply
                yield read_json(piece.text)


def _without_addresses(schema: Schema) -> Schema:
    """The schema without keys that are data: a key with an `@` is an e-mail address, not a field."""
    return Schema(schema.records, {path: seen for path, seen in schema.fields.items() if "@" not in path})


def _merge_schemas(schemas: Iterable[Schema]) -> Schema:
    """The schema of all records together."""
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


def _known_field(path: str, seen: Field, records: int, today: dt.date) -> KnownField:
    return KnownField(path, tuple(sorted(seen.types)), seen.nullable, round(seen.share, 6), records, today)


def _known_events(schemas: Mapping[str, Schema]) -> tuple[KnownEvent, ...]:
    """The event names, most records first, without those that contain an `@`: they are e-mail addresses."""
    everywhere = set.intersection(*(set(schema.fields) for schema in schemas.values())) if schemas else set()
    events = [
        KnownEvent(name, schema.records, tuple(sorted(schema.fields.keys() - everywhere)))
        for name, schema in schemas.items()
        if name and "@" not in name and len(name) <= MAX_NAME_LENGTH
    ]
    return tuple(sorted(events, key=lambda event: (-event.records, event.name))[:MAX_EVENTS])


def _parquet_table(hub: Hub, listing: _Listing, today: dt.date) -> Table:
    objects = [item for day in listing.days.values() for item in day][-SAMPLE_FILES:]
    footers = [_read_footer(hub, item) for item in objects]
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
        fields=tuple(_parquet_field(column, footers, rows, today) for column in schema),
        partitions=listing.partitions,
    )


def _read_footer(hub: Hub, item: HubObject) -> pq.FileMetaData:
    try:
        return pq.read_metadata(pa.BufferReader(hub.get(item.key)))
    except pa.ArrowInvalid as error:
        raise HubError(f"{item.key} is not Parquet: remove it, and it is written again.") from error


def _parquet_field(column: pa.Field, footers: Sequence[pq.FileMetaData], rows: int, today: dt.date) -> KnownField:
    """A column with its statistics from the footers. A nested column's statistics are about its elements, so it has no nulls."""
    found = [part for footer in footers for part in _column_statistics(footer, column.name)]
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


def _column_statistics(footer: pq.FileMetaData, name: str) -> Iterator[pq.Statistics]:
    groups = (footer.row_group(number) for number in range(footer.num_row_groups))
    for chunk in (group.column(index) for group in groups for index in range(group.num_columns)):
        if chunk.path_in_schema == name and chunk.is_stats_set and chunk.statistics.has_null_count:
            yield chunk.statistics


def _has_order(column: pa.Field) -> bool:
    kind = column.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(is_number or pa.types.is_temporal(kind))
