"""Which attribute snapshots the hub holds.

Belongs here: their days and objects. Does not: their records (sources/snapshots.py), how they differ (catalog/snapshot_drift.py).
"""

import datetime as dt

from recsys_platform.hub.layout import Attributes, attributes_prefix, day_of_folder, is_snapshot_key
from recsys_platform.hub.object_store import Hub, HubObject


def snapshot_days(hub: Hub, kind: Attributes) -> list[dt.date]:
    """The days that have a snapshot, oldest first."""
    days = {day for day in map(day_of_folder, hub.folders(kind)) if day}
    return sorted(day for day in days if snapshot_parts(hub, kind, day))


def snapshot_parts(hub: Hub, kind: Attributes, day: dt.date) -> list[HubObject]:
    """The objects of a snapshot; other files in its folder, such as `_SUCCESS`, are none."""
    return [item for item in hub.objects(attributes_prefix(kind, day)) if is_snapshot_key(kind, item.key)]
