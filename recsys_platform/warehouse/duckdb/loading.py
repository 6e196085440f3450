"""Load landing objects and attribute snapshots into `raw` on DuckDB, exactly once.

Whichever way a record comes (`decoding.py`), the same SQL (`validation.py`) decides whether it is accepted.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from recsys_platform.common.errors import InputError
from recsys_platform.common.placeholders import BLANKS, is_no_id
from recsys_platform.hub.layout import ID_FIELDS, Attributes, arrival_of, is_landing_key, source_of
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.decoding import Numbers, Records, snapshot_texts
from recsys_platform.ingestion.validation import fields_of_piece, reason_of_piece
from recsys_platform.warehouse.port import LoadReport

# JSON types of an id, as DuckDB names them.
_FORMS_OF_IDS = ("VARCHAR", "BIGINT", "UBIGINT", "HUGEINT")
# A transaction large enough that DuckDB writes whole row groups past its log, small enough for bounded memory.
CHUNK_OBJECTS = 2000
CHUNK_BYTES = 20_000_000
# What DuckDB may take while it loads: enough for a chunk, and more would only be filled up.
MEMORY_LIMIT = "700MB"


def chunks(objects: Sequence[HubObject], most: int = CHUNK_OBJECTS) -> Iterator[list[HubObject]]:
    """Objects of one source in turn, at most `most` and few enough for bounded memory."""
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


def unknown(con: duckdb.DuckDBPyConnection, objects: Sequence[HubObject]) -> list[HubObject]:
    """Those objects that the ledger does not know, in order: another loader may have been here since they were listed."""
    sql = "select object_key from ops.load_ledger semi join (select unnest(?::varchar[]) as object_key) using (object_key)"
    known = {key for (key,) in con.execute(sql, [[item.key for item in objects]]).fetchall()}
    return sorted(item for item in set(objects) if item.key not in known)


def load_records(con: duckdb.DuckDBPyConnection, records: Records) -> LoadReport:
    """Raw rows, rejected rows and ledger rows of some objects; the caller holds the transaction."""
    source, loaded_at = source_of(records.objects[0].key), next_loaded_at(con)
    given = {"source": source, "loaded_at": loaded_at}
    _register(con, records)
    con.execute(_VERDICTS.format(**_rules(source)))
    con.execute(_ACCEPT, given)
    con.execute(_REJECT, given)
    con.execute(_NOTE, {"loaded_at": loaded_at})
    rejected = con.execute("select count(*) from verdicts").fetchall()[0][0]
    for name in ("objects", "records", "doubtful"):
        con.unregister(name)
    total = int(records.counts.sum())
    return LoadReport(objects=len(records.objects), records=total, accepted=total - rejected, rejected=rejected)


def _rules(source: str) -> dict[str, str]:
    return {
        "fields": fields_of_piece(source, "payload", "framing"),
        "reason": reason_of_piece(source, "payload", "framing", "fields"),
    }


def _register(con: duckdb.DuckDBPyConnection, records: Records) -> None:
    """`objects`; `records`, their texts taken as JSON without reading them again; `doubtful`, those to judge, as text."""
    objects, counts = _ledger_table(records.objects), records.counts
    number = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
    con.register("objects", objects.append_column("records", pa.array(counts)))
    as_json = [pa.ExtensionArray.from_storage(pa.json_(pa.large_string()), part) for part in records.texts.chunks]
    columns = {
        "n": np.arange(len(number)),
        "object_key": pa.DictionaryArray.from_arrays(number.astype(np.int32), objects["object_key"].combine_chunks()),
        "record_index": place,
        "landed_at": objects["landed_at"].combine_chunks().take(pa.array(number)),
        "record": pa.chunked_array(as_json),
    }
    con.register("records", pa.table(columns))
    con.register("doubtful", _doubtful(records, number, place))


def _doubtful(records: Records, number: Numbers, place: Numbers) -> pa.Table:
    n = records.doubtful
    among_all = np.zeros(len(number), bool)
    among_all[n] = True
    columns = {
        "n": n,
        "object_number": number[n],
        "record_index": place[n],
        "payload": records.texts.filter(among_all),
        "framing": pa.array(records.framing, pa.string()),
    }
    return pa.table(columns)


def next_loaded_at(con: duckdb.DuckDBPyConnection) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load: readers take `loaded_at` as their high-water mark."""
    [(last,)] = con.execute("select max(loaded_at) from ops.load_ledger").fetchall()
    return later_than(last)


def later_than(last: dt.datetime | None) -> dt.datetime:
    """Now (UTC, naive), or a microsecond after `last` where a clock went back."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return max(now, last + dt.timedelta(microseconds=1)) if last else now


# The fields are read once: `fields[i]` over a mere subquery would read the record again for each i.
_VERDICTS = """
    create or replace temp table verdicts as
    with looked_at as materialized (select *, {fields} as fields from doubtful)
    select n, object_number, record_index, payload, {reason} as reason from looked_at where reason is not null"""
_ACCEPT = """
    insert into raw.engagement_events
    select $source, object_key, record_index, landed_at, $loaded_at::timestamp, record
    from records where n not in (select n from verdicts)"""
_REJECT = """
    insert into raw.rejected_records by name
    select $source as source, object_key, record_index, landed_at, $loaded_at::timestamp as loaded_at, payload, reason
    from verdicts join objects using (object_number)"""
_NOTE = """
    insert into ops.load_ledger
    select object_key, etag, size_bytes, records, records - coalesce(rejected, 0), coalesce(rejected, 0), $loaded_at::timestamp
    from objects left join (select object_number, count(*) as rejected from verdicts group by all) using (object_number)
    order by object_number"""


def _ledger_table(objects: Sequence[HubObject]) -> pa.Table:
    return pa.table(
        {
            "object_number": pa.array(range(len(objects)), pa.int64()),
            "object_key": [item.key for item in objects],
            "etag": [item.etag for item in objects],
            "size_bytes": [item.size_bytes for item in objects],
            "landed_at": pa.array([_landed_at(item.key) for item in objects], pa.timestamp("us")),
        }
    )


def _landed_at(key: str) -> dt.datetime | None:
    return arrival_of(key) if is_landing_key(key) else None


def load_snapshot(
    con: duckdb.DuckDBPyConnection, hub: Hub, kind: Attributes, day: dt.date, objects: Sequence[HubObject]
) -> LoadReport:
    """Replace the rows of one snapshot day; `InputError` if a part cannot be read whole or an id is missing or double."""
    if not objects:
        raise InputError(f"The {kind} snapshot of {day} is gone from the hub: fetch or deliver it again.")
    loaded_at = next_loaded_at(con)
    con.execute(f"delete from raw.{kind} where snapshot_date = ?", [day])
    con.register("parts", snapshot_texts(hub, objects))
    con.execute(
        f"""
        insert into raw.{kind}
        select ?::date, coalesce(trim(payload ->> '$.{ID_FIELDS[kind]}', ?), ''), object_key, ?::timestamp, payload::json
        from parts order by 2""",
        [day, BLANKS, loaded_at],
    )
    con.unregister("parts")
    _refuse_bad_ids(con, kind, day)
    return _rewrite_ledger(con, kind, day, objects, loaded_at)


def _refuse_bad_ids(con: duckdb.DuckDBPyConnection, kind: Attributes, day: dt.date) -> None:
    id_column = ID_FIELDS[kind]
    _refuse_ids_of_nothing(con, kind, day)
    sql = f"select {id_column}, count(*) from raw.{kind} where snapshot_date = ? group by 1 having count(*) > 1 or {id_column} = ''"
    for bad in con.execute(sql + " order by 1 limit 1", [day]).fetchall():
        what = f"{id_column} {bad[0]} {bad[1]} times" if bad[0] else f"{bad[1]} records without {id_column}"
        raise InputError(
            f"The {kind} snapshot of {day} holds {what}: a snapshot has one record an entity. Fetch it again."
        )


def _refuse_ids_of_nothing(con: duckdb.DuckDBPyConnection, kind: Attributes, day: dt.date) -> None:
    """`InputError` for an id that is neither text nor a whole number, or a word that names nobody; a blank one is missing."""
    id_column = ID_FIELDS[kind]
    sql = f"""select record -> '$.{id_column}', {id_column}, json_type(record, '$.{id_column}') from raw.{kind}
        where snapshot_date = ? and {id_column} <> '' order by 2"""
    for said, text, form in con.execute(sql, [day]).fetchall():
        if form not in _FORMS_OF_IDS or is_no_id(text):
            why = "which names nobody and nothing" if form in _FORMS_OF_IDS else "neither text nor a whole number"
            raise InputError(
                f"The {kind} snapshot of {day} holds a record whose {id_column} is {said}, {why}: "
                "give each record the id of one entity and deliver the snapshot again."
            )


def _rewrite_ledger(
    con: duckdb.DuckDBPyConnection, kind: Attributes, day: dt.date, objects: Sequence[HubObject], loaded_at: dt.datetime
) -> LoadReport:
    con.execute("delete from ops.load_ledger where starts_with(object_key, ?)", [f"{kind}/dt={day}/"])
    con.register("objects", _ledger_table(objects))
    con.execute(
        f"""
        insert into ops.load_ledger
        select o.object_key, o.etag, o.size_bytes, count(r.object_key), count(r.object_key), 0, ?::timestamp
        from objects as o left join raw.{kind} as r on r.object_key = o.object_key and r.snapshot_date = ?
        group by all order by 1""",
        [loaded_at, day],
    )
    con.unregister("objects")
    [(rows,)] = con.execute(f"select count(*) from raw.{kind} where snapshot_date = ?", [day]).fetchall()
    return LoadReport(objects=len(objects), records=rows, accepted=rows)
