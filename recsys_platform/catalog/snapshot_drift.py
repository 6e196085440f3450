"""Compare the newest attribute snapshot with the one before it.

Belongs here: the drift between two snapshots. Does not: reading them (sources/snapshots.py), comparing schemas (json_schema.py).
"""

import datetime as dt
from dataclasses import dataclass

from recsys_platform.catalog.json_schema import Drift, Schema, discover, drift
from recsys_platform.common.json_text import read_json
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.sources.snapshots import snapshot_texts

SAMPLE = 50_000  # records of a snapshot that are compared, evenly spaced


@dataclass(frozen=True)
class SnapshotDrift:
    """The drift between a snapshot and the one before; `before` is None for the first snapshot."""

    kind: Attributes
    day: dt.date
    before: dt.date | None
    drift: Drift

    def sentence(self) -> str:
        """A description for people: `book_attributes of 2026-11-21 against 2026-11-20: added: isbn`."""
        if self.before is None:
            return f"{self.kind} of {self.day} is the first snapshot: there is nothing to compare it with"
        return f"{self.kind} of {self.day} against {self.before}: {self.drift.sentence()}"


def snapshot_drift(hub: Hub, kind: Attributes, day: dt.date | None = None) -> SnapshotDrift | None:
    """The drift of a day's snapshot, or the newest, against the one before it.

    None if there is no snapshot. Raises `HubError` if one is unreadable.
    """
    days = [each for each in snapshot_days(hub, kind) if day is None or each <= day]
    if not days:
        return None
    if len(days) == 1:
        return SnapshotDrift(kind, days[0], None, Drift())
    before, after = days[-2:]
    return SnapshotDrift(
        kind, after, before, drift(_snapshot_schema(hub, kind, before), _snapshot_schema(hub, kind, after))
    )


def _snapshot_schema(hub: Hub, kind: Attributes, day: dt.date) -> Schema:
    texts = list(snapshot_texts(hub, kind, day))
    return discover(map(read_json, texts[:: 1 + len(texts) // SAMPLE]))
