"""Load landing objects and attribute snapshots into `raw`, exactly once, whichever engine keeps them.

Belongs here: which objects are loaded together, which ids a snapshot may hold. Does not: whether a record is accepted
(validation.py), how rows are stored (warehouse/).
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.common.errors import InputError
from recsys_platform.common.placeholders import BLANKS, is_no_id
from recsys_platform.hub.layout import ID_FIELDS, Attributes, source_of
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.decoding import objects_table, validated_batches
from recsys_platform.ingestion.framing import split_records
from recsys_platform.warehouse.port import LoadReport, Warehouse

Progress = Callable[[int, int], None]
"""Called with the number of objects that are loaded and of those to load."""

# A transaction large enough that DuckDB writes whole row groups past its log, small enough for bounded memory.
CHUNK_OBJECTS = 2000
CHUNK_BYTES = 20_000_000
# JSON types of an id, as DuckDB names them.
_FORMS_OF_IDS = ("VARCHAR", "BIGINT", "UBIGINT", "HUGEINT")


def load_events(
    hub: Hub,
    warehouse: Warehouse,
    objects: Sequence[HubObject],
    *,
    chunk_objects: int = CHUNK_OBJECTS,
    progress: Progress | None = None,
) -> LoadReport:
    """Load landing objects that the ledger does not know, each exactly once.

    Objects of one source go together, each chunk with its lines of the ledger in one transaction: at most `chunk_objects`, and few
    enough for bounded memory.
    """
    report = LoadReport()
    with warehouse.raw_writer() as writer:
        # Another loader may have been here since they were listed.
        known = writer.known_keys([item.key for item in objects])
        unknown = sorted(item for item in set(objects) if item.key not in known)
        for batch in validated_batches(hub, _group_objects(unknown, chunk_objects)):
            report += writer.append(batch)
            if progress:
                progress(report.objects, len(objects))
    return report


def _group_objects(objects: Sequence[HubObject], most: int) -> Iterator[list[HubObject]]:
    """Group objects of one source, at most `most` and few enough for bounded memory."""
    chunk: list[HubObject] = []
    size = 0
    for item in objects:
        full = len(chunk) == most or size + item.size_bytes > CHUNK_BYTES
        if chunk and (full or source_of(item.key) != source_of(chunk[0].key)):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += item.size_bytes
    if chunk:
        yield chunk


def load_snapshot(
    hub: Hub, warehouse: Warehouse, kind: Attributes, day: dt.date, objects: Sequence[HubObject]
) -> LoadReport:
    """Replace the rows of one snapshot day; `InputError` if a part cannot be read whole or an id is missing or double."""
    if not objects:
        raise InputError(f"The {kind} snapshot of {day} is gone from the hub: fetch or deliver it again.")
    parts = [_snapshot_texts(hub, item) for item in objects]
    counts = np.array([len(part) for part in parts])
    rows = _with_ids(kind, day, np.repeat([item.key for item in objects], counts), pa.chunked_array(parts))
    lines = objects_table(objects, records=counts, rejected=np.zeros_like(counts))
    with warehouse.raw_writer() as writer:
        writer.replace_snapshot(kind, day, rows, lines)
    return LoadReport(objects=len(objects), records=len(rows), accepted=len(rows))


def _snapshot_texts(hub: Hub, item: HubObject) -> pa.Array:
    """The records of a part of a snapshot."""
    pieces = split_records(hub.get(item.key))
    broken = next((piece.reason for piece in pieces if piece.reason), None)
    if broken:
        raise InputError(f"The snapshot part {hub.where(item.key)} cannot be read whole: {broken}. Fetch it again.")
    return pa.array([piece.text for piece in pieces], pa.large_string())


_IDS = """
    select coalesce(trim(record ->> '$.{id_column}', ?), '') as {id_column}, object_key, record,
        record -> '$.{id_column}' as said, json_type(record, '$.{id_column}') as form
    from records"""


def _with_ids(kind: Attributes, day: dt.date, keys: np.ndarray, records: pa.ChunkedArray) -> pa.Table:
    """The records with the ids in them; `InputError` unless each has the id of one entity, and no two the same."""
    id_column = ID_FIELDS[kind]
    with duckdb.connect() as con:
        con.register("records", pa.table({"object_key": pa.array(keys, pa.string()), "record": records}))
        rows = con.sql(_IDS.format(id_column=id_column), params=[BLANKS]).to_arrow_table()
    ids = rows.select([id_column, "said", "form"])
    _refuse_ids_of_nothing(kind, day, ids.filter(pc.not_equal(ids[id_column], "")).sort_by(id_column))
    _refuse_missing_and_double_ids(kind, day, rows[id_column])
    return rows.select([id_column, "object_key", "record"])


def _refuse_missing_and_double_ids(kind: Attributes, day: dt.date, ids: pa.ChunkedArray) -> None:
    counts = pa.table({"id": ids}).group_by("id").aggregate([([], "count_all")]).sort_by("id")
    is_bad = pc.or_(pc.greater(counts["count_all"], 1), pc.equal(counts["id"], ""))
    for bad in counts.filter(is_bad).slice(0, 1).to_pylist():
        name, count = ID_FIELDS[kind], bad["count_all"]
        what = f"{name} {bad['id']} {count} times" if bad["id"] else f"{count} records without {name}"
        raise InputError(
            f"The {kind} snapshot of {day} holds {what}: a snapshot has one record an entity. Fetch it again."
        )


def _refuse_ids_of_nothing(kind: Attributes, day: dt.date, ids: pa.Table) -> None:
    """`InputError` for an id that is neither text nor a whole number, or a placeholder word; a blank one is missing."""
    id_column = ID_FIELDS[kind]
    for row in ids.to_pylist():
        if row["form"] not in _FORMS_OF_IDS or is_no_id(row[id_column]):
            why = (
                "which names nobody and nothing" if row["form"] in _FORMS_OF_IDS else "neither text nor a whole number"
            )
            raise InputError(
                f"The {kind} snapshot of {day} holds a record whose {id_column} is {row['said']}, {why}: "
                "give each record the id of one entity and deliver the snapshot again."
            )
