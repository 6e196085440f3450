"""Dagster's SQLite storages with open connections: the storages of a local world.

Belongs here: how Dagster's database files are opened. Does not: what is in them. The files are Dagster's own; its stock classes read
and write them too.

The stock classes create an engine and a connection for each access, more than a thousand times in a run, and that costs more than
the access. These keep one engine a file. `dagster.yaml` switches them on; they take no settings, their folder is the instance's.
"""

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

_MOST_OPEN = 16
"""Engines kept at a time: the event log has a file for each run, and a web server lives long."""


class EngineCache:
    """One SQLAlchemy engine a SQLite file, shared by the threads of a process.

    A file that was removed or replaced is opened anew. A forked process opens its own: SQLite forbids to use a connection of the
    parent process, or to close it.
    """

    _inherited: ClassVar[list[Any]] = []

    def __init__(self) -> None:
        self._start_empty()

    def _start_empty(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, tuple[sa.Engine, int | None]] = OrderedDict()

    def engine(self, path: Path) -> sa.Engine:
        """The engine of a file, which need not exist yet."""
        if self._process != os.getpid():
            self._inherited.append(self._open)  # never closed, not even by the garbage collector
            self._start_empty()
        with self._lock:
            engine, inode = self._open.pop(path, (None, None))
            present = _inode_of(path)
            if engine is not None and inode not in (None, present):
                engine.dispose()
                engine = None
            self._open[path] = (engine or _make_engine(path), present)
            self._close_least_used()
            return self._open[path][0]

    def _close_least_used(self) -> None:
        while len(self._open) > _MOST_OPEN:
            self._open.popitem(last=False)[1][0].dispose()

    def close(self, path: Path | None = None) -> None:
        """Close the idle connections to a file, or to all of them; the next access opens them again."""
        with self._lock:
            for each in [path] if path else list(self._open):
                engine, _ = self._open.pop(each, (None, None))
                if engine is not None:
                    engine.dispose()


def _make_engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})
    sa.event.listen(engine, "connect", _set_synchronous)
    return engine


def _set_synchronous(connection: sqlite3.Connection, _record: object) -> None:
    """In WAL mode, which Dagster sets, NORMAL keeps the file whole in any crash; a power cut may lose the last commits."""
    connection.execute("pragma synchronous = normal")


def _inode_of(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _is_complete(path: Path, table: str) -> bool:
    """Whether a file was set up by Dagster: asking Alembic loads all of its migrations each time."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=SQLITE_BUSY_TIMEOUT_SECONDS)) as con:
        found = con.execute("select count(*) from sqlite_master where name in ('alembic_version', ?)", (table,))
        return bool(found.fetchone()[0] == 2 and con.execute("select count(*) from alembic_version").fetchone()[0])


class _InInstanceFolder:
    """Opened when the instance is known: `dagster.yaml` is the same in every world and names no folder."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No settings."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: object) -> Any:
        """A storage that is opened by `register_instance`."""
        return cls(inst_data)


class PooledEventLogStorage(_InInstanceFolder, SqliteEventLogStorage):
    """Dagster's event log: a file for each run, and an index of what concerns assets."""

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Open the files of an instance."""
        self._engines, self._known_tables = EngineCache(), set[str]()
        SqliteEventLogStorage.__init__(self, str(Path(instance.root_directory, "history", "runs")), self._inst_data)
        super().register_instance(instance)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        path = Path(self.path_for_shard(shard))
        with self._db_lock:
            if shard not in self._initialized_dbs or not path.exists():
                if not _is_complete(path, "event_logs"):
                    self._initdb(self._engines.engine(path))
                self._initialized_dbs.add(shard)
            with self._engines.engine(path).begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; asked for each event of an asset, so one that is there is remembered."""
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def close_run(self, run_id: str) -> None:
        """Close the file of a run, so that it can be removed or made smaller."""
        self._engines.close(Path(self.path_for_shard(run_id)))

    def dispose(self) -> None:
        """Close all files."""
        super().dispose()
        self._engines.close()


class _OneFile(_InInstanceFolder):
    """All of it in one file; a subclass sets the path and the engines when it is opened."""

    _engines: EngineCache
    _path: Path

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection in a transaction."""
        with self._engines.engine(self._path).begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the file."""
        self._engines.close()


class PooledRunStorage(_OneFile, SqliteRunStorage):
    """Dagster's runs."""

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Open the file of an instance."""
        self._engines, folder = EngineCache(), Path(instance.root_directory, "history")
        self._path = folder / "runs.db"
        if not _is_complete(self._path, "instance_info"):
            SqliteRunStorage.from_local(str(folder))
        SqliteRunStorage.__init__(self, f"sqlite:///{self._path}", self._inst_data)
        super().register_instance(instance)


class PooledScheduleStorage(_OneFile, SqliteScheduleStorage):
    """Dagster's schedules, sensors and their ticks."""

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Open the file of an instance."""
        self._engines, folder = EngineCache(), Path(instance.root_directory, "schedules")
        self._path = folder / "schedules.db"
        if not _is_complete(self._path, "job_ticks"):
            SqliteScheduleStorage.from_local(str(folder))
        SqliteScheduleStorage.__init__(self, f"sqlite:///{self._path}", self._inst_data)
        super().register_instance(instance)
