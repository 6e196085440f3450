"""Loaders of a DuckDB warehouse in processes of their own."""

from multiprocessing.connection import Connection
from pathlib import Path

from recsys_platform.hub.local import FolderHub
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.forked_loader import FORKS, Loader, load_when_told, start_forked


def start_loader(home: Path, chunk: int) -> Loader:
    """A loader that has listed its objects and waits for a line to begin."""
    FORKS.set_forkserver_preload([__name__])
    return start_forked(_load, home, chunk)


def _load(home: Path, chunk: int, lines: Connection, said: Connection) -> None:
    load_when_told(FolderHub(home / "hub"), DuckDBWarehouse(home / "warehouse.duckdb"), chunk, lines, said)
