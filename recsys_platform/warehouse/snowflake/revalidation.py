"""Judge rejected records again: fetched, decided in DuckDB by the rules that loading follows, and moved in one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from recsys_platform.ingestion.envelope import NOT_VALID
from recsys_platform.warehouse.duckdb import revalidation as replaying
from recsys_platform.warehouse.port import RecordId, ReplayReport
from recsys_platform.warehouse.snowflake.bulk_load import Stage
from recsys_platform.warehouse.snowflake.loading import in_turn, next_loaded_at
from recsys_platform.warehouse.snowflake.session import Session
from recsys_platform.warehouse.snowflake.staging_duckdb import rows_of, scratch

# What only Snowflake cannot read would be accepted by DuckDB each time: it is left out as long as that is so.
_OUTSTANDING = f"""
    select source, object_key, record_index, landed_at, loaded_at, payload, reason from raw.rejected_records
    where corrected_by is null and contains(lower(reason), lower(?))
        and (reason <> '{NOT_VALID}' or try_parse_json(payload, 'd') is not null)"""


def replayable(session: Session, reason: str | None) -> list[str]:
    """Keys of objects with outstanding records whose verdict is not the one that stands, sorted."""
    with _outstanding(session, reason) as con:
        return replaying.replayable(con, None)


def replay(session: Session, stage: Stage, reason: str | None) -> ReplayReport:
    """Move what is accepted now and name the new reason of what is not; what was moved in fact, by this replay."""
    with _outstanding(session, reason) as con:
        report = replaying.replay(con, None)
        tables = {
            "moved": rows_of(con, "raw.engagement_events"),
            "standing": rows_of(con, "raw.rejected_records").drop_columns(["payload"]),
        }
    if not (report.moved or report.renamed):
        return report
    with stage.carried(session, tables) as names:
        moved, renamed = in_turn(session, lambda: _move(session, names))
    return ReplayReport(moved, renamed, kept=report.moved + report.renamed + report.kept - moved - renamed)


@contextmanager
def _outstanding(session: Session, reason: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch warehouse that holds the outstanding records and nothing else."""
    rows = session.frame(_OUTSTANDING, [reason or ""])
    with scratch() as con:
        con.register("outstanding", rows)
        con.execute("insert into raw.rejected_records by name select * from outstanding")
        con.unregister("outstanding")
        yield con


_SAME = "r.object_key = m.object_key and r.record_index = m.record_index"
# Another replay may have been here since: only what is outstanding still is moved.
_STILL = f"exists (select 1 from raw.rejected_records as r where {_SAME} and r.corrected_by is null)"
_MOVED = f"from {{moved}} as m where {_STILL} and try_parse_json(m.record, 'd') is not null"
_ACCEPT = f"""
    insert into raw.engagement_events (source, object_key, record_index, landed_at, loaded_at, record)
    select m.source, m.object_key, m.record_index, m.landed_at, cast(? as timestamp_ntz), try_parse_json(m.record, 'd')
    {_MOVED}"""
_NOTE = f"""
    update ops.load_ledger as l
    set accepted = l.accepted + n.moved, rejected = l.rejected - n.moved, loaded_at = cast(? as timestamp_ntz)
    from (select m.object_key, count(*) as moved {_MOVED} group by m.object_key) as n
    where l.object_key = n.object_key"""
_FORGET = f"""
    delete from raw.rejected_records as r using {{moved}} as m
    where {_SAME} and r.corrected_by is null and try_parse_json(m.record, 'd') is not null"""
_RENAME = f"""
    update raw.rejected_records as r set reason = m.reason from {{standing}} as m
    where {_SAME} and r.corrected_by is null and r.reason <> m.reason"""


def _move(session: Session, names: Mapping[str, str]) -> tuple[int, int]:
    """How many were moved, and how many have another reason now."""
    loaded_at = next_loaded_at(session)
    [(moved, *_)] = session.execute(_ACCEPT.format(**names), [loaded_at])
    session.execute(_NOTE.format(**names), [loaded_at])
    session.execute(_FORGET.format(**names))
    [(renamed, *_)] = session.execute(_RENAME.format(**names))
    return int(moved), int(renamed)


def mark_corrected(session: Session, stage: Stage, corrected: Mapping[RecordId, str]) -> None:
    """Note the correcting object at each rejected record."""
    marks = pa.table(
        {
            "object_key": [key for key, _ in corrected],
            "record_index": [index for _, index in corrected],
            "corrected_by": list(corrected.values()),
        }
    )
    sql = "update raw.rejected_records as r set corrected_by = m.corrected_by from {marks} as m where " + _SAME
    with stage.carried(session, {"marks": marks}) as names:
        in_turn(session, lambda: session.execute(sql.format(**names)))
