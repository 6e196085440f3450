"""What a snapshot of users or books lost of what features and list rules use, against the one in use.

Belongs here: measuring snapshots, the one that is in use, the sentence of what was lost. Does not: new and retyped fields, which only
warn (snapshots.py); what follows from a loss (defs/).

`in_use/{kind}.json` holds the figures of the last snapshot that lost too little to matter, or that a person accepted.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from recsys_platform.common.errors import HubError
from recsys_platform.common.json_text import read_json
from recsys_platform.common.placeholders import is_missing
from recsys_platform.hub.layout import Attributes
from recsys_platform.hub.object_store import Hub
from recsys_platform.hub.snapshots import snapshot_days
from recsys_platform.sources.snapshots import snapshot_texts

USED: Mapping[Attributes, tuple[str, ...]] = {
    "user_attributes": ("country", "language", "tier", "interests"),
    "book_attributes": ("title", "author", "language", "categories", "published_at", "is_premium", "is_available"),
}
"""Fields that features, list rules or lists that people read are made from."""
ON_OFFER = "books on offer"
_SHUT = {"false", "f", "no", "n", "0"}


@dataclass(frozen=True)
class Feed:
    """A snapshot in figures. `having`: how many records have a value of each used field; of books, how many are on offer."""

    day: str
    records: int
    having: Mapping[str, int]

    def share(self, name: str) -> float:
        """The part of the records that has a field."""
        return self.having.get(name, 0) / self.records if self.records else 0.0


def newest_feed(hub: Hub, kind: Attributes) -> Feed | None:
    """The newest snapshot in figures, None if there is none; `HubError` if it is unreadable."""
    days = _days(hub, kind)
    return _measured(hub, kind, days[-1]) if days else None


def feed_in_use(hub: Hub, kind: Attributes) -> Feed | None:
    """What the newest snapshot is compared with: the one last noted, or else the newest readable one before it."""
    key = _key(kind)
    if hub.exists(key):
        noted = json.loads(hub.get(key))
        return Feed(noted["day"], noted["records"], noted["having"])
    for day in reversed(_days(hub, kind)[:-1]):
        with suppress(HubError):
            return _measured(hub, kind, day)
    return None


def note_in_use(hub: Hub, kind: Attributes, feed: Feed, *, who: str, why: str) -> None:
    """Take a snapshot as the one that later ones are compared with."""
    noted = {**asdict(feed), "noted_at": dt.datetime.now(dt.UTC).isoformat(), "who": who, "why": why}
    hub.put(_key(kind), json.dumps(noted, indent=2).encode())


def losses(before: Feed, after: Feed, *, share: float) -> list[str]:
    """A phrase for each thing of which more than `share` is gone."""
    found = [f"{after.records:,} of {before.records:,} records are left"] if _is_lost(before, after, share) else []
    if _gone(before.having.get(ON_OFFER, 0), after.having.get(ON_OFFER, 0)) > share and not found:
        found.append(f"{after.having.get(ON_OFFER, 0):,} of {before.having[ON_OFFER]:,} {ON_OFFER} are left")
    for name in before.having:
        if name != ON_OFFER and after.records and _gone(before.share(name), after.share(name)) > share:
            found.append(f"{after.share(name):.0%} of the records have {name}, it was {before.share(name):.0%}")
    return found


def _is_lost(before: Feed, after: Feed, share: float) -> bool:
    return _gone(before.records, after.records) > share


def _gone(before: float, after: float) -> float:
    """The part that is gone, rounded so that a fifth is a fifth."""
    return round(1 - after / before, 9) if before else 0.0


def _days(hub: Hub, kind: Attributes) -> list[dt.date]:
    """The days that have a snapshot, without days to come, which are not loaded yet."""
    return [day for day in snapshot_days(hub, kind) if day <= dt.datetime.now(dt.UTC).date()]


def _measured(hub: Hub, kind: Attributes, day: dt.date) -> Feed:
    having: Counter[str] = Counter()
    number = 0
    for text in snapshot_texts(hub, kind, day):
        number += 1
        having.update(_used(read_json(text), kind))
    return Feed(day.isoformat(), number, {name: having[name] for name in _names(kind)})


def _names(kind: Attributes) -> tuple[str, ...]:
    return (*USED[kind], *((ON_OFFER,) if kind == "book_attributes" else ()))


def _used(record: Mapping[str, Any], kind: Attributes) -> Iterable[str]:
    yield from (name for name in USED[kind] if _has_value(record.get(name), name))
    if kind == "book_attributes" and str(record.get("is_available")).strip().lower() not in _SHUT:
        yield ON_OFFER


def _has_value(value: Any, column: str) -> bool:
    if isinstance(value, list):
        return any(_has_value(each, column) for each in value)
    return value is not None and not (isinstance(value, str) and is_missing(value, column=column))


def _key(kind: Attributes) -> str:
    return f"in_use/{kind}.json"
