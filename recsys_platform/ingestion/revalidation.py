"""Validate rejected records again by the present rules, which may have changed since they were rejected.

Belongs here: which rejected records are decided otherwise now. Does not: moving them (warehouse/), corrected payloads (quarantine.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.ingestion.validation import rejection_reasons
from recsys_platform.warehouse.port import Warehouse


@dataclass(frozen=True)
class Revalidated:
    """`changed`: records whose reason is another one now, or null for none: object_key, record_index, reason, corrected_by.

    `looked_at`: how many records were validated again.
    """

    changed: pa.Table
    looked_at: int


def revalidate(warehouse: Warehouse, *, reason: str | None = None) -> Revalidated:
    """Validate the outstanding rejected records whose reason contains a text, by the rules that loading follows."""
    looked_at, changed = 0, [_NOTHING]
    with duckdb.connect() as con:
        for rows in warehouse.rejected_records(reason=reason):
            looked_at += len(rows)
            changed += [_changed_records(con, source, rows.filter(pc.field("source") == source)) for source in ENVELOPE]
    return Revalidated(pa.concat_tables(changed), looked_at)


_STATES = pa.schema(
    {"object_key": pa.string(), "record_index": pa.int64(), "reason": pa.string(), "corrected_by": pa.string()}
)
_NOTHING = _STATES.empty_table()


def _changed_records(con: duckdb.DuckDBPyConnection, source: str, rows: pa.Table) -> pa.Table:
    """Those of some records of a source whose reason is another one now, as rows of `changed`."""
    if not len(rows):
        return _NOTHING
    reasons = rejection_reasons(con, source, rows["payload"], rows["reason"])
    is_changed = pc.fill_null(pc.not_equal(reasons, rows["reason"]), True)
    columns = [rows["object_key"], rows["record_index"], reasons, pa.nulls(len(rows), pa.string())]
    return pa.table(columns, _STATES).filter(is_changed)


def rejected_states(rows: Iterable[tuple[str, int, str | None, str | None]]) -> pa.Table:
    """Object key, record index, reason and correcting object of some rejected records, as `update_rejected` takes them."""
    return pa.Table.from_pylist([dict(zip(_STATES.names, row, strict=True)) for row in rows], _STATES)


def rejection_reasons_of(source: str, payloads: Sequence[str]) -> list[str | None]:
    """Why each text would be rejected as a record of a source, None where it would be accepted."""
    with duckdb.connect() as con:
        texts = pa.array(payloads, pa.large_string())
        return list(rejection_reasons(con, source, texts, pa.nulls(len(texts), pa.string())).to_pylist())
