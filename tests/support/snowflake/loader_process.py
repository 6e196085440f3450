"""Loaders in processes of their own, each with an environment that it is given.

A loader says `ready`, waits for a line, then tells each chunk and the sum. Python is started and its modules are imported once
for all of them: each is forked from there.
"""

import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import TextIO

import snowflake.connector  # noqa: F401  # imported for those that are forked, as is the engine

from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.ingestion.loading import load_events
from recsys_platform.warehouse.snowflake import engine  # noqa: F401

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "pytest"])  # a process imports what its parent was started with


@dataclass
class Loader:
    """What of `subprocess.Popen` the tests of loaders need."""

    process: ForkServerProcess
    stdin: TextIO
    stdout: TextIO

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal."""
        return self.process.exitcode

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()

    def communicate(self) -> tuple[str, None]:
        """Wait for the end; all that was said until then."""
        with self.stdin, self.stdout:
            said = self.stdout.read()
        self.process.join()
        return said, None


def start_loader(variables: Mapping[str, str], chunk: int) -> Loader:
    """A loader that waits for a line to begin."""
    theirs_in, ours_out = FORKS.Pipe(duplex=False)
    ours_in, theirs_out = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_load, args=({**os.environ, **variables}, chunk, theirs_in, theirs_out))
    process.start()
    theirs_in.close()
    theirs_out.close()
    loader = Loader(process, _opened(ours_out, "w"), _opened(ours_in, "r"))
    assert loader.stdout.readline() == "ready\n"
    return loader


def _opened(end: Connection, mode: str) -> TextIO:
    """The end of a pipe as a text file."""
    with end:
        return open(os.dup(end.fileno()), mode)


def _load(variables: dict[str, str], chunk: int, stdin: Connection, stdout: Connection) -> None:
    os.environ.update(variables)
    with _opened(stdin, "r") as asked, _opened(stdout, "w") as out:
        settings = load_settings()
        hub, warehouse = hub_of(settings), warehouse_of(settings)
        print("ready", file=out, flush=True)
        asked.readline()
        report = load_events(
            hub,
            warehouse,
            hub.objects("engagement_events/"),
            chunk_objects=chunk,
            progress=lambda done, total: print("chunk", done, file=out, flush=True),
        )
        print("objects", report.objects, file=out, flush=True)
