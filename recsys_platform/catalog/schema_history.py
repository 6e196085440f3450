"""Tell what changed in the hub's tables since the day before, without being fooled by a sample.

A sample misses rare fields. So a JSON field that is not in the sample is remembered until so many new records without it were read
that, at the least share it can have had, it would have been among them `EXPECTED` times over; only then it is removed. A type once
seen at a field stays known, as the objects that hold it stay in the hub. Parquet needs none of that: its files say what they hold.

A day is compared with the newest day before it, however often it is recorded, so the answer depends on the hub alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt

from recsys_platform.catalog.discovery import find_tables
from recsys_platform.catalog.hive_types import columns_of, joined
from recsys_platform.catalog.json_schema import Drift, Field, Schema, drift
from recsys_platform.catalog.tables import Catalogue, KnownField, Table
from recsys_platform.hub.object_store import Hub

EXPECTED = 20
ENOUGH = 100  # records, before anything is said to be gone
DOUBT = 20  # records without the field that are imagined beside each sample: three records out of three prove little
MOST_FIELDS = 1_000  # more than that are keys that are data; the rarest are left out


@dataclass(frozen=True)
class Recorded:
    """A table as recorded, and how it differs from the day before; no difference for a table that is new."""

    table: Table
    drift: Drift

    def sentence(self) -> str:
        """The difference in a sentence that names the table."""
        return f"{self.table.name}: {self.drift.sentence()}"


def record_tables(hub: Hub, catalogue: Catalogue) -> list[Recorded]:
    """Find every table of the hub, record it, and say what changed; a table that has no records yet is left out."""
    found = [table for table in find_tables(hub) if table.sample.records]
    return [_record(catalogue, table) for table in found]


def remembered(found: Table, *, before: Table | None, today: Table | None = None) -> Table:
    """A table as found, with what is known of it from the newest day before and from earlier on the same day."""
    fields = found.fields
    if found.format == "json":
        fields = _remembered_fields(found, _aged(before, found), _by_path(today))
    kept = sorted(fields, key=lambda each: (-each.share, each.path))[:MOST_FIELDS]
    kept.sort(key=lambda each: each.path)
    columns = columns_of(_schema_fields(kept)) if found.format == "json" else found.columns
    version = before.version + (columns != before.columns) if before else 1
    return replace(found, fields=tuple(kept), fields_left_out=len(fields) - len(kept), columns=columns, version=version)


def drift_of(before: Table | None, after: Table) -> Drift:
    """What changed between two days of a table."""
    return drift(_schema(before), _schema(after)) if before else Drift()


def _record(catalogue: Catalogue, found: Table) -> Recorded:
    newest = catalogue.table(found.name)
    before = catalogue.table(found.name, before=found.day)
    today = newest if newest and newest.day == found.day else None
    table = remembered(found, before=before, today=today)
    catalogue.put_table(table)
    return Recorded(table, drift_of(before, table))


def _remembered_fields(
    found: Table, before: Mapping[str, KnownField], today: Mapping[str, KnownField]
) -> tuple[KnownField, ...]:
    seen = {each.path: _with_known_types(each, before, today) for each in found.fields}
    unseen = {path: each for path, each in {**today, **before}.items() if path not in seen}
    gone = {path for path, each in unseen.items() if _is_gone(each)}
    kept = (each for path, each in unseen.items() if path not in gone and not _is_inside(path, gone))
    return (*seen.values(), *kept)


def _aged(before: Table | None, found: Table) -> dict[str, KnownField]:
    """The fields of the day before as they stand if they are not found: only records that are new since then tell of them."""
    new = found.sample.records_of_last if before and found.sample.last > before.sample.last else 0
    return {path: replace(each, unseen=each.unseen + new) for path, each in _by_path(before).items()}


def _with_known_types(seen: KnownField, *known: Mapping[str, KnownField]) -> KnownField:
    earlier = [fields[seen.path] for fields in known if seen.path in fields]
    return replace(
        seen,
        types=joined(seen.types, *(each.types for each in earlier)),
        nullable=seen.nullable or any(each.nullable for each in earlier),
    )


def _is_gone(known: KnownField) -> bool:
    """Whether enough records without it were read since it was last seen.

    A field is last seen in a lucky sample: of `n` sightings only `(sqrt(n) - 0.5) ** 2` are counted on, a deviation less.
    """
    counted_on = max(sqrt(known.share * known.records) - 0.5, 0) ** 2
    share = counted_on / (known.records + DOUBT)
    return known.unseen >= ENOUGH and known.unseen * share >= EXPECTED


def _is_inside(path: str, objects: Iterable[str]) -> bool:
    return any(path.startswith((f"{each}.", f"{each}[]")) for each in objects)


def _by_path(table: Table | None) -> dict[str, KnownField]:
    return {each.path: each for each in table.fields} if table else {}


def _schema(table: Table) -> Schema:
    return Schema(table.sample.records, _schema_fields(table.fields))


def _schema_fields(fields: Iterable[KnownField]) -> dict[str, Field]:
    return dict(_schema_field(each) for each in fields)


def _schema_field(known: KnownField) -> tuple[str, Field]:
    return known.path, Field(frozenset(known.types), known.nullable, known.share)


def changes(recorded: Iterable[Recorded]) -> Iterator[tuple[str, str, str, str]]:
    """Every change as a row: table, `added`, `removed` or `retyped`, field, and its types before and after."""
    for each in recorded:
        table, found = each.table.name, each.drift
        yield from ((table, "added", path, "") for path in found.added)
        yield from ((table, "removed", path, "") for path in found.removed)
        yield from ((table, "retyped", path, f"{before} → {after}") for path, (before, after) in found.retyped.items())
