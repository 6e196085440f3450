"""What the platform asks of a warehouse, whichever engine it is."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub, HubObject

Progress = Callable[[int, int], None]
RecordId = tuple[str, int]
"""A landed record: the key of its object and its place in it."""


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
class ReplayReport:
    """What judging rejected records again did: `moved` to the accepted ones, `renamed` to another reason, `kept` as they were."""

    moved: int = 0
    renamed: int = 0
    kept: int = 0


class Warehouse(Protocol):
    """The port. Every method opens and closes its own connection; a method that writes is one transaction a step."""

    def prepare(self) -> None:
        """Create schemas, raw and ops tables where they are missing."""

    def frame(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """The answer to a query."""

    def row_counts(self, relations: Sequence[str]) -> dict[str, int]:
        """The number of rows of those relations, named `schema.table`, that are tables and not views."""

    def ledger(self, *prefixes: str) -> dict[str, str]:
        """Key → etag of every loaded object under one of the prefixes."""

    def load_events(self, hub: Hub, objects: Sequence[HubObject], *, progress: Progress | None = None) -> LoadReport:
        """Load landing objects that the ledger does not know, each exactly once."""

    def judge(self, source: str, payloads: Sequence[str]) -> list[str | None]:
        """Why each text would be rejected as a record of a source, None where it would be accepted."""

    def replayable(self, *, reason: str | None = None) -> list[str]:
        """Keys of objects with rejected records that the present rules accept, or reject for another reason."""

    def replay_rejected(self, *, reason: str | None = None) -> ReplayReport:
        """Judge the rejected records again whose reason contains a text, and move what is accepted now."""

    def mark_corrected(self, corrected: Mapping[RecordId, str]) -> None:
        """Note at rejected records the key of the landing object that corrects them."""

    def load_attributes(self, hub: Hub, kind: Attributes, day: dt.date, objects: Sequence[HubObject]) -> LoadReport:
        """Replace the snapshot of a day, whole or not at all."""

    def keep_salt(self, salt: str | None) -> bool:
        """Put the secret salt of hashes where SQL reads it; whether that replaced another. None: any, if there is none yet."""

    def replace_rows(self, table: str, rows: pa.Table, *, key: str) -> None:
        """Put rows into an ops table in place of those with the same key."""

    def remove_rows(self, table: str, values: Sequence[str], *, key: str) -> None:
        """Remove the rows of an ops table with one of these keys."""

    def live_version(self) -> str | None:
        """The published version that readers see, None before the first."""

    def publish(
        self,
        version: str,
        tables: Mapping[str, Iterable[pa.RecordBatch]],
        *,
        promises: Mapping[str, str],
        given: Mapping[str, pa.Table],
    ) -> dict[str, int]:
        """Write a new version beside the live one, check it, swap; rows by table."""

    def roll_back(self) -> str:
        """Show readers again what they saw before the live version; its name. `PublishError` if there is none."""
