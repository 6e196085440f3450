"""Judge rejected records again on DuckDB, by the rules that loading follows.

Belongs here: SQL over `raw.rejected_records`. Does not: files of corrections and the mirror in the hub (rejected.py).
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import duckdb
import pyarrow as pa

from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.ingestion.validation import fields_of_piece, reason_of_piece
from recsys_platform.warehouse.duckdb.loading import next_loaded_at
from recsys_platform.warehouse.port import RecordId, ReplayReport


def judge(con: duckdb.DuckDBPyConnection, source: str, payloads: Sequence[str]) -> list[str | None]:
    """Why each text would be rejected as a record of a source, None where it would be accepted."""
    con.register("given", pa.table({"payload": pa.array(payloads, pa.string())}))
    rows = con.execute(_judged(source, "given", "null::varchar")).fetchall()
    con.unregister("given")
    return [verdict for *_, verdict in rows]


def replayable(con: duckdb.DuckDBPyConnection, reason: str | None) -> list[str]:
    """Keys of objects with outstanding records whose verdict is not the one that stands, sorted."""
    _judge_rejected(con, reason)
    sql = "select distinct object_key from verdicts where verdict is distinct from reason order by 1"
    return [key for (key,) in con.execute(sql).fetchall()]


def replay(con: duckdb.DuckDBPyConnection, reason: str | None) -> ReplayReport:
    """Move what is accepted now and name the new reason of what is not; the caller holds the transaction."""
    _judge_rejected(con, reason)
    loaded_at = next_loaded_at(con)
    con.execute(_ACCEPT, {"loaded_at": loaded_at})
    con.execute(_FORGET)
    con.execute(_RENAME)
    con.execute(_NOTE, {"loaded_at": loaded_at})
    [numbers] = con.execute(
        "select count(*) filter (verdict is null), count(*) filter (verdict <> reason), count(*) filter (verdict = reason)"
        " from verdicts"
    ).fetchall()
    return ReplayReport(*numbers)


def mark_corrected(con: duckdb.DuckDBPyConnection, corrected: Mapping[RecordId, str]) -> None:
    """Note the correcting object at each rejected record; the caller holds the transaction."""
    marks = pa.table(
        {
            "object_key": [key for key, _ in corrected],
            "record_index": [index for _, index in corrected],
            "corrected_by": list(corrected.values()),
        }
    )
    con.register("marks", marks)
    con.execute(
        "update raw.rejected_records as r set corrected_by = m.corrected_by from marks as m"
        " where r.object_key = m.object_key and r.record_index = m.record_index"
    )
    con.unregister("marks")


def _judge_rejected(con: duckdb.DuckDBPyConnection, reason: str | None) -> None:
    """Fill the temporary table `verdicts` with outstanding records and what the present rules say of them, null for accepted."""
    selects = " union all ".join(_judged(source, _OUTSTANDING, "reason") for source in ENVELOPE)
    values = chain.from_iterable((reason, source) for source in ENVELOPE)
    con.execute(f"create or replace temp table verdicts as {selects}", list(values))


def _judged(source: str, rows: str, framing: str) -> str:
    """SQL for some rows with a `payload` and what is said of each as a record of a source."""
    verdict = reason_of_piece(source, "payload", framing, "fields")
    fields = fields_of_piece(source, "payload", framing)
    return (
        f"(with looked_at as materialized (select *, {fields} as fields from {rows})"
        f" select * exclude (fields), {verdict} as verdict from looked_at)"
    )


_OUTSTANDING = """(
    select source, object_key, record_index, landed_at, payload, reason from raw.rejected_records
    where corrected_by is null and contains(lower(reason), lower(coalesce(?, ''))) and source = ?)"""
_ACCEPT = """
    insert into raw.engagement_events
    select source, object_key, record_index, landed_at, $loaded_at::timestamp, payload::json
    from verdicts where verdict is null order by object_key, record_index"""
_FORGET = """
    delete from raw.rejected_records as r using verdicts as v
    where r.object_key = v.object_key and r.record_index = v.record_index and v.verdict is null"""
_RENAME = """
    update raw.rejected_records as r set reason = v.verdict from verdicts as v
    where r.object_key = v.object_key and r.record_index = v.record_index and v.verdict <> v.reason"""
_NOTE = """
    update ops.load_ledger as l set accepted = accepted + m.n, rejected = rejected - m.n, loaded_at = $loaded_at::timestamp
    from (select object_key, count(*) as n from verdicts where verdict is null group by 1) as m
    where l.object_key = m.object_key"""
