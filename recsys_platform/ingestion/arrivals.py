"""What has landed in the hub and is not in the ledger yet."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from recsys_platform.common.clock import utc_today
from recsys_platform.hub.layout import (
    FIRST_DAY,
    LANDING,
    SOURCES,
    Attributes,
    arrival_of,
    attributes_prefix,
    is_landing_key,
    is_snapshot_key,
    landing_prefix,
)
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.hub.snapshots import snapshot_days, snapshot_parts
from recsys_platform.warehouse.port import Warehouse

if TYPE_CHECKING:  # it brings boto3 along, which a laptop need not load
    from recsys_platform.hub.sqs import Message

HOUR, _RECENT = dt.timedelta(hours=1), dt.timedelta(days=2)


@dataclass(frozen=True)
class Arrivals:
    """Landing objects: `new` are unknown to the ledger, `changed` were loaded with another content, `early` wait for their day.

    `strangers` are keys that are not of the landing layout: they are not loaded and keep nothing else from being loaded.
    """

    new: tuple[HubObject, ...] = ()
    changed: tuple[HubObject, ...] = ()
    early: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()

    def __add__(self, other: "Arrivals") -> "Arrivals":
        """What is in either, each object once."""
        return Arrivals(
            *(tuple(sorted({*getattr(self, part.name), *getattr(other, part.name)})) for part in fields(self))
        )

    def warnings(self) -> list[str]:
        """A sentence for each kind of object that lies in the hub and is not loaded."""
        changed = [item.key for item in self.changed]
        found = ((self.strangers, *_STRANGERS), (self.early, *_EARLY), (changed, *_CHANGED))
        return [_describe_keys("landing object", *each) for each in found if each[0]]


_STRANGERS = (
    f"not of the form {LANDING}/source={{{','.join(SOURCES)}}}/YYYY/MM/DD/HH/name, from {FIRST_DAY.year} on",
    "not loaded; move what is foreign out of the hub, or import it",
)
_EARLY = ("in a landing hour of a day to come", "not loaded before that day; deliver under the hour of arrival")
# A folder's object was known by its size and the time of its last change, before it was by its size and a hash.
_HASHED, _TIMED = (re.compile(f"([0-9a-f]+)-[0-9a-f]{digits}") for digits in ("{32}", "{1,31}"))
_CHANGED = ("changed after they were loaded", "not loaded again; deliver what is new in new objects")


def arrivals(hub: Hub, warehouse: Warehouse, *days: dt.date) -> Arrivals:
    """Landing objects of all trackers that arrived on some days."""
    prefixes = [landing_prefix(source, day) for source in SOURCES for day in sorted(set(days))]
    found = [item for prefix in prefixes for item in hub.objects(prefix)]
    return _sort_out(found, warehouse.ledger(*prefixes) if prefixes else {})


def all_arrivals(hub: Hub, warehouse: Warehouse) -> Arrivals:
    """Landing objects of every day: one listing of the hub and one look into the ledger."""
    return _sort_out(hub.objects(f"{LANDING}/"), warehouse.ledger(f"{LANDING}/"))


def announced(hub: Hub, warehouse: Warehouse, messages: Sequence["Message"]) -> tuple[Arrivals, list["Message"]]:
    """What landed on the days that messages name, and the messages that are no longer needed.

    A message is needed until the ledger knows its objects: if their load fails, it comes again. Only those days are listed.
    """
    keys = {key for message in messages for key in message.keys if is_landing_key(key)}
    days = sorted({arrival_of(key).date() for key in keys})
    known = warehouse.ledger(*(landing_prefix(source, day) for source in SOURCES for day in days)) if days else {}
    unknown = keys - known.keys()
    waiting = sorted({arrival_of(key).date() for key in unknown})
    settled = [message for message in messages if unknown.isdisjoint(message.keys)]
    return (arrivals(hub, warehouse, *waiting) if waiting else Arrivals()), settled


def newest_hours(hub: Hub, now: dt.datetime) -> dict[str, dt.datetime]:
    """Tracker → the newest hour (UTC) up to now that has a folder; a few listings each, whatever the size of the hub."""
    found = {source: _newest_hour(hub, f"{LANDING}/source={source}", (), now) for source in SOURCES}
    return {source: hour for source, hour in found.items() if hour}


def silence_of_trackers(hub: Hub, now: dt.datetime) -> dict[str, dt.timedelta]:
    """Tracker → the time since its newest landing hour ended: until then objects may have landed in it."""
    return {source: now - hour - HOUR for source, hour in newest_hours(hub, now).items()}


def _newest_hour(hub: Hub, folder: str, parts: tuple[int, ...], now: dt.datetime) -> dt.datetime | None:
    if len(parts) == 4:
        return _parse_hour(parts, now)
    for name in sorted(hub.folders(folder), reverse=True):
        if name.isascii() and name.isdigit():
            hour = _newest_hour(hub, f"{folder}/{name}", (*parts, int(name)), now)
            if hour:
                return hour
    return None


def _parse_hour(parts: tuple[int, ...], now: dt.datetime) -> dt.datetime | None:
    year, month, day, hour = parts
    try:
        found = dt.datetime(year, month, day, hour, tzinfo=dt.UTC)
    except ValueError:
        return None
    return found if found <= now else None


def by_day(objects: Iterable[HubObject]) -> dict[dt.date, list[HubObject]]:
    """Landing objects by their day of arrival, oldest first."""
    days: dict[dt.date, list[HubObject]] = defaultdict(list)
    for item in objects:
        days[arrival_of(item.key).date()].append(item)
    return dict(sorted(days.items()))


def oldest_hour(waiting: Iterable[HubObject], now: dt.datetime) -> dt.datetime | None:
    """The oldest landing hour (UTC) of objects that landed in the last two days; None if there are none.

    A backfill lands objects under hours long ago: they do not wait since then.
    """
    hours = (arrival_of(item.key).replace(tzinfo=dt.UTC) for item in waiting)
    return min((hour for hour in hours if now - hour <= _RECENT), default=None)


def loaded_after(warehouse: Warehouse, moment: dt.datetime) -> list[dt.date]:
    """Days with landing objects that were loaded after a moment (UTC, naive); none before the first load."""
    rows = warehouse.frame("select object_key from ops.load_ledger where loaded_at > ?", [moment])
    keys = [key for key in rows["object_key"].to_pylist() if is_landing_key(key)]
    return sorted({arrival_of(key).date() for key in keys})


def new_snapshots(hub: Hub, warehouse: Warehouse, kind: Attributes) -> list[dt.date]:
    """Days up to today whose attribute snapshot in the hub is not, or not in this state, in the warehouse."""
    ledger = warehouse.ledger(f"{kind}/")
    days = [day for day in snapshot_days(hub, kind) if FIRST_DAY <= day <= utc_today()]
    return [day for day in days if any(not is_loaded(ledger, item) for item in snapshot_parts(hub, kind, day))]


def is_loaded(ledger: Mapping[str, str], item: HubObject) -> bool:
    """Whether the ledger knows an object with this content; of what an older version loaded, with content of this size."""
    known = ledger.get(item.key)
    if known is None or known == item.etag:
        return known is not None
    before, now = _TIMED.fullmatch(known), _HASHED.fullmatch(item.etag)
    return before is not None and now is not None and before[1] == now[1]


def unread_snapshots(hub: Hub, kind: Attributes) -> list[str]:
    """A sentence if there are objects among the snapshots that are no part of one, or of one of a day to come."""
    keys = [item.key for item in hub.objects(f"{kind}/")]
    strange = [key for key in keys if not is_snapshot_key(kind, key)]
    early = [attributes_prefix(kind, day) for day in snapshot_days(hub, kind) if day > utc_today()]
    layout = f"not of the form {kind}/dt=YYYY-MM-DD/name.json.gz"
    found = (
        ("object", strange, layout, "not loaded; move them out of the hub"),
        ("snapshot", early, "of a day to come", "not loaded before that day; deliver under the day they are of"),
    )
    return [_describe_keys(noun, keys, what, remedy) for noun, keys, what, remedy in found if keys]


def _sort_out(found: Sequence[HubObject], ledger: Mapping[str, str]) -> Arrivals:
    landed = [item for item in found if is_landing_key(item.key) and arrival_of(item.key).date() >= FIRST_DAY]
    due = [item for item in landed if arrival_of(item.key).date() <= utc_today() or item.key in ledger]
    return Arrivals(
        new=tuple(item for item in due if item.key not in ledger),
        changed=tuple(item for item in due if item.key in ledger and not is_loaded(ledger, item)),
        early=tuple(sorted({item.key for item in landed} - {item.key for item in due})),
        strangers=tuple(sorted({item.key for item in found} - {item.key for item in landed})),
    )


def _describe_keys(noun: str, keys: Sequence[str], what: str, remedy: str) -> str:
    """`2 landing objects are not …, first KEY: they are not loaded; …`."""
    several = len(keys) != 1
    are = "" if what.startswith("changed") else " are" if several else " is"
    they = "they are" if several else "it is"
    return f"{len(keys):,} {noun}{'s' * several}{are} {what}, first {keys[0]}: {they} {remedy}."
