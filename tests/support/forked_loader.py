"""Loaders in processes of their own, forked from one process that has imported what a loader needs.

Each says `ready`, waits for a line, then tells each chunk and the sum. For a loader that lives for a moment the imports would be most
of its work.
"""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import IO, Any

from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.port import Warehouse

FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Loader:
    """A loader and its streams, with the methods of `Popen` that tests use."""

    process: BaseProcess
    stdin: IO[str]
    stdout: IO[str]

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal."""
        return self.process.exitcode

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def communicate(self) -> tuple[str, None]:
        """Wait for the end; all that was still said until then."""
        with self.stdin, self.stdout:
            said = self.stdout.read()
        self.process.join()
        return said, None


def start_forked(load: Callable[..., None], *arguments: Any) -> Loader:
    """A loader that waits for a line to begin. `load` gets the arguments, and the ends of two pipes for `load_when_told`."""
    lines, to_loader = FORKS.Pipe(duplex=False)
    from_loader, said = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=load, args=(*arguments, lines, said))
    process.start()
    lines.close()
    said.close()
    loader = Loader(process, _as_text(to_loader, "w"), _as_text(from_loader, "r"))
    assert loader.stdout.readline() == "ready\n"
    return loader


def load_when_told(hub: Hub, warehouse: Warehouse, chunk: int, lines: Connection, said: Connection) -> None:
    """List the objects, say so, wait for a line, load, and tell each chunk and the sum."""
    found = hub.objects("engagement_events/")
    with _as_text(lines, "r") as begin, _as_text(said, "w") as out:
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


def _as_text(connection: Connection, mode: str) -> IO[str]:
    """The connection as a text stream, which replaces it."""
    stream = os.fdopen(os.dup(connection.fileno()), mode)
    connection.close()
    return stream
