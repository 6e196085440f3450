"""Remove Dagster's old runs and logs.

Belongs here: which runs are removed, and how; the same for events that no run made. Dagster has no retention for either, and
`delete_run` also deletes the run's materializations: everything downstream would be rebuilt. So only the logs of an old run are
removed, and the run itself only if it holds no asset's or partition's latest materialization.
"""

import datetime as dt
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from recsys_platform.common.clock import to_naive_utc
from recsys_platform.defs.storage import PooledEventLogStorage

if TYPE_CHECKING:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

_EVENTS = SqlEventLogStorageTable.c
_MADE = _EVENTS.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION.value
_AT_ONCE = 500  # a database limits the parameters of a statement
Made = tuple[str, str | None]
"""An asset, as Dagster writes its key, and a partition of it."""


@dataclass(frozen=True)
class OldRun:
    """A finished run; `made`: the assets and partitions whose latest materialization it holds."""

    run_id: str
    made: frozenset[Made]
    bytes: int


def old_runs(instance: dg.DagsterInstance, before: dt.datetime) -> list[OldRun]:
    """The finished runs that were created before a time (UTC) and still have something to remove."""
    filters = dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
    ids = [record.dagster_run.run_id for record in instance.get_run_records(filters)]
    made = _made_last(_event_log_storage(instance)) if ids else {}
    found = [OldRun(each, frozenset(made.get(each, ())), _bytes_of(instance, each)) for each in ids]
    return [run for run in found if not run.made or _log_length(instance, run)]


def remove_old_run(instance: dg.DagsterInstance, run: OldRun) -> None:
    """Remove the logs of a run, and the run itself unless it holds a latest materialization."""
    storage = _event_log_storage(instance)
    if isinstance(instance.compute_log_manager, LocalComputeLogManager):  # a bucket has its own lifecycle rule
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    with storage.index_connection() as con:
        con.execute(_delete_checks(run.run_id))
    if run.made:
        for connection in (storage.run_connection(run.run_id), storage.index_connection()):
            with connection as con:
                _delete_log(con, run)
    else:
        instance.delete_run(run.run_id)
    _shrink_run_file(storage, run)


def old_events_without_run(instance: dg.DagsterInstance, before: dt.datetime) -> list[int]:
    """The ids of events that sensors and the freshness daemon recorded before a time (UTC), without the newest of a kind of each
    asset and partition.
    """
    storage, is_newest_of = (
        _event_log_storage(instance),
        (_EVENTS.dagster_event_type, _EVENTS.asset_key, _EVENTS.partition),
    )
    newest = sa.select(sa.func.max(_EVENTS.id)).where(_EVENTS.asset_key.is_not(None)).group_by(*is_newest_of)
    old = sa.select(_EVENTS.id).where(_EVENTS.run_id == RUNLESS_RUN_ID, _EVENTS.timestamp < to_naive_utc(before))
    with storage.index_connection() as con:
        rows: Any = con.execute(old.where(_EVENTS.id.not_in(newest))).fetchall()
    return [int(row[0]) for row in rows]


def remove_events(instance: dg.DagsterInstance, ids: Sequence[int]) -> None:
    """Remove events by their ids."""
    with _event_log_storage(instance).index_connection() as con:
        _delete_events(con, ids)


def forget_tags_of_removed_events(instance: dg.DagsterInstance) -> None:
    """Remove the tags of removed events."""
    with _event_log_storage(instance).index_connection() as con:
        con.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.not_in(sa.select(_EVENTS.id))))


def _event_log_storage(instance: dg.DagsterInstance) -> "SqlEventLogStorage":
    return cast("SqlEventLogStorage", instance.event_log_storage)  # SQLite or PostgreSQL


def _made_last(storage: "SqlEventLogStorage") -> Mapping[str, set[Made]]:
    """Run id → the assets and partitions whose latest materialization it holds."""
    newest = sa.select(sa.func.max(_EVENTS.id)).where(_MADE).group_by(_EVENTS.asset_key, _EVENTS.partition)
    with storage.index_connection() as con:
        rows: Any = con.execute(
            sa.select(_EVENTS.run_id, _EVENTS.asset_key, _EVENTS.partition).where(_EVENTS.id.in_(newest))
        ).fetchall()
    found: dict[str, set[Made]] = defaultdict(set)
    for run_id, asset, partition in rows:
        found[str(run_id)].add((str(asset), partition))
    return found


def _log_entry_ids(con: sa.Connection, run: OldRun) -> list[int]:
    """The ids of a run's events, without its latest materializations."""
    asked = sa.select(_EVENTS.id, _EVENTS.dagster_event_type, _EVENTS.asset_key, _EVENTS.partition)
    rows: Any = con.execute(asked.where(_EVENTS.run_id == run.run_id)).fetchall()
    made = dg.DagsterEventType.ASSET_MATERIALIZATION.value
    return [event for event, kind, *what in rows if kind != made or tuple(what) not in run.made]


def _delete_log(con: sa.Connection, run: OldRun) -> None:
    _delete_events(con, _log_entry_ids(con, run))


def _delete_events(con: sa.Connection, ids: Sequence[int]) -> None:
    for first in range(0, len(ids), _AT_ONCE):
        con.execute(sa.delete(SqlEventLogStorageTable).where(_EVENTS.id.in_(ids[first : first + _AT_ONCE])))


def _log_length(instance: dg.DagsterInstance, run: OldRun) -> int:
    with _event_log_storage(instance).run_connection(run.run_id) as con:
        return len(_log_entry_ids(con, run))


def _delete_checks(run_id: str) -> sa.Delete:
    """A statement that deletes the check evaluations of a run that are not the latest of their check."""
    checks = AssetCheckExecutionsTable.c
    newest = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
    return sa.delete(AssetCheckExecutionsTable).where(checks.run_id == run_id, checks.id.not_in(newest))


def _bytes_of(instance: dg.DagsterInstance, run_id: str) -> int:
    """The size of a run's own files; 0 if Dagster stores it in a database and a bucket."""
    return sum(path.stat().st_size for path in _run_files(instance, run_id) if path.is_file())


def _run_files(instance: dg.DagsterInstance, run_id: str) -> Iterable[Path]:
    storage = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        yield from _log_files(storage, run_id)
    if isinstance(instance.compute_log_manager, LocalComputeLogManager):
        yield from _output_folder(instance, run_id).rglob("*")


def _log_files(storage: SqliteEventLogStorage, run_id: str) -> Iterable[Path]:
    """A run's file, and what SQLite keeps beside it while the file is open."""
    path = Path(storage.path_for_shard(run_id))
    return (path.with_name(path.name + ending) for ending in ("", "-wal", "-shm"))


def _output_folder(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory()) / run_id


def _shrink_run_file(storage: "SqlEventLogStorage", run: OldRun) -> None:
    """Shrink or remove the run's own SQLite file, which Dagster would leave as it is."""
    if not isinstance(storage, SqliteEventLogStorage):
        return
    if isinstance(storage, PooledEventLogStorage):
        storage.close_run(run.run_id)
    path = Path(storage.path_for_shard(run.run_id))
    if not run.made:
        for each in _log_files(storage, run.run_id):
            each.unlink(missing_ok=True)
    elif path.exists():
        with closing(sqlite3.connect(path)) as con:
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")  # another process may keep the file open
