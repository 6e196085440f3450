"""Move what was carried into `raw` and the ledger, each chunk in one transaction, exactly once.

Writers take turns by the one row of `ops.turns`: Snowflake lets inserts of two sessions pass each other, and two loaders that see the
same new object would both load it. Who has the turn sees all that was committed before it.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TypeVar

import stamina

from recsys_platform.common.errors import WarehouseError
from recsys_platform.hub.layout import ID_FIELDS, Attributes
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.decoding import Records
from recsys_platform.ingestion.envelope import NOT_VALID
from recsys_platform.warehouse.duckdb import loading
from recsys_platform.warehouse.port import LoadReport
from recsys_platform.warehouse.snowflake.bulk_load import Stage
from recsys_platform.warehouse.snowflake.session import Session, SnowflakeError
from recsys_platform.warehouse.snowflake.staging_duckdb import rows_of, scratch

T = TypeVar("T")
TURN_WAIT = 600.0  # seconds


def in_turn(session: Session, work: Callable[[], T]) -> T:
    """Do some work in one transaction while no other writer does; again from the start if the turn did not come."""
    retries = stamina.retry_context(on=_is_busy, attempts=None, timeout=TURN_WAIT, wait_initial=0.2, wait_max=5)
    for attempt in retries:
        with attempt, session.transaction():
            _take_turn(session)
            return work()
    raise AssertionError("stamina ends with a value or an error")


def _take_turn(session: Session) -> None:
    """Wait for whoever has the turn. An update of nothing would wait for nobody."""
    [(taken, *_)] = session.execute("update ops.turns set taken_at = current_timestamp()")
    if taken != 1:
        raise WarehouseError(f"ops.turns has {taken} rows and not one, by which writers wait for each other: mend it.")


def _is_busy(error: Exception) -> bool:
    return isinstance(error, SnowflakeError) and error.is_busy


def next_loaded_at(session: Session) -> dt.datetime:
    """Now (UTC, naive), but later than every earlier load."""
    [(last,)] = session.execute("select max(loaded_at) from ops.load_ledger")
    return loading.later_than(last)


def unknown(session: Session, objects: Sequence[HubObject]) -> list[HubObject]:
    """Those objects that the ledger does not know, in order. It is asked for the range of their keys: they may be many."""
    if not objects:
        return []
    keys = [item.key for item in objects]
    found = session.execute(
        "select object_key from ops.load_ledger where object_key between ? and ?", [min(keys), max(keys)]
    )
    known = {str(key) for (key,) in found}
    return sorted(item for item in set(objects) if item.key not in known)


def load_records(session: Session, stage: Stage, records: Records) -> LoadReport:
    """Raw rows, rejected rows and ledger rows of those objects that the ledger does not know yet."""
    with scratch() as con:
        loading.load_records(con, records)
        tables = {name: rows_of(con, table) for name, table in _EVENTS.items()}
    with stage.carried(session, tables) as names:
        return in_turn(session, lambda: _take_in(session, names))


# Of a key that occurs twice the last value (DuckDB takes the first); without the parameter such a record would not be JSON at all.
READ = "try_parse_json(record, 'd')"
_EVENTS = {"accepted": "raw.engagement_events", "rejected": "raw.rejected_records", "objects": "ops.load_ledger"}
_NEW = "object_key not in (select object_key from ops.load_ledger)"
# DuckDB takes some more for JSON than Snowflake does: what only the one can read is rejected here.
_ACCEPT = f"""
    insert into raw.engagement_events (source, object_key, record_index, landed_at, loaded_at, record)
    select source, object_key, record_index, landed_at, cast(? as timestamp_ntz), {READ}
    from {{accepted}} where {READ} is not null and {_NEW}"""
_REJECT = f"""
    insert into raw.rejected_records (source, object_key, record_index, landed_at, loaded_at, payload, reason)
    select source, object_key, record_index, landed_at, cast(? as timestamp_ntz), payload, reason from {{rejected}} where {_NEW}
    union all
    select source, object_key, record_index, landed_at, cast(? as timestamp_ntz), record, '{NOT_VALID}'
    from {{accepted}} where {READ} is null and {_NEW}"""
_NOTE = f"""
    insert into ops.load_ledger (object_key, etag, size_bytes, records, accepted, rejected, loaded_at)
    with unreadable as (
        select object_key, count(*) as n from {{accepted}} where {READ} is null group by object_key
    )
    select o.object_key, o.etag, o.size_bytes, o.records, o.accepted - coalesce(u.n, 0), o.rejected + coalesce(u.n, 0),
        cast(? as timestamp_ntz)
    from {{objects}} as o left join unreadable as u on u.object_key = o.object_key
    where o.{_NEW}"""
_REPORT = """
    select count(*), coalesce(sum(records), 0), coalesce(sum(accepted), 0), coalesce(sum(rejected), 0)
    from ops.load_ledger where loaded_at = cast(? as timestamp_ntz)"""


def _take_in(session: Session, names: dict[str, str]) -> LoadReport:
    loaded_at = next_loaded_at(session)
    session.execute(_ACCEPT.format(**names), [loaded_at])
    session.execute(_REJECT.format(**names), [loaded_at, loaded_at])
    session.execute(_NOTE.format(**names), [loaded_at])
    [numbers] = session.execute(_REPORT, [loaded_at])
    return LoadReport(*(int(number) for number in numbers))


def load_snapshot(
    session: Session, stage: Stage, hub: Hub, kind: Attributes, day: dt.date, objects: Sequence[HubObject]
) -> LoadReport:
    """Replace the rows of one snapshot day; `InputError` if a part cannot be read whole or an id is missing or double."""
    with scratch() as con:
        report = loading.load_snapshot(con, hub, kind, day, objects)
        tables = {"rows": rows_of(con, f"raw.{kind}"), "objects": rows_of(con, "ops.load_ledger")}
    with stage.carried(session, tables) as names:
        in_turn(session, lambda: _replace_day(session, names, kind, day))
    return report


def _replace_day(session: Session, names: dict[str, str], kind: Attributes, day: dt.date) -> None:
    loaded_at = next_loaded_at(session)
    session.execute(f"delete from raw.{kind} where snapshot_date = cast(? as date)", [day.isoformat()])
    session.execute(
        f"insert into raw.{kind} (snapshot_date, {ID_FIELDS[kind]}, object_key, loaded_at, record)"
        f" select snapshot_date, {ID_FIELDS[kind]}, object_key, cast(? as timestamp_ntz), {READ} from {names['rows']}",
        [loaded_at],
    )
    session.execute("delete from ops.load_ledger where startswith(object_key, ?)", [f"{kind}/dt={day}/"])
    session.execute(
        "insert into ops.load_ledger (object_key, etag, size_bytes, records, accepted, rejected, loaded_at)"
        f" select object_key, etag, size_bytes, records, accepted, rejected, cast(? as timestamp_ntz) from {names['objects']}",
        [loaded_at],
    )
