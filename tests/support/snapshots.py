"""Snapshots of attributes as a feed delivers them."""

import datetime as dt
import gzip
import json
from typing import Any

from recsys_platform.hub.object_store import Hub


def deliver(hub: Hub, kind: str, day: dt.date, *rows: dict[str, Any]) -> str:
    """One complete snapshot of attributes; its folder."""
    folder = f"{kind}_attributes/dt={day}/"
    hub.put(f"{folder}part-0.json.gz", gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0))
    return folder
