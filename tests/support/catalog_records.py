"""Records and snapshots that the catalog is to find."""

import datetime as dt
import gzip
import json
from collections.abc import Mapping
from typing import Any

from recsys_platform.catalog.discovery import find_tables
from recsys_platform.catalog.schema_history import record_tables
from recsys_platform.catalog.tables import LocalCatalog, Table
from recsys_platform.hub.layout import attributes_key
from recsys_platform.hub.object_store import Hub

FRIDAY = dt.date(2026, 11, 20)
BOOKS = "landing/book_attributes"
SEGMENT = "landing/engagement_events_segment"


def day(number: int) -> dt.date:
    return FRIDAY + dt.timedelta(days=number)


def books(hub: Hub, on: dt.date, *records: Mapping[str, Any]) -> None:
    """One snapshot of books."""
    lines = "\n".join(json.dumps(record) for record in records)
    hub.put(attributes_key("book_attributes", on), gzip.compress(lines.encode(), mtime=0))


def shelf(number: int, **more: Any) -> list[dict[str, Any]]:
    """So many equal books."""
    return [{"book_id": f"b{n}", "pages": 300} | more for n in range(number)]


def said(hub: Hub) -> list[str]:
    """Record the hub and say what changed, a sentence a table."""
    return [each.sentence() for each in record_tables(hub, LocalCatalog(hub)) if each.drift]


def table(hub: Hub, name: str) -> Table:
    found = {each.name: each for each in find_tables(hub)}
    return found[name]


def shares(known: Table) -> dict[str, float]:
    return {each.path: each.share for each in known.fields}
