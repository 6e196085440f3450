"""Load landing objects and attribute snapshots into `raw` on DuckDB, exactly once.

Whole chunks go through DuckDB's JSON reader. An object that it refuses is framed in Python, and the reader goes on after it.
Whichever way a record comes, the same SQL (`judging.py`) decides whether it is accepted.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_platform.errors import InputError
from recsys_platform.events.framing import split_records
from recsys_platform.hub.keys import Attributes, arrival_of, is_landing_key, source_of
from recsys_platform.hub.store import Hub, HubObject
from recsys_platform.warehouse.judging import envelope_paths, fields_of_piece, reason_of_object, reason_of_piece
from recsys_platform.warehouse.port import LoadReport

# A transaction large enough that DuckDB writes whole row groups past its log, small enough for bounded memory.
CHUNK_OBJECTS = 2000
CHUNK_BYTES = 24_000_000
# Where one object of many cannot be read, the rest is read in runs of so many: what a second refusal throws away is short.
CAREFUL_OBJECTS = 32
_LARGEST_RECORD = 33_554_432
_ID_COLUMN: dict[Attributes, str] = {"user_attributes": "user_id", "book_attributes": "book_id"}
_REFUSED = (duckdb.InvalidInputException, duckdb.IOException, duckdb.OutOfRangeException)


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


def frame_objects(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject]) -> None:
    """Fill the temporary table `judged` with the records of objects of one source, each with its reason for rejection or null.

    `number` is the place of the object in `objects`; a row's place in the table is its record's place in the object. Outside a
    transaction: an object that DuckDB cannot read would abort it.
    """
    con.execute("create or replace temp table judged (number integer, payload varchar, reason varchar)")
    refused = list(_refused(con, hub, objects, 0))
    for start in range(0, len(refused), CAREFUL_OBJECTS):
        _read_with_python(con, hub, objects, refused[start : start + CAREFUL_OBJECTS])


def _refused(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject], first: int) -> Iterator[int]:
    """Read objects that are numbered from `first`; the numbers of those that DuckDB refuses."""
    bad = _read_with_duckdb(con, hub, objects, first) if objects else None
    if bad is None:
        return
    if len(objects) > CAREFUL_OBJECTS:
        for start in range(0, len(objects), CAREFUL_OBJECTS):
            yield from _refused(con, hub, objects[start : start + CAREFUL_OBJECTS], first + start)
        return
    yield first + bad
    for start, stop in ((0, bad), (bad + 1, len(objects))):
        yield from _refused(con, hub, objects[start:stop], first + start)


def load_framed(con: duckdb.DuckDBPyConnection, objects: Sequence[HubObject]) -> LoadReport:
    """Raw rows, rejected rows and ledger rows of the framed objects; the caller holds the transaction."""
    source, loaded_at = source_of(objects[0].key), next_loaded_at(con)
    con.register("objects", _object_table(objects))
    con.execute(_COUNT)
    for statement in (_ACCEPT, _REJECT):
        con.execute(statement, {"source": source, "loaded_at": loaded_at})
    con.execute(_NOTE, {"loaded_at": loaded_at})
    sums = con.execute("select count(*), sum(records), sum(records - rejected), sum(rejected) from counted").fetchall()
    con.unregister("objects")
    return LoadReport(*(int(number) for number in sums[0]))


def next_loaded_at(con: duckdb.DuckDBPyConnection) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load: readers take `loaded_at` as their high-water mark."""
    [(last,)] = con.execute("select max(loaded_at) + interval 1 microsecond from ops.load_ledger").fetchall()
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return max(now, last) if last else now


_COUNT = """
    create or replace temp table counted as
    select o.*, j.first, coalesce(j.records, 0) as records, coalesce(j.rejected, 0) as rejected
    from objects as o left join (
        select number, min(rowid) as first, count(*) as records, count(reason) as rejected from judged group by number
    ) as j using (number)"""
_ACCEPT = """
    insert into raw.engagement_events
    select $source, object_key, j.rowid - first, landed_at, $loaded_at::timestamp, payload::json
    from judged as j join counted using (number) where reason is null"""
_REJECT = """
    insert into raw.rejected_records by name
    select $source as source, object_key, j.rowid - first as record_index, landed_at, $loaded_at::timestamp as loaded_at,
        payload, reason
    from judged as j join counted using (number) where reason is not null"""
_NOTE = """
    insert into ops.load_ledger
    select object_key, etag, size_bytes, records, records - rejected, rejected, $loaded_at::timestamp
    from counted order by number"""


def _read_with_duckdb(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject], first: int) -> int | None:
    """None if DuckDB could read all of them; else nothing was added, and the place of one that it could not read."""
    paths = [str(hub.path(item.key)) for item in objects]
    source = source_of(objects[0].key)
    try:
        con.execute(
            f"""
            insert into judged
            select file_index + $first, json::varchar, {reason_of_object(source, "json", "fields")}
            from (
                select file_index, json, json_extract_string(json, {envelope_paths(source)!r}) as fields
                from read_json_objects($paths, format = 'unstructured', maximum_object_size = {_LARGEST_RECORD})
            )""",
            {"first": first, "paths": [_literal(path) for path in paths]},
        )
    except _REFUSED as error:
        return _named(paths, str(error))
    return None


def _named(paths: Sequence[str], message: str) -> int:
    """The place of the path that an error names, the last one of the first half if it names none."""
    found = [path for path in paths if path in message]
    return paths.index(max(found, key=len)) if found else (len(paths) - 1) // 2


def _literal(path: str) -> str:
    """A path that DuckDB reads as it stands, not as a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _read_with_python(
    con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject], numbers: Sequence[int]
) -> None:
    """Add the pieces of the objects of those numbers, which are of one source."""
    pieces = [(number, piece) for number in numbers for piece in split_records(hub.get(objects[number].key))]
    framed = pa.table(
        {
            "number": pa.array([number for number, _ in pieces], pa.int32()),
            "payload": pa.array([piece.text for _, piece in pieces], pa.string()),
            "framing": pa.array([piece.reason for _, piece in pieces], pa.string()),
        }
    )
    con.register("pieces", framed)
    reason = reason_of_piece(source_of(objects[0].key), "payload", "framing", "fields")
    fields = fields_of_piece(source_of(objects[0].key), "payload", "framing")
    con.execute(f"insert into judged select number, payload, {reason} from (select *, {fields} as fields from pieces)")
    con.unregister("pieces")


def _object_table(objects: Sequence[HubObject]) -> pa.Table:
    return pa.table(
        {
            "number": pa.array(range(len(objects)), pa.int32()),
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
    id_column, loaded_at = _ID_COLUMN[kind], next_loaded_at(con)
    paths = {str(hub.path(item.key)): item.key for item in objects}
    con.execute(f"delete from raw.{kind} where snapshot_date = ?", [day])
    con.register("object_keys", pa.table({"path": list(paths), "object_key": list(paths.values())}))
    try:
        con.execute(
            f"""
            insert into raw.{kind}
            select ?::date, coalesce(json ->> '$.{id_column}', ''), object_key, ?::timestamp, json
            from read_json_objects(?, format = 'unstructured', filename = true) as part
            join object_keys on object_keys.path = part.filename
            order by 2""",
            [day, loaded_at, [_literal(path) for path in paths]],
        )
    except duckdb.Error as error:
        where = Path(next(iter(paths))).parent
        raise InputError(
            f"The {kind} snapshot of {day} in {where} cannot be read: {str(error).splitlines()[0]} Fetch it again."
        ) from error
    finally:
        con.unregister("object_keys")
    _refuse_bad_ids(con, kind, day)
    return _rewrite_ledger(con, kind, day, objects, loaded_at)


def _refuse_bad_ids(con: duckdb.DuckDBPyConnection, kind: Attributes, day: dt.date) -> None:
    id_column = _ID_COLUMN[kind]
    sql = f"select {id_column}, count(*) from raw.{kind} where snapshot_date = ? group by 1 having count(*) > 1 or {id_column} = ''"
    bad = con.execute(sql + " order by 1 limit 1", [day]).fetchone()
    if bad:
        what = f"{id_column} {bad[0]} {bad[1]} times" if bad[0] else f"{bad[1]} records without {id_column}"
        raise InputError(
            f"The {kind} snapshot of {day} holds {what}: a snapshot has one record an entity. Fetch it again."
        )


def _rewrite_ledger(
    con: duckdb.DuckDBPyConnection, kind: Attributes, day: dt.date, objects: Sequence[HubObject], loaded_at: dt.datetime
) -> LoadReport:
    con.execute("delete from ops.load_ledger where starts_with(object_key, ?)", [f"{kind}/dt={day}/"])
    con.register("objects", _object_table(objects))
    con.execute(
        f"""
        insert into ops.load_ledger
        select o.object_key, o.etag, o.size_bytes, count(r.object_key), count(r.object_key), 0, ?::timestamp
        from objects as o left join raw.{kind} as r on r.object_key = o.object_key and r.snapshot_date = ?
        group by all order by 1""",
        [loaded_at, day],
    )
    con.unregister("objects")
    row = con.execute(f"select count(*) from raw.{kind} where snapshot_date = ?", [day]).fetchone()
    rows = int(row[0]) if row else 0
    return LoadReport(objects=len(objects), records=rows, accepted=rows)
