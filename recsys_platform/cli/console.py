"""The two consoles that the commands print to, and their progress bar."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

# A pipe or a file has no width: print wide lines there instead of breaking them.
_WIDTH = None if sys.stdout.isatty() else 150
OUT, ERR = Console(highlight=False, width=_WIDTH), Console(stderr=True, highlight=False, width=_WIDTH)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show a progress bar on standard error; it disappears when the block ends."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with _separate_terminal() as console, Progress(*columns, console=console, transient=True, expand=True) as progress:
        yield progress


@contextmanager
def _separate_terminal() -> Iterator[Console]:
    """A console on a copy of standard error: while Dagster runs a step, it redirects file descriptor 2 into the step's log."""
    if not sys.stderr.isatty():
        yield ERR
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal:
        yield Console(file=terminal, highlight=False)
