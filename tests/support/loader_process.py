"""Loaders in processes of their own.

Each says `ready`, waits for a line, then tells each chunk and the sum. They are forked from one process that has imported what a
loader needs: for a loader that lives for a moment the imports would be most of its work.
"""

import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

from recsys_platform.hub.local import FolderHub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Loader:
    """A loader and its streams, with the methods of `Popen` that tests use."""

    process: BaseProcess
    stdin: IO[str]
    stdout: IO[str]

    @property
    def returncode(self) -> int | None:
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()

    def communicate(self) -> tuple[str, None]:
        """What it still says until its end."""
        with self.stdin, self.stdout:
            said = self.stdout.read()
        self.process.join()
        return said, None


def start_loader(home: Path, chunk: int) -> Loader:
    """A loader that has listed its objects and waits for a line to begin."""
    FORKS.set_forkserver_preload([__name__])
    lines, to_loader = FORKS.Pipe(duplex=False)
    from_loader, said = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_load, args=(home, chunk, lines, said))
    process.start()
    lines.close()
    said.close()
    loader = Loader(process, _text(to_loader, "w"), _text(from_loader, "r"))
    assert loader.stdout.readline() == "ready\n"
    return loader


def _text(connection: Connection, mode: str) -> IO[str]:
    """The connection as a text stream, which replaces it."""
    stream = os.fdopen(os.dup(connection.fileno()), mode)
    connection.close()
    return stream


def _load(home: Path, chunk: int, lines: Connection, said: Connection) -> None:
    hub, warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "warehouse.duckdb")
    found = hub.objects("engagement_events/")
    with _text(lines, "r") as begin, _text(said, "w") as out:
        print("ready", file=out, flush=True)
        begin.readline()
        report = load_events(
            hub,
            warehouse,
            found,
            chunk_objects=chunk,
            progress=lambda done, total: print("chunk", done, file=out, flush=True),
        )
        print("objects", report.objects, file=out, flush=True)
