"""Load landing objects and attribute snapshots into `raw` on DuckDB, exactly once.

Objects are unpacked and cut at a guess, in threads; one whose pieces are not all JSON objects is framed anew in Python. Whichever
way a record comes, the same SQL (`judging.py`) decides whether it is accepted.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from recsys_platform.errors import InputError
from recsys_platform.events.cutting import cut_at_a_guess
from recsys_platform.events.framing import split_records
from recsys_platform.hub.keys import ID_FIELDS, Attributes, arrival_of, is_landing_key, source_of
from recsys_platform.hub.store import Hub, HubObject
from recsys_platform.warehouse.judging import (
    envelope_paths,
    fields_of_piece,
    needed_fields,
    reason_of_object,
    reason_of_piece,
)
from recsys_platform.warehouse.port import LoadReport

# A transaction large enough that DuckDB writes whole row groups past its log, small enough for bounded memory.
CHUNK_OBJECTS = 2000
CHUNK_BYTES = 20_000_000
# What DuckDB may take while it loads: enough for a chunk, and more would only be filled up.
MEMORY_LIMIT = "700MB"
THREADS = 2  # zlib and numpy release the GIL


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


@dataclass(frozen=True)
class Cut:
    """Objects of one source, and for each its pieces cut at a guess (large strings), None where it is damaged."""

    objects: Sequence[HubObject]
    pieces: Sequence[pa.Array | None]


def cut_objects(hub: Hub, parts: Iterable[Sequence[HubObject]]) -> Iterator[Cut]:
    """Unpack and cut chunks of objects, always one ahead of who takes them."""
    with ThreadPoolExecutor(THREADS) as pool:

        def begin(objects: Sequence[HubObject]) -> Iterator[pa.Array | None]:
            return pool.map(lambda item: cut_at_a_guess(hub.get(item.key)), objects)

        ahead: tuple[Sequence[HubObject], Iterator[pa.Array | None]] | None = None
        for part in parts:
            following = (part, begin(part))
            if ahead:
                yield Cut(ahead[0], list(ahead[1]))
            ahead = following
        if ahead:
            yield Cut(ahead[0], list(ahead[1]))


def load_cut(con: duckdb.DuckDBPyConnection, hub: Hub, cut: Cut) -> LoadReport:
    """Raw rows, rejected rows and ledger rows of a chunk; the caller holds the transaction."""
    source, loaded_at = source_of(cut.objects[0].key), next_loaded_at(con)
    con.register("objects", _object_table(cut))
    _register_pieces(con, cut)
    con.execute(_SUSPECTS.format(needed=needed_fields(source, "payload")))
    wrong = {number for (number,) in con.execute(_WRONG_GUESSES).fetchall()}
    wrong |= {number for number, pieces in enumerate(cut.pieces) if pieces is None}
    con.execute("create or replace temp table reframed as select unnest(?::integer[]) as number", [sorted(wrong)])
    con.execute("create or replace temp table judged (number integer, payload varchar, reason varchar)")
    _read_with_python(con, hub, cut.objects, sorted(wrong))
    con.execute(_VERDICTS.format(reason=reason_of_object(source, "payload", "fields"), paths=envelope_paths(source)))
    con.execute(_COUNT)
    for statement in (_ACCEPT_CUT, _ACCEPT, _REJECT):
        con.execute(statement, {"source": source, "loaded_at": loaded_at})
    con.execute(_NOTE, {"loaded_at": loaded_at})
    sums = con.execute("select count(*), sum(records), sum(records - rejected), sum(rejected) from counted").fetchall()
    for name in ("objects", "pieces", "json_pieces"):
        con.unregister(name)
    return LoadReport(*(int(number) for number in sums[0]))


def _register_pieces(con: duckdb.DuckDBPyConnection, cut: Cut) -> None:
    """The pieces as `pieces` (text) and `json_pieces` (the same, taken as JSON without reading it again)."""
    arrays = [pa.array([], pa.large_string()) if pieces is None else pieces for pieces in cut.pieces]
    counts = np.array([len(array) for array in arrays])
    number = np.repeat(np.arange(len(arrays), dtype=np.int32), counts)
    place = np.arange(len(number)) - np.repeat(np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
    columns = {
        "number": number,
        "object_key": pa.DictionaryArray.from_arrays(number, pa.array([item.key for item in cut.objects])),
        "record_index": place,
        "landed_at": pa.array([_landed_at(item.key) for item in cut.objects], pa.timestamp("us")).take(
            pa.array(number)
        ),
        "n": np.arange(len(number)),
    }
    as_json = [pa.ExtensionArray.from_storage(pa.json_(pa.large_string()), array) for array in arrays]
    con.register("pieces", pa.table({**columns, "payload": pa.chunked_array(arrays)}))
    con.register("json_pieces", pa.table({**columns, "payload": pa.chunked_array(as_json)}))


def next_loaded_at(con: duckdb.DuckDBPyConnection) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load: readers take `loaded_at` as their high-water mark."""
    [(last,)] = con.execute("select max(loaded_at) + interval 1 microsecond from ops.load_ledger").fetchall()
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return max(now, last) if last else now


# Few pieces lack something at the first place where it may stand: only those are looked at in full. (`fields[i]` in SQL would read the
# record again for each i.)
_SUSPECTS = """
    create or replace temp table suspects as select n, number, record_index, payload from pieces
    where {needed}"""
_WRONG_GUESSES = "select distinct number from suspects where not json_valid(payload)"
_VERDICTS = """
    create or replace temp table verdicts as
    select n, number, record_index, payload, reason from (
        select *, {reason} as reason
        from (select *, json_extract_string(payload, {paths!r}) as fields from suspects
              where number not in (select number from reframed) and json_valid(payload))
    ) where reason is not null"""
_COUNT = """
    create or replace temp table counted as
    select o.* exclude (cut_records), j.first,
        coalesce(j.records, if(o.number in (select number from reframed), 0, o.cut_records)) as records,
        coalesce(j.rejected, v.rejected, 0) as rejected
    from objects as o left join (
        select number, min(rowid) as first, count(*) as records, count(reason) as rejected from judged group by number
    ) as j using (number)
    left join (select number, count(*) as rejected from verdicts group by number) as v using (number)"""
_ACCEPT_CUT = """
    insert into raw.engagement_events
    select $source, object_key, record_index, landed_at, $loaded_at::timestamp, payload
    from json_pieces
    where n not in (select n from verdicts) and number not in (select number from reframed)"""
_ACCEPT = """
    insert into raw.engagement_events
    select $source, object_key, j.rowid - first, landed_at, $loaded_at::timestamp, payload::json
    from judged as j join counted using (number) where reason is null"""
_REJECT = """
    insert into raw.rejected_records by name
    select $source as source, object_key, record_index, landed_at, $loaded_at::timestamp as loaded_at, payload, reason
    from (
        select number, record_index, payload, reason from verdicts
        union all
        select number, j.rowid - first, payload, reason from judged as j join counted using (number) where reason is not null
    ) join counted using (number)"""
_NOTE = """
    insert into ops.load_ledger
    select object_key, etag, size_bytes, records, records - rejected, rejected, $loaded_at::timestamp
    from counted order by number"""


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
    con.register("framed", framed)
    reason = reason_of_piece(source_of(objects[0].key), "payload", "framing", "fields")
    fields = fields_of_piece(source_of(objects[0].key), "payload", "framing")
    con.execute(f"insert into judged select number, payload, {reason} from (select *, {fields} as fields from framed)")
    con.unregister("framed")


def _object_table(cut: Cut) -> pa.Table:
    return _ledger_table(cut.objects).append_column(
        "cut_records", pa.array([0 if pieces is None else len(pieces) for pieces in cut.pieces], pa.int64())
    )


def _ledger_table(objects: Sequence[HubObject]) -> pa.Table:
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
    id_column, loaded_at = ID_FIELDS[kind], next_loaded_at(con)
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
    id_column = ID_FIELDS[kind]
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
    row = con.execute(f"select count(*) from raw.{kind} where snapshot_date = ?", [day]).fetchone()
    rows = int(row[0]) if row else 0
    return LoadReport(objects=len(objects), records=rows, accepted=rows)
