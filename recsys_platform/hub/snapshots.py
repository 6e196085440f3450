"""Read attribute snapshots back from the hub and compare the newest two.

Belongs here: which days there are, their records, the drift between them. Does not: fetching (attributes.py), schemas (schemas.py).
"""

import datetime as dt
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recsys_platform.errors import HubError
from recsys_platform.events.framing import read_json, split_records
from recsys_platform.hub.keys import Attributes, attributes_prefix, day_of_folder, is_snapshot_key
from recsys_platform.hub.schemas import Drift, Schema, discover, drift
from recsys_platform.hub.store import Hub, HubObject

SAMPLE = 50_000  # records of a snapshot that are looked at, spread evenly


@dataclass(frozen=True)
class SnapshotDrift:
    """How the fields of a snapshot differ from those of the one before; `before` is None for the first."""

    kind: Attributes
    day: dt.date
    before: dt.date | None
    drift: Drift

    def sentence(self) -> str:
        """For people: `book_attributes of 2026-11-21 against 2026-11-20: added: isbn`."""
        if self.before is None:
            return f"{self.kind} of {self.day} is the first snapshot: there is nothing to compare it with"
        return f"{self.kind} of {self.day} against {self.before}: {self.drift.sentence()}"


def snapshot_days(hub: Hub, kind: Attributes) -> list[dt.date]:
    """The days that have a snapshot, oldest first."""
    days = {day for day in map(day_of_folder, hub.folders(kind)) if day}
    return sorted(day for day in days if snapshot_parts(hub, kind, day))


def snapshot_parts(hub: Hub, kind: Attributes, day: dt.date) -> list[HubObject]:
    """The objects of a snapshot; other files in its folder, such as `_SUCCESS`, are none."""
    return [item for item in hub.objects(attributes_prefix(kind, day)) if is_snapshot_key(kind, item.key)]


def snapshot_drift(hub: Hub, kind: Attributes, day: dt.date | None = None) -> SnapshotDrift | None:
    """The snapshot of a day, or the newest, against the one before it; None if there is none, `HubError` if one is unreadable."""
    days = [each for each in snapshot_days(hub, kind) if day is None or each <= day]
    if not days:
        return None
    if len(days) == 1:
        return SnapshotDrift(kind, days[0], None, Drift())
    before, after = days[-2:]
    return SnapshotDrift(kind, after, before, drift(_schema(hub, kind, before), _schema(hub, kind, after)))


def snapshot_texts(hub: Hub, kind: Attributes, day: dt.date) -> Iterator[str]:
    """The records of a snapshot as JSON objects, cut as the loader cuts them; `HubError` where a part cannot be read whole."""
    for item in snapshot_parts(hub, kind, day):
        pieces = split_records(hub.get(item.key))
        broken = next((piece.reason for piece in pieces if piece.reason), None)
        if broken:
            raise HubError(f"The snapshot part {hub.where(item.key)} cannot be read whole: {broken}. Deliver it again.")
        yield from (piece.text for piece in pieces)


def read_records(packed: bytes) -> Iterator[Any]:
    """The records of gzipped JSON lines; `ValueError` if it is something else."""
    try:
        lines = gzip.decompress(packed).splitlines()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"not gzip: {error}") from error
    return (read_json(line) for line in lines if line.strip())


def _schema(hub: Hub, kind: Attributes, day: dt.date) -> Schema:
    texts = list(snapshot_texts(hub, kind, day))
    return discover(map(read_json, texts[:: 1 + len(texts) // SAMPLE]))
