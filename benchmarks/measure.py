"""Run a command and watch it: wall time and the peak memory of it and all its children together; fetch a package; print a table."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Measured:
    """`seconds` of wall time, `peak_gb` of resident memory (10⁹ bytes), and what was printed."""

    seconds: float
    peak_gb: float
    output: str


def watch(command: Sequence[str | Path], environment: Mapping[str, str], *, folder: Path | None = None) -> Measured:
    """Run a command in a folder to its end; raises CalledProcessError with what it printed if it fails."""
    started, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as printed:
        process = psutil.Popen(
            [str(part) for part in command],
            env={**os.environ, **environment},
            cwd=folder,
            stdout=printed,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            peak = max(peak, _resident(process))
            time.sleep(0.1)
        printed.seek(0)
        output = printed.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output)
    return Measured(time.perf_counter() - started, peak / 1e9, output)


def _resident(process: psutil.Process) -> int:
    total = 0
    try:
        for member in (process, *process.children(recursive=True)):
            total += member.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


def download(requirement: str, folder: Path) -> Path:
    """The wheel of a package, fetched by pip into a folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A Markdown table, aligned."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    print("\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]))
