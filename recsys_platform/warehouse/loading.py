"""Load landing objects and attribute snapshots into `raw` on DuckDB, exactly once.

Whole chunks go through DuckDB's JSON reader; where it refuses a chunk, the chunk is halved, and only an object that it refuses
alone is framed in Python. Whichever way a record comes, one SQL statement decides whether it is accepted.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from recsys_platform.errors import InputError
from recsys_platform.events.envelope import ENVELOPE, NOT_AN_OBJECT, NOT_VALID
from recsys_platform.events.framing import split_records
from recsys_platform.hub.keys import Attributes, arrival_of, source_of
from recsys_platform.hub.store import Hub, HubObject
from recsys_platform.warehouse.port import LoadReport

CHUNK_OBJECTS = 500
CHUNK_BYTES = 48_000_000
_ID_COLUMN: dict[Attributes, str] = {"user_attributes": "user_id", "book_attributes": "book_id"}


def chunks(objects: Sequence[HubObject]) -> Iterator[list[HubObject]]:
    """Objects of one source in turn, few enough for bounded memory."""
    chunk: list[HubObject] = []
    for item in objects:
        full = len(chunk) == CHUNK_OBJECTS or sum(o.size_bytes for o in chunk) + item.size_bytes > CHUNK_BYTES
        if chunk and (full or source_of(item.key) != source_of(chunk[0].key)):
            yield chunk
            chunk = []
        chunk.append(item)
    if chunk:
        yield chunk


def frame_objects(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject]) -> None:
    """Fill the temporary table `framed` with the pieces of objects of one source.

    Outside a transaction: an object that DuckDB cannot read would abort it.
    """
    con.execute(
        "create or replace temp table framed"
        " (object_key varchar, record_index bigint, payload varchar, reason varchar, landed_at timestamp)"
    )
    _read(con, hub, objects)


def _read(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject]) -> None:
    """Halve what DuckDB refuses until the objects that it cannot read stand alone."""
    if _read_with_duckdb(con, hub, objects):
        return
    if len(objects) == 1:
        _read_with_python(con, hub, objects[0])
        return
    middle = len(objects) // 2
    _read(con, hub, objects[:middle])
    _read(con, hub, objects[middle:])


def load_framed(con: duckdb.DuckDBPyConnection, objects: Sequence[HubObject]) -> LoadReport:
    """Raw rows, rejected rows and ledger rows of the framed objects; the caller holds the transaction."""
    loaded_at = next_loaded_at(con)
    _accept_or_reject(con, source_of(objects[0].key), loaded_at)
    return _write_ledger(con, objects, loaded_at)


def next_loaded_at(con: duckdb.DuckDBPyConnection) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load: readers take `loaded_at` as their high-water mark."""
    row = con.execute("select max(loaded_at) + interval 1 microsecond from ops.load_ledger").fetchone()
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return max(now, row[0]) if row and row[0] else now


def _read_with_duckdb(con: duckdb.DuckDBPyConnection, hub: Hub, objects: Sequence[HubObject]) -> bool:
    """Whether DuckDB could read all of them; if not, nothing was added."""
    paths = [str(hub.path(item.key)) for item in objects]
    keys = pa.table(
        {
            "path": paths,
            "object_key": [item.key for item in objects],
            "landed_at": pa.array([arrival_of(item.key) for item in objects], pa.timestamp("us")),
        }
    )
    con.register("object_keys", keys)
    try:
        con.execute(_READ, [[_literal(path) for path in paths]])
    except (duckdb.InvalidInputException, duckdb.IOException, duckdb.OutOfRangeException):
        return False
    finally:
        con.unregister("object_keys")
    return True


def _literal(path: str) -> str:
    """A path that DuckDB reads as it stands, not as a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


# The running number follows the order of the files and of the records in them; a hash join does not keep it, so it comes first.
_READ = """
    insert into framed
    with numbered as (
        select filename, row_number() over () as n, json::varchar as payload
        from read_json_objects(?, format = 'unstructured', filename = true, maximum_object_size = 33554432)
    )
    select k.object_key, n - min(n) over (partition by filename) as record_index, payload, null, k.landed_at
    from numbered join object_keys as k on k.path = numbered.filename
"""


def _read_with_python(con: duckdb.DuckDBPyConnection, hub: Hub, item: HubObject) -> None:
    pieces = split_records(hub.get(item.key))
    framed = pa.table(
        {
            "record_index": pa.array(range(len(pieces)), pa.int64()),
            "payload": pa.array([piece.text for piece in pieces], pa.string()),
            "reason": pa.array([piece.reason for piece in pieces], pa.string()),
        }
    )
    con.register("pieces", framed)
    con.execute(
        "insert into framed select ?, record_index, payload, reason, ?::timestamp from pieces",
        [item.key, arrival_of(item.key)],
    )
    con.unregister("pieces")


def _accept_or_reject(con: duckdb.DuckDBPyConnection, source: str, loaded_at: dt.datetime) -> None:
    con.execute(f"create or replace temp table decided as {_decision(source)}")
    con.execute(
        "insert into raw.engagement_events select ?, object_key, record_index, landed_at, ?::timestamp, payload::json"
        " from decided where reason is null order by object_key, record_index",
        [source, loaded_at],
    )
    con.execute(
        "insert into raw.rejected_records select ?, object_key, record_index, landed_at, ?::timestamp, payload, reason"
        " from decided where reason is not null order by object_key, record_index",
        [source, loaded_at],
    )


def _decision(source: str) -> str:
    """SQL that gives every framed piece its reason for rejection, or null."""
    requirements = ENVELOPE[source]  # type: ignore[index]
    paths = [path for requirement in requirements for path in requirement.paths]
    missing = " ".join(
        f"when coalesce({', '.join(f'nullif(f[{paths.index(path) + 1}], {chr(39) * 2})' for path in need.paths)}) is null"
        f" then '{need.reason}'"
        for need in requirements
    )
    return f"""
        with parsed as (
            select * replace (coalesce(reason, if(json_valid(payload), null, '{NOT_VALID}')) as reason) from framed
        ),
        fields as (
            select *, case when reason is null then json_extract_string(payload, {paths!r}) end as f from parsed
        )
        select * exclude (f, reason), case
            when reason is not null then reason
            when json_type(payload) <> 'OBJECT' then '{NOT_AN_OBJECT}'
            {missing}
        end as reason
        from fields"""


def _write_ledger(con: duckdb.DuckDBPyConnection, objects: Sequence[HubObject], loaded_at: dt.datetime) -> LoadReport:
    con.register("objects", _object_table(objects))
    con.execute(
        """
        insert into ops.load_ledger
        select o.object_key, o.etag, o.size_bytes, count(d.object_key) as records,
            count(d.object_key) filter (d.reason is null), count(d.reason), ?::timestamp
        from objects as o left join decided as d using (object_key)
        group by all order by o.object_key""",
        [loaded_at],
    )
    con.unregister("objects")
    sums = con.execute(
        "select count(*), sum(records)::bigint, sum(accepted)::bigint, sum(rejected)::bigint"
        " from ops.load_ledger where loaded_at = ?",
        [loaded_at],
    ).fetchone()
    return LoadReport(*sums) if sums else LoadReport()


def _object_table(objects: Sequence[HubObject]) -> pa.Table:
    return pa.table(
        {
            "object_key": [item.key for item in objects],
            "etag": [item.etag for item in objects],
            "size_bytes": [item.size_bytes for item in objects],
        }
    )


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
