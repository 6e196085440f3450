"""The attribute snapshots in the hub.

Belongs here: their days and objects. Does not: their records (sources/snapshots.py), comparing them (catalog/snapshot_drift.py).
"""

import datetime as dt

from recsys_platform.hub.layout import Attributes, attributes_prefix, is_snapshot_key, parse_dt_folder
from recsys_platform.hub.object_store import Hub, HubObject


def snapshot_days(hub: Hub, kind: Attributes) -> list[dt.date]:
    """The days that have a snapshot, oldest first."""
    days = {day for day in map(parse_dt_folder, hub.folders(kind)) if day}
    return sorted(day for day in days if snapshot_parts(hub, kind, day))


def snapshot_parts(hub: Hub, kind: Attributes, day: dt.date) -> list[HubObject]:
    """The objects of a snapshot, without other files in its folder, such as `_SUCCESS`."""
    return [item for item in hub.objects(attributes_prefix(kind, day)) if is_snapshot_key(kind, item.key)]
