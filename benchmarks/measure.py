"""Watch a command (wall time, peak memory of it and its children); budgets; tables; fetch a package."""

import json
import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

import psutil


@dataclass(frozen=True)
class Budget:
    """A limit, and whether a figure keeps it."""

    sign: str
    limit: float

    def keeps(self, value: float) -> bool:
        """Whether a value is within the budget."""
        return (operator.le if self.sign == "≤" else operator.ge)(value, self.limit)

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


def keeps_all(figures: Mapping[str, float], budgets: Mapping[str, Budget]) -> bool:
    """Whether every figure that has a budget is within it."""
    return all(budgets[name].keeps(value) for name, value in figures.items() if name in budgets)


def show(figures: Mapping[str, float], budgets: Mapping[str, Budget], *, as_json: bool = False) -> None:
    """Print figures with their budgets as a table, or as one JSON object."""
    if as_json:
        print(json.dumps(figures))
        return
    rows = []
    for name, value in figures.items():
        budget = budgets.get(name)
        missed = budget is not None and not budget.keeps(value)
        rows.append((name, f"{value:,.4g}", budget or "", "missed" if missed else ""))
    print_table(("figure", "value", "budget", ""), rows)


@dataclass(frozen=True)
class Measured:
    """`seconds` of wall time, `peak_gb` of resident memory (10⁹ bytes), and what was printed."""

    seconds: float
    peak_gb: float
    output: str


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU of this process and of its children while it works, of all threads."""
    before = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    work()
    after = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after, strict=True))


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
    """Print a Markdown table, aligned."""
    print(markdown_table(head, rows))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, aligned."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
