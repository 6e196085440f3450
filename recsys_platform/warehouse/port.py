"""What the platform asks of a warehouse, whichever engine it is.

Belongs here: the two protocols and what passes between them and their callers. Does not: which records are accepted (ingestion
decides that), how an engine stores them.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from recsys_platform.hub.layout import Attributes

RecordId = tuple[str, int]
"""A landed record: the key of its object and its place in it."""

UNREADABLE = "not JSON: the warehouse cannot read it"
"""The reason of records that ingestion accepts and the engine's own JSON reader refuses."""


@dataclass(frozen=True)
class LoadReport:
    """What one load did; `records = accepted + rejected` holds for every object."""

    objects: int = 0
    records: int = 0
    accepted: int = 0
    rejected: int = 0

    def __add__(self, other: "LoadReport") -> "LoadReport":
        """The two loads together."""
        return LoadReport(
            objects=self.objects + other.objects,
            records=self.records + other.records,
            accepted=self.accepted + other.accepted,
            rejected=self.rejected + other.rejected,
        )


@dataclass(frozen=True)
class UpdateReport:
    """How many rejected records an update moved to the accepted ones, and how many it gave another reason."""

    moved: int = 0
    renamed: int = 0


@dataclass(frozen=True)
class ValidatedBatch:
    """All records of some landing objects of one tracker, each of them accepted or rejected.

    `accepted`: object_key, record_index, landed_at, record (JSON text).
    `rejected`: object_key, record_index, landed_at, payload, reason.
    `objects`: a row for each object: object_key, etag, size_bytes, records, accepted, rejected.
    """

    source: str
    accepted: pa.Table
    rejected: pa.Table
    objects: pa.Table


class RawWriter(Protocol):
    """Writes `raw` and the load ledger over one connection; every method but `known_keys` is one transaction."""

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Those of some object keys that the ledger has."""

    def append(self, batch: ValidatedBatch) -> LoadReport:
        """Add the rows of those objects that the ledger does not have, and their lines of the ledger.

        A record that the engine's JSON reader refuses is rejected (`UNREADABLE`).
        """

    def replace_snapshot(self, kind: Attributes, day: dt.date, rows: pa.Table, objects: pa.Table) -> None:
        """Put the attributes of a day in place of those that are there, all or none.

        `rows`: the id column of the kind, object_key, record (JSON text). `objects`: as in `ValidatedBatch`.
        """

    def update_rejected(self, rows: pa.Table) -> UpdateReport:
        """Bring rejected records into the state that `rows` says: object_key, record_index, reason, corrected_by.

        A record whose reason is null becomes an accepted one, at its old place, and the ledger follows. What is no longer outstanding
        stays as it is.
        """


class Warehouse(Protocol):
    """The port. Every method opens and closes its own connection; a method that writes is one transaction."""

    def prepare(self) -> None:
        """Create schemas, raw and ops tables where they are missing."""

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The answer to a query."""

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes."""

    def raw_writer(self) -> AbstractContextManager[RawWriter]:
        """A connection for what ingestion writes; it waits for another writer."""

    def rejected_records(self, *, reason: str | None = None) -> Iterator[pa.Table]:
        """Outstanding rejected records whose reason contains a text, in parts of bounded size.

        Columns: source, object_key, record_index, payload, reason. Left out is what only this engine's JSON reader refuses.
        """

    def ensure_salt(self, salt: str | None, *, replace: bool = False) -> bool:
        """Put the secret salt of hashes where SQL reads it; whether that replaced another. None: any, if there is none yet.

        Raises `SaltError` if another one is there, unless it is to be replaced.
        """

    def salt_fingerprint(self) -> str | None:
        """What tells the salt from others without showing it, None before there is one."""

    def replace_rows(self, table: str, rows: pa.Table | None, *, key: str, values: Sequence[str]) -> None:
        """Put rows into an ops table in place of those whose key is one of the values; None only removes those."""

    def published_versions(self, table: str) -> "list[PublishedVersion]":
        """The versions of a published table that are kept, oldest first."""

    def publish(
        self,
        version: str,
        tables: Mapping[str, Iterable[pa.RecordBatch]],
        *,
        checks: Mapping[str, str],
        inputs: Mapping[str, pa.Table],
    ) -> dict[str, int]:
        """Write a new version beside the live one, check it, swap; rows by table."""

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version; its name. `PublishError` if there is none."""


@dataclass(frozen=True)
class PublishedVersion:
    """A version of a published table; `relation` stands for its rows in the `from` of a query."""

    version: str
    relation: str
    is_live: bool
