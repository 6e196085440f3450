"""Write `raw` and the load ledger on Snowflake: staged as Parquet, then moved in one transaction while no other writer moves rows."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from recsys_platform.hub.layout import ID_FIELDS, Attributes, attributes_prefix
from recsys_platform.warehouse.port import UNREADABLE, LoadReport, UpdateReport, ValidatedBatch
from recsys_platform.warehouse.snowflake.bulk_load import Stage
from recsys_platform.warehouse.snowflake.session import Session
from recsys_platform.warehouse.snowflake.write_lock import with_write_lock
from recsys_platform.warehouse.sql import later_than


@dataclass(frozen=True)
class SnowflakeRawWriter:
    """A session, and the external stage by which tables come into it."""

    session: Session
    stage: Stage

    def known_keys(self, keys: Collection[str]) -> set[str]:
        """Those of some object keys that the ledger has. It is asked for the range of the keys: they may be many."""
        if not keys:
            return set()
        found = self.session.execute(_LEDGER_KEYS, [min(keys), max(keys)])
        return {str(key) for (key,) in found}.intersection(keys)

    def append(self, batch: ValidatedBatch) -> LoadReport:
        """Add the rows of those objects that the ledger does not have, and their lines of the ledger."""
        tables = {"accepted": batch.accepted, "rejected": batch.rejected, "objects": batch.objects}
        with self.stage.staged(self.session, tables) as names:
            return with_write_lock(self.session, lambda: self._append_staged(names, batch.source))

    def _append_staged(self, names: Mapping[str, str], source: str) -> LoadReport:
        loaded_at = _next_loaded_at(self.session)
        self.session.execute(_APPEND_ACCEPTED.format(**names), [source, loaded_at])
        self.session.execute(_APPEND_REJECTED.format(**names), [source, loaded_at, source, loaded_at])
        self.session.execute(_APPEND_LEDGER.format(**names), [loaded_at])
        [numbers] = self.session.execute(_REPORT, [loaded_at])
        return LoadReport(*(int(number) for number in numbers))

    def replace_snapshot(self, kind: Attributes, day: dt.date, rows: pa.Table, objects: pa.Table) -> None:
        """Put the attributes of a day in place of those that are there."""
        with self.stage.staged(self.session, {"rows": rows, "objects": objects}) as names:
            with_write_lock(self.session, lambda: self._replace_staged_snapshot(names, kind, day))

    def _replace_staged_snapshot(self, names: Mapping[str, str], kind: Attributes, day: dt.date) -> None:
        loaded_at = _next_loaded_at(self.session)
        self.session.execute(f"delete from raw.{kind} where snapshot_date = cast(? as date)", [day.isoformat()])
        insert = _INSERT_SNAPSHOT.format(kind=kind, id_column=ID_FIELDS[kind], **names)
        self.session.execute(insert, [day.isoformat(), loaded_at])
        self.session.execute(
            "delete from ops.load_ledger where startswith(object_key, ?)", [attributes_prefix(kind, day)]
        )
        self.session.execute(_REPLACE_LEDGER.format(**names), [loaded_at])

    def update_rejected(self, rows: pa.Table) -> UpdateReport:
        """Bring outstanding rejected records into the state that `rows` says."""
        with self.stage.staged(self.session, {"updates": rows}) as names:
            return with_write_lock(self.session, lambda: self._update_staged_rejected(names))

    def _update_staged_rejected(self, names: Mapping[str, str]) -> UpdateReport:
        loaded_at = _next_loaded_at(self.session)
        [(renamed,)] = self.session.execute(_COUNT_RENAMED.format(**names))
        [(moved, *_)] = self.session.execute(_MOVE_ACCEPTED.format(**names), [loaded_at])
        self.session.execute(_UPDATE_LEDGER.format(**names), [loaded_at])
        self.session.execute(_DELETE_MOVED.format(**names))
        self.session.execute(_UPDATE_REJECTED.format(**names))
        return UpdateReport(int(moved), int(renamed))


def rejected_records(session: Session, reason: str | None) -> Iterator[pa.Table]:
    """Outstanding rejected records whose reason contains a text, all at once."""
    yield session.frame(_OUTSTANDING, [reason or ""])


def _next_loaded_at(session: Session) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load."""
    [(last,)] = session.execute("select max(loaded_at) from ops.load_ledger")
    return later_than(last)


_LEDGER_KEYS = "select object_key from ops.load_ledger where object_key between ? and ?"
# Of a key that occurs twice the last value (DuckDB takes the first); without the parameter such a record would not be JSON at all.
_RECORD = "try_parse_json(record, 'd')"
_NEW = "object_key not in (select object_key from ops.load_ledger)"
# DuckDB takes some more for JSON than Snowflake does: what only the one can read is rejected here.
_APPEND_ACCEPTED = f"""
    insert into raw.engagement_events (source, object_key, record_index, landed_at, loaded_at, record)
    select ?, object_key, record_index, landed_at, cast(? as timestamp_ntz), {_RECORD}
    from {{accepted}} where {_RECORD} is not null and {_NEW}"""
_APPEND_REJECTED = f"""
    insert into raw.rejected_records (source, object_key, record_index, landed_at, loaded_at, payload, reason)
    select ?, object_key, record_index, landed_at, cast(? as timestamp_ntz), payload, reason from {{rejected}} where {_NEW}
    union all
    select ?, object_key, record_index, landed_at, cast(? as timestamp_ntz), record, '{UNREADABLE}'
    from {{accepted}} where {_RECORD} is null and {_NEW}"""
_APPEND_LEDGER = f"""
    insert into ops.load_ledger (object_key, etag, size_bytes, records, accepted, rejected, loaded_at)
    with unreadable as (
        select object_key, count(*) as n from {{accepted}} where {_RECORD} is null group by object_key
    )
    select o.object_key, o.etag, o.size_bytes, o.records, o.accepted - coalesce(u.n, 0), o.rejected + coalesce(u.n, 0),
        cast(? as timestamp_ntz)
    from {{objects}} as o left join unreadable as u on u.object_key = o.object_key
    where o.{_NEW}"""
_REPORT = """
    select count(*), coalesce(sum(records), 0), coalesce(sum(accepted), 0), coalesce(sum(rejected), 0)
    from ops.load_ledger where loaded_at = cast(? as timestamp_ntz)"""
_INSERT_SNAPSHOT = f"""
    insert into raw.{{kind}} (snapshot_date, {{id_column}}, object_key, loaded_at, record)
    select cast(? as date), {{id_column}}, object_key, cast(? as timestamp_ntz), {_RECORD} from {{rows}}"""
_REPLACE_LEDGER = """
    insert into ops.load_ledger (object_key, etag, size_bytes, records, accepted, rejected, loaded_at)
    select object_key, etag, size_bytes, records, accepted, rejected, cast(? as timestamp_ntz) from {objects}"""
# What only Snowflake cannot read would be accepted by DuckDB each time: it is left out as long as that is so.
_OUTSTANDING = f"""
    select source, object_key, record_index, payload, reason from raw.rejected_records
    where corrected_by is null and contains(lower(reason), lower(?))
        and (reason <> '{UNREADABLE}' or try_parse_json(payload, 'd') is not null)"""
_SAME = "r.object_key = u.object_key and r.record_index = u.record_index and r.corrected_by is null"
_PAYLOAD = "try_parse_json(r.payload, 'd')"
_MOVED = (
    f"raw.rejected_records as r inner join {{updates}} as u on {_SAME} and u.reason is null and {_PAYLOAD} is not null"
)
_COUNT_RENAMED = (
    f"select count(*) from raw.rejected_records as r inner join {{updates}} as u on {_SAME} and u.reason <> r.reason"
)
_MOVE_ACCEPTED = f"""
    insert into raw.engagement_events (source, object_key, record_index, landed_at, loaded_at, record)
    select r.source, r.object_key, r.record_index, r.landed_at, cast(? as timestamp_ntz), {_PAYLOAD} from {_MOVED}"""
_UPDATE_LEDGER = f"""
    update ops.load_ledger as l
    set accepted = l.accepted + n.moved, rejected = l.rejected - n.moved, loaded_at = cast(? as timestamp_ntz)
    from (select r.object_key, count(*) as moved from {_MOVED} group by r.object_key) as n
    where l.object_key = n.object_key"""
_DELETE_MOVED = f"""
    delete from raw.rejected_records as r using {{updates}} as u
    where {_SAME} and u.reason is null and {_PAYLOAD} is not null"""
_UPDATE_REJECTED = f"""
    update raw.rejected_records as r set reason = u.reason, corrected_by = u.corrected_by from {{updates}} as u
    where {_SAME} and u.reason is not null"""
