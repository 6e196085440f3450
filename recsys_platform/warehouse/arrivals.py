"""What has landed in the hub and is not in the ledger yet."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys_platform.errors import HubError
from recsys_platform.hub.keys import (
    LANDING,
    SOURCES,
    Attributes,
    arrival_of,
    attributes_prefix,
    is_landing_key,
    landing_prefix,
)
from recsys_platform.hub.store import Hub, HubObject
from recsys_platform.warehouse.port import Warehouse

if TYPE_CHECKING:  # it brings boto3 along, which a laptop need not load
    from recsys_platform.hub.notifications import Message


@dataclass(frozen=True)
class Arrivals:
    """Landing objects: `new` are unknown to the ledger, `changed` were loaded with another content."""

    new: tuple[HubObject, ...] = ()
    changed: tuple[HubObject, ...] = ()


def arrivals(hub: Hub, warehouse: Warehouse, *days: dt.date) -> Arrivals:
    """Landing objects of all trackers that arrived on some days; `HubError` if a key breaks the layout."""
    prefixes = [landing_prefix(source, day) for source in SOURCES for day in days]
    found = [item for prefix in prefixes for item in hub.objects(prefix)]
    return _sort_out(found, warehouse.ledger(*prefixes))


def all_arrivals(hub: Hub, warehouse: Warehouse) -> Arrivals:
    """Landing objects of every day: one listing of the hub and one look into the ledger."""
    return _sort_out(hub.objects(f"{LANDING}/"), warehouse.ledger(f"{LANDING}/"))


def announced(hub: Hub, warehouse: Warehouse, messages: Sequence["Message"]) -> tuple[Arrivals, list["Message"]]:
    """What landed on the days that messages tell of, and the messages that nobody needs any more.

    A message is needed until the ledger knows its objects: if their load fails, it comes again. Only those days are listed.
    """
    keys = {key for message in messages for key in message.keys if is_landing_key(key)}
    days = sorted({arrival_of(key).date() for key in keys})
    known = warehouse.ledger(*(landing_prefix(source, day) for source in SOURCES for day in days)) if days else {}
    unknown = keys - known.keys()
    waiting = sorted({arrival_of(key).date() for key in unknown})
    settled = [message for message in messages if unknown.isdisjoint(message.keys)]
    return (arrivals(hub, warehouse, *waiting) if waiting else Arrivals()), settled


def by_day(objects: Iterable[HubObject]) -> dict[dt.date, list[HubObject]]:
    """Landing objects by their day of arrival, oldest first."""
    days: dict[dt.date, list[HubObject]] = defaultdict(list)
    for item in objects:
        days[arrival_of(item.key).date()].append(item)
    return dict(sorted(days.items()))


def loaded_after(warehouse: Warehouse, moment: dt.datetime) -> list[dt.date]:
    """Days with landing objects that were loaded after a moment (UTC, naive); none before the first load."""
    rows = warehouse.frame("select object_key from ops.load_ledger where loaded_at > ?", [moment])
    keys = [key for key in rows["object_key"].to_pylist() if is_landing_key(key)]
    return sorted({arrival_of(key).date() for key in keys})


def new_snapshots(hub: Hub, warehouse: Warehouse, kind: Attributes) -> list[dt.date]:
    """Days whose attribute snapshot in the hub is not, or not in this state, in the warehouse."""
    days = [_snapshot_day(kind, folder) for folder in hub.folders(kind)]
    ledger = warehouse.ledger(f"{kind}/")
    return [day for day in days if any(ledger.get(o.key) != o.etag for o in hub.objects(attributes_prefix(kind, day)))]


def _sort_out(found: list[HubObject], ledger: dict[str, str]) -> Arrivals:
    strangers = [item.key for item in found if not is_landing_key(item.key)]
    if strangers:
        raise HubError(
            f"{strangers[0]} and {len(strangers) - 1} more keys are not of the form "
            f"{LANDING}/source={{{','.join(SOURCES)}}}/YYYY/MM/DD/HH/name: move them out of the hub."
        )
    return Arrivals(
        new=tuple(item for item in found if item.key not in ledger),
        changed=tuple(item for item in found if ledger.get(item.key, item.etag) != item.etag),
    )


def _snapshot_day(kind: Attributes, folder: str) -> dt.date:
    try:
        return dt.date.fromisoformat(folder.removeprefix("dt="))
    except ValueError as error:
        raise HubError(f"{kind}/{folder} is not of the form {kind}/dt=YYYY-MM-DD: move it out of the hub.") from error
