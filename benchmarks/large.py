"""A large world end to end: 300,000 readers, 45,000 books without a language, 3 M page views, to published lists.

    python benchmarks/large.py [--readers N --books M --events E --days D] [--finished SHARE] [--home FOLDER] [--json]

Readers have one of 200 tastes: seven views in ten are of books of that taste, the others of any book. Books and readers are as unequal
as they are on real sites (Zipf, log-normal). `--finished` turns a share of the views into finished books. For each asset: seconds and
the peak memory of all processes while it ran. Run it with nothing beside it.
"""

import argparse
import datetime as dt
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from measure import Budget, Measured, keeps_all, print_table, show, watch

from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

RECSYS = Path(sys.executable).with_name("recsys")
BUDGET = {"minutes": Budget("≤", 30), "peak_gb": Budget("≤", 6), "disk_gb": Budget("≤", 5)}
TASTES, OWN_TASTE = 200, 0.7
_LISTS = """
    select
        cast(count(*) as bigint) as rows_published,
        cast(count(distinct user_id) as bigint) as readers_with_a_list
    from published.user_recommendations
"""


@dataclass
class Usage:
    """Resident memory of this process's children and size of a folder, sampled: (seconds since 1970, bytes)."""

    memory: list[tuple[float, int]] = field(default_factory=list)
    disk: list[tuple[float, int]] = field(default_factory=list)

    def peak_gb_between(self, start: float, stop: float) -> float:
        """The highest sample in a span of time, in 10⁹ bytes; 0 where none was taken."""
        return max((size for at, size in self.memory if start <= at <= stop), default=0) / 1e9


def write_world(
    folder: Path, *, readers: int, books: int, events: int, days: int, finished: float
) -> tuple[Path, Path]:
    """Interactions and books as Parquet files that `recsys import` reads."""
    rng = np.random.default_rng(1)
    taste_of_book = rng.integers(TASTES, size=books)
    reader = rng.choice(readers, size=events, p=_shares(rng.lognormal(0, 1.2, readers)))
    book = _chosen_books(rng, rng.integers(TASTES, size=readers)[reader], taste_of_book)
    last = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    seconds = int(last.timestamp()) - rng.integers(1, days * 86_400, size=events)
    names = np.where(rng.random(events) < finished, "Book Finished", "Book Viewed")
    interactions = {
        "user_id": _ids("u", reader),
        "book_id": _ids("b", book),
        "timestamp": pa.array(seconds).cast(pa.string()),
        "event": pa.array(names),
    }
    catalog = {
        "book_id": _ids("b", np.arange(books)),
        "title": _ids("Book ", np.arange(books)),
        "categories": _ids("taste ", taste_of_book),
    }
    for name, columns in (("interactions", interactions), ("books", catalog)):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder / "interactions.parquet", folder / "books.parquet"


def _chosen_books(rng: np.random.Generator, taste: Any, taste_of_book: Any) -> Any:
    """One book for each event: of the reader's taste, or any; popular ones are chosen more."""
    books = len(taste_of_book)
    popular = _shares(1 / (1 + rng.permutation(books)) ** 0.8)
    book = rng.choice(books, size=len(taste), p=popular)
    own = np.flatnonzero(rng.random(len(taste)) < OWN_TASTE)
    for number in range(TASTES):
        among, wanted = np.flatnonzero(taste_of_book == number), own[taste[own] == number]
        if len(among):
            book[wanted] = rng.choice(among, size=len(wanted), p=_shares(popular[among]))
    return book


def _shares(weights: Any) -> Any:
    return weights / weights.sum()


def _ids(prefix: str, numbers: Any) -> pa.Array:
    return pa.array(np.char.add(prefix, numbers.astype(str)))


@contextmanager
def sampled(folder: Path) -> Iterator[Usage]:
    """Sample memory ten times a second and the folder's size every two seconds, until the block ends."""
    usage, ended = Usage(), threading.Event()
    threads = [
        threading.Thread(target=_sample, args=(ended, 0.1, usage.memory, _resident_of_children)),
        threading.Thread(target=_sample, args=(ended, 2, usage.disk, lambda: _size_of(folder))),
    ]
    for thread in threads:
        thread.start()
    try:
        yield usage
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _sample(ended: threading.Event, pause: float, samples: list[tuple[float, int]], measure: Any) -> None:
    while not ended.wait(pause):
        samples.append((time.time(), measure()))


def _resident_of_children() -> int:
    total = 0
    for process in psutil.Process().children(recursive=True):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def steps_of(home: Path, usage: Usage) -> list[tuple[str, float, float]]:
    """(step, seconds, peak GB) of every step of every run of a world, in the order in which they began."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        entries = [entry for run in reversed(instance.get_runs()) for entry in instance.all_logs(run.run_id)]
    begun: dict[tuple[str, str], float] = {}
    found = []
    for entry in entries:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.event_type == dg.DagsterEventType.STEP_START:
            begun[entry.run_id, event.step_key] = entry.timestamp
        elif event.event_type in (dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE):
            start = begun[entry.run_id, event.step_key]
            seconds = entry.timestamp - start
            found.append((event.step_key, seconds, usage.peak_gb_between(start, entry.timestamp)))
    return found


def main() -> None:
    """Measure, print two tables, and exit with 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("readers", 300_000), ("books", 45_000), ("events", 3_000_000), ("days", 44)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--finished", type=float, default=0.0)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch) / "home"
        figures, steps = measure(given, Path(scratch), home)
    show(figures, BUDGET, as_json=given.json)
    if not given.json:
        print_table(["asset or check", "seconds", "peak GB"], [(n, f"{s:.1f}", f"{gb:.2f}") for n, s, gb in steps])
    sys.exit(not keeps_all(figures, BUDGET))


def measure(
    given: argparse.Namespace, scratch: Path, home: Path
) -> tuple[dict[str, float], list[tuple[str, float, float]]]:
    """Every figure of the run, and what each of its steps took."""
    sizes = {name: getattr(given, name) for name in ("readers", "books", "events", "days", "finished")}
    interactions, books = write_world(scratch, **sizes)
    world = {"RECSYS_HOME": str(home)}
    replayed = watch([RECSYS, "import", "--interactions", interactions, "--books", books], world)
    with sampled(home) as usage:
        ran = watch([RECSYS, "run"], world)
    print(ran.output, file=sys.stderr)
    lists = DuckDBWarehouse(home / "warehouse.duckdb").frame(_LISTS).to_pylist()[0]
    return _figures(replayed, ran, usage) | lists, steps_of(home, usage)


def _figures(replayed: Measured, ran: Measured, usage: Usage) -> dict[str, float]:
    return {
        "replay_seconds": replayed.seconds,
        "run_seconds": ran.seconds,
        "minutes": ran.seconds / 60,
        "peak_gb": ran.peak_gb,
        "disk_gb": max(size for _, size in usage.disk) / 1e9,
    }


if __name__ == "__main__":
    main()
