"""Record the hub's tables day by day and detect schema drift, in spite of sampling.

A sample misses rare fields. So a JSON field that is not in the sample is kept until enough new records without it were read: so many
that, even at its lowest plausible share, `EXPECTED` of them would have had it. Only then it counts as removed. A type once seen at a
field is kept, since the objects with it are still in the hub. Parquet files need none of this: their schema is exact.

A day is compared with the newest day before it, however often it is recorded, so the result depends on the hub alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt

from recsys_platform.catalog.discovery import find_tables
from recsys_platform.catalog.hive_types import columns_of, joined
from recsys_platform.catalog.json_schema import Drift, Field, Schema, drift
from recsys_platform.catalog.tables import Catalog, KnownField, Table
from recsys_platform.hub.object_store import Hub

EXPECTED = 20
ENOUGH = 100  # records without a field before it can count as removed
DOUBT = 20  # pseudo-records without the field, added to each sample: three records out of three prove little
MAX_FIELDS = 1_000  # with more, the keys are probably data; the rarest are left out


@dataclass(frozen=True)
class RecordedTable:
    """A recorded table and its drift since the day before; no drift for a new table."""

    table: Table
    drift: Drift

    def sentence(self) -> str:
        """The drift in one sentence with the table's name."""
        return f"{self.table.name}: {self.drift.sentence()}"


def record_tables(hub: Hub, catalog: Catalog) -> list[RecordedTable]:
    """Discover and record every table of the hub that has records, and return each with its drift."""
    found = [table for table in find_tables(hub) if table.sample.records]
    return [_record_table(catalog, table) for table in found]


def merge_history(found: Table, *, before: Table | None, today: Table | None = None) -> Table:
    """The discovered table, merged with its entries of the newest day before and of earlier on the same day."""
    fields = found.fields
    if found.format == "json":
        fields = _fields_with_history(found, _fields_if_unseen(before, found), _by_path(today))
    kept = sorted(fields, key=lambda each: (-each.share, each.path))[:MAX_FIELDS]
    kept.sort(key=lambda each: each.path)
    columns = columns_of(_schema_fields(kept)) if found.format == "json" else found.columns
    version = before.version + (columns != before.columns) if before else 1
    return replace(found, fields=tuple(kept), fields_left_out=len(fields) - len(kept), columns=columns, version=version)


def drift_of(before: Table | None, after: Table) -> Drift:
    """The drift between two entries of a table."""
    return drift(_schema_of_table(before), _schema_of_table(after)) if before else Drift()


def _record_table(catalog: Catalog, found: Table) -> RecordedTable:
    newest = catalog.table(found.name)
    before = catalog.table(found.name, before=found.day)
    today = newest if newest and newest.day == found.day else None
    table = merge_history(found, before=before, today=today)
    catalog.put_table(table)
    return RecordedTable(table, drift_of(before, table))


def _fields_with_history(
    found: Table, before: Mapping[str, KnownField], today: Mapping[str, KnownField]
) -> tuple[KnownField, ...]:
    seen = {each.path: _with_known_types(each, before, today) for each in found.fields}
    unseen = {path: each for path, each in {**today, **before}.items() if path not in seen}
    gone = {path for path, each in unseen.items() if _is_gone(each)}
    kept = (each for path, each in unseen.items() if path not in gone and not _is_inside(path, gone))
    return (*seen.values(), *kept)


def _fields_if_unseen(before: Table | None, found: Table) -> dict[str, KnownField]:
    """The fields of the day before, with the new records added to their `unseen` counts."""
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
    """Whether enough records without the field were read since it was last seen.

    A sample in which a rare field is seen is a lucky one: of `n` sightings only `(sqrt(n) - 0.5) ** 2` count, a deviation less.
    """
    counted_on = max(sqrt(known.share * known.records) - 0.5, 0) ** 2
    share = counted_on / (known.records + DOUBT)
    return known.unseen >= ENOUGH and known.unseen * share >= EXPECTED


def _is_inside(path: str, objects: Iterable[str]) -> bool:
    return any(path.startswith((f"{each}.", f"{each}[]")) for each in objects)


def _by_path(table: Table | None) -> dict[str, KnownField]:
    return {each.path: each for each in table.fields} if table else {}


def _schema_of_table(table: Table) -> Schema:
    return Schema(table.sample.records, _schema_fields(table.fields))


def _schema_fields(fields: Iterable[KnownField]) -> dict[str, Field]:
    return dict(_schema_field(each) for each in fields)


def _schema_field(known: KnownField) -> tuple[str, Field]:
    return known.path, Field(frozenset(known.types), known.nullable, known.share)


def drift_rows(recorded: Iterable[RecordedTable]) -> Iterator[tuple[str, str, str, str]]:
    """Every change as a row: table, `added`, `removed` or `retyped`, field, types before and after."""
    for each in recorded:
        table, found = each.table.name, each.drift
        yield from ((table, "added", path, "") for path in found.added)
        yield from ((table, "removed", path, "") for path in found.removed)
        yield from ((table, "retyped", path, f"{before} → {after}") for path, (before, after) in found.retyped.items())
