"""The catalogue: what tables the hub holds, with their fields, partitions and figures, and how they are remembered.

Belongs here: what an entry is, the port, and the local catalogue in the hub. Does not: finding tables and fields (discovery.py),
telling new from old (schema_history.py).

An entry names fields, counts and types; it never holds a value of a landed record, since that may be personal.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from recsys_platform.common.errors import HubError
from recsys_platform.hub.object_store import Hub

ROOT = "catalogue"


@dataclass(frozen=True)
class KnownField:
    """One field by its path (json_schema.py): `share` (0 to 1) of the `records` of the sample in which it was last seen have it.

    `unseen` counts the records of later days that were sampled since. `types` are JSON's for JSON tables, Hive's for Parquet;
    `minimum` and `maximum` are kept for numbers and times of Parquet only.
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
    """An event name in the sample, its records, and the fields that not every event has."""

    name: str
    records: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Sample:
    """What was read: objects of the days `first` to `last`, and how many records or rows in them, all and of the last day."""

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
    """One table of the hub as it was on `day`; `version` grows whenever `columns` (name → Hive type) change.

    `name` is `landing/…` or `curated/…`; `partition_keys` are those in the path, name → Hive type.
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


class Catalogue(Protocol):
    """Where entries are kept: locally in the hub, or in a service that Athena and Spark ask."""

    def put_table(self, table: Table) -> None:
        """Keep an entry as the newest, and as that of its day."""

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""

    def table(self, name: str, *, before: dt.date | None = None) -> Table | None:
        """The newest entry, or the newest of the days before one; None if there is none. Older ones may lack partitions."""


@dataclass(frozen=True)
class LocalCatalogue:
    """JSON documents in the hub: `catalogue/{name}.json`, and without partitions `catalogue/history/{name}/dt=….json`."""

    hub: Hub

    def put_table(self, table: Table) -> None:
        """Keep an entry; a document that would be the same is left alone."""
        self._put(_history_key(table.name, table.day), replace(table, partitions=()))
        self._put(_key(table.name), table)

    def tables(self) -> list[str]:
        """The names of all tables, sorted."""
        keys = (item.key.removeprefix(f"{ROOT}/") for item in self.hub.objects(f"{ROOT}/"))
        return sorted(key.removesuffix(".json") for key in keys if not key.startswith("history/"))

    def table(self, name: str, *, before: dt.date | None = None) -> Table | None:
        """The newest entry, or the newest of the days before one."""
        if before is None:
            return self._get(_key(name)) if self.hub.exists(_key(name)) else None
        keys = [item.key for item in self.hub.objects(f"{ROOT}/history/{name}/")]
        older = [key for key in keys if key < _history_key(name, before)]
        return self._get(older[-1]) if older else None

    def _put(self, key: str, table: Table) -> None:
        content = _DOCUMENT.dump_json(table, indent=2, exclude_none=True) + b"\n"
        if not self.hub.exists(key) or self.hub.get(key) != content:
            self.hub.put(key, content)

    def _get(self, key: str) -> Table:
        try:
            return _DOCUMENT.validate_json(self.hub.get(key))
        except ValidationError as error:
            raise HubError(
                f"{self.hub.where(key)} is not an entry of the catalogue: remove it and run again."
            ) from error


_DOCUMENT = TypeAdapter(Table)


def entries_of(catalogue: Catalogue, name: str | None = None) -> list[Table]:
    """The newest entries of all tables, or of one (`curated/fct_events`, or `curated_fct_events` as Glue and Athena call it).

    Raises `HubError` if there is no such table.
    """
    names = catalogue.tables()
    if not names:
        raise HubError("The catalog has no tables yet: `recsys run` finds and records them.")
    chosen = [each for each in names if name in (None, each, each.replace("/", "_"))]
    if not chosen:
        raise HubError(f"There is no table {name} in the catalog: there are {', '.join(names)}.")
    return [entry for each in chosen if (entry := catalogue.table(each))]


def _key(name: str) -> str:
    return f"{ROOT}/{name}.json"


def _history_key(name: str, day: dt.date) -> str:
    return f"{ROOT}/history/{name}/dt={day.isoformat()}.json"
