"""The data catalog: entries for the tables of the hub, with fields, partitions and figures, and where they are stored.

Belongs here: the entry, the port, and the local catalog in the hub. Does not: discovering tables and fields (discovery.py),
detecting changes (schema_history.py).

An entry has field names, counts and types, never a value of a landed record, since that may be personal.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import dt_folder
from recsys_platform.hub.object_store import Hub

ROOT = "catalogue"  # a hub prefix, and so a contract: it keeps its spelling


@dataclass(frozen=True)
class KnownField:
    """A field by its path (json_schema.py). `share` (0 to 1) of the `records` of the sample in which it was last seen have it.

    `unseen`: records sampled since then. `types`: JSON's for JSON tables, Hive's for Parquet. `minimum` and `maximum`: only for
    numbers and times in Parquet.
    """

    path: str
    types: tuple[str, ...]
    nullable: bool
    share: float
    records: int
    last_seen: dt.date
    unseen: int = 0
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True)
class KnownEvent:
    """An event name in the sample, its number of records, and its fields that not every event has."""

    name: str
    records: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """The sample: its objects, of the days `first` to `last`, and its records or rows, in total and of the last day."""

    objects: int
    records: int
    first: dt.date
    last: dt.date
    records_of_last: int


@dataclass(frozen=True)
class Partition:
    """A day of a table."""

    day: dt.date
    objects: int
    size_bytes: int


@dataclass(frozen=True)
class Table:
    """A table of the hub as it was on `day`. `version` increases whenever `columns` (name → Hive type) change.

    `name` is `landing/…` or `curated/…`; `partition_keys` are the keys in the path, name → Hive type.
    """

    name: str
    location: str
    format: Literal["json", "parquet"]
    day: dt.date
    version: int
    columns: Mapping[str, str]
    partition_keys: Mapping[str, str]
    objects: int
    size_bytes: int
    sample: Sample
    fields: tuple[KnownField, ...]
    fields_left_out: int = 0
    events: tuple[KnownEvent, ...] = ()
    partitions: tuple[Partition, ...] = field(default=())


class Catalog(Protocol):
    """The port of a catalog, which stores entries."""

    def put_table(self, table: Table) -> None:
        """Store an entry as the newest, and as that of its day."""

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""

    def table(self, name: str, *, before: dt.date | None = None) -> Table | None:
        """The newest entry, or the newest before a day; None if there is none. Older ones may lack partitions."""


@dataclass(frozen=True)
class LocalCatalog:
    """Entries as JSON documents in the hub: `catalogue/{name}.json`, and without partitions `catalogue/history/{name}/dt=….json`."""

    hub: Hub

    def put_table(self, table: Table) -> None:
        """Store an entry; an identical document is not written again."""
        self._write_entry(_history_key(table.name, table.day), replace(table, partitions=()))
        self._write_entry(_entry_key(table.name), table)

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        keys = (item.key.removeprefix(f"{ROOT}/") for item in self.hub.objects(f"{ROOT}/"))
        return sorted(key.removesuffix(".json") for key in keys if not key.startswith("history/"))

    def table(self, name: str, *, before: dt.date | None = None) -> Table | None:
        """The newest entry, or the newest before a day."""
        if before is None:
            return self._read_entry(_entry_key(name)) if self.hub.exists(_entry_key(name)) else None
        keys = [item.key for item in self.hub.objects(f"{ROOT}/history/{name}/")]
        older = [key for key in keys if key < _history_key(name, before)]
        return self._read_entry(older[-1]) if older else None

    def _write_entry(self, key: str, table: Table) -> None:
        content = _DOCUMENT.dump_json(table, indent=2, exclude_none=True) + b"\n"
        if not self.hub.exists(key) or self.hub.get(key) != content:
            self.hub.put(key, content)

    def _read_entry(self, key: str) -> Table:
        try:
            return _DOCUMENT.validate_json(self.hub.get(key))
        except ValidationError as error:
            raise HubError(f"{self.hub.where(key)} is not an entry of the catalog: remove it and run again.") from error


_DOCUMENT = TypeAdapter(Table)


def entries_of(catalog: Catalog, name: str | None = None) -> list[Table]:
    """The newest entries of all tables, or of one (`curated/fct_events`, or `curated_fct_events` as Glue and Athena call it).

    Raises `HubError` if there is no such table.
    """
    names = catalog.tables()
    if not names:
        raise HubError("The catalog has no tables yet: `recsys run` finds and records them.")
    chosen = [each for each in names if name in (None, each, each.replace("/", "_"))]
    if not chosen:
        raise HubError(f"There is no table {name} in the catalog: there are {', '.join(names)}.")
    return [entry for each in chosen if (entry := catalog.table(each))]


def _entry_key(name: str) -> str:
    return f"{ROOT}/{name}.json"


def _history_key(name: str, day: dt.date) -> str:
    return f"{ROOT}/history/{name}/{dt_folder(day)}.json"
