"""What loads leave in the tables of Python's, on either engine."""

import json

from recsys_platform.warehouse.port import Warehouse

OBJECTS = "engagement_events/"
STATE = (
    "select object_key, etag, size_bytes, records, accepted, rejected from ops.load_ledger order by 1",
    "select source, object_key, record_index, landed_at, record from raw.engagement_events order by 2, 3",
    "select source, object_key, record_index, landed_at, payload, reason, corrected_by from raw.rejected_records order by 2, 3",
)


def state(warehouse: Warehouse) -> list[list[dict[str, object]]]:
    """The three tables; records as values, since a variant is not a text."""
    ledger, records, rejected = (warehouse.frame(sql).to_pylist() for sql in STATE)
    return [ledger, [row | {"record": json.loads(row["record"])} for row in records], rejected]
