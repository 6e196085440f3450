"""Detect data loss in a snapshot of users or books: records and used fields, compared with the snapshot in use.

Belongs here: measuring snapshots, the snapshot in use, describing losses. Does not: new and retyped fields, which only warn
(catalog/snapshot_drift.py); what happens after a loss (defs/, pipeline.py).

`in_use/{kind}.json` holds the figures of the last snapshot that passed the check or that a person accepted.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from recsys_platform.common.clock import utc_now, utc_today
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
"""Fields that features, list rules or displayed lists use."""
ON_OFFER = "books on offer"
_FALSE_WORDS = {"false", "f", "no", "n", "0"}


@dataclass(frozen=True)
class Feed:
    """The figures of a snapshot. `having`: the number of records with a value, by used field; for books also those on offer."""

    day: str
    records: int
    having: Mapping[str, int]

    def share(self, name: str) -> float:
        """The share of records (0 to 1) that have a field."""
        return self.having.get(name, 0) / self.records if self.records else 0.0


def newest_feed(hub: Hub, kind: Attributes) -> Feed | None:
    """The figures of the newest snapshot, None if there is none; raises `HubError` if it is unreadable."""
    days = _days_until_today(hub, kind)
    return _measure_feed(hub, kind, days[-1]) if days else None


def feed_in_use(hub: Hub, kind: Attributes) -> Feed | None:
    """The snapshot in use, which a new one is compared with; without a note, the newest readable one before the newest."""
    key = _in_use_key(kind)
    if hub.exists(key):
        note = json.loads(hub.get(key))
        return Feed(note["day"], note["records"], note["having"])
    for day in reversed(_days_until_today(hub, kind)[:-1]):
        with suppress(HubError):
            return _measure_feed(hub, kind, day)
    return None


@dataclass(frozen=True)
class CheckedFeed:
    """The newest snapshot, None if there is none, and a sentence about its losses; empty if it has none that count."""

    feed: Feed | None
    lost: str = ""


def check_newest_feed(hub: Hub, kind: Attributes, *, share: float) -> CheckedFeed:
    """Compare the newest snapshot with the one in use; without a loss above `share` (0 to 1) it is the one in use from now on."""
    feed = newest_feed(hub, kind)
    if feed is None:
        return CheckedFeed(None)
    before = feed_in_use(hub, kind)
    found = losses(before, feed, share=share) if before else []
    if before and found:
        return CheckedFeed(feed, _loss_sentence(kind, before, feed, found))
    note_in_use(hub, kind, feed, who="check", why="no relevant loss")
    return CheckedFeed(feed)


def _loss_sentence(kind: Attributes, before: Feed, feed: Feed, found: list[str]) -> str:
    return (
        f"{'; '.join(found)} in the snapshot of {feed.day}, compared with that of {before.day}. Downstream assets wait: "
        f"deliver it again, or accept the loss with `recsys accept-snapshot {kind}`"
    )


def note_in_use(hub: Hub, kind: Attributes, feed: Feed, *, who: str, why: str) -> None:
    """Record a snapshot as the one in use."""
    note = {**asdict(feed), "noted_at": utc_now().isoformat(), "who": who, "why": why}
    hub.put(_in_use_key(kind), json.dumps(note, indent=2).encode())


def losses(before: Feed, after: Feed, *, share: float) -> list[str]:
    """A phrase for each figure that fell by more than `share` (0 to 1)."""
    found = [f"{after.records:,} of {before.records:,} records are left"] if _is_lost(before, after, share) else []
    if _share_lost(before.having.get(ON_OFFER, 0), after.having.get(ON_OFFER, 0)) > share and not found:
        found.append(f"{after.having.get(ON_OFFER, 0):,} of {before.having[ON_OFFER]:,} {ON_OFFER} are left")
    for name in before.having:
        if name != ON_OFFER and after.records and _share_lost(before.share(name), after.share(name)) > share:
            found.append(f"{after.share(name):.0%} of the records have {name}, it was {before.share(name):.0%}")
    return found


def _is_lost(before: Feed, after: Feed, share: float) -> bool:
    return _share_lost(before.records, after.records) > share


def _share_lost(before: float, after: float) -> float:
    """The lost share, rounded so that a fifth is exactly 0.2."""
    return round(1 - after / before, 9) if before else 0.0


def _days_until_today(hub: Hub, kind: Attributes) -> list[dt.date]:
    """The days that have a snapshot, without future days, which are not loaded yet."""
    return [day for day in snapshot_days(hub, kind) if day <= utc_today()]


def _measure_feed(hub: Hub, kind: Attributes, day: dt.date) -> Feed:
    having: Counter[str] = Counter()
    number = 0
    for text in snapshot_texts(hub, kind, day):
        number += 1
        having.update(_used_fields(read_json(text), kind))
    return Feed(day.isoformat(), number, {name: having[name] for name in _measured_names(kind)})


def _measured_names(kind: Attributes) -> tuple[str, ...]:
    return (*USED[kind], *((ON_OFFER,) if kind == "book_attributes" else ()))


def _used_fields(record: Mapping[str, Any], kind: Attributes) -> Iterable[str]:
    yield from (name for name in USED[kind] if _has_value(record.get(name), name))
    if kind == "book_attributes" and str(record.get("is_available")).strip().lower() not in _FALSE_WORDS:
        yield ON_OFFER


def _has_value(value: Any, column: str) -> bool:
    if isinstance(value, list):
        return any(_has_value(each, column) for each in value)
    return value is not None and not (isinstance(value, str) and is_missing(value, column=column))


def _in_use_key(kind: Attributes) -> str:
    return f"in_use/{kind}.json"
