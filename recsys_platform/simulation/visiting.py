"""Continue a world for some days on which its readers use the API instead of what trackers would have sent.

Belongs here: the loop over days, and what is kept of each. Does not: what readers do (visits.py).
"""

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys_platform.simulation.reader_app import Ask, ReaderApp
from recsys_platform.simulation.responses import Habits
from recsys_platform.simulation.truth import load_spec, save_truth
from recsys_platform.simulation.visit_truth import load_due, load_visits, replay, save_due, save_visits
from recsys_platform.simulation.visits import IMPRESSIONS, Readers
from recsys_platform.simulation.world import DAY_MS, make_world, world_until


@dataclass(frozen=True)
class VisitsSummary:
    """What readers did on the days from `start` to `end`; `lists` were shown, with `books` in all."""

    start: dt.date
    end: dt.date
    readers: int
    lists: int
    books: int
    clicks: int
    seconds: float


def simulate_visits(
    ask: Ask,
    *,
    truth_dir: Path,
    days: int,
    habits: Habits | None = None,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> VisitsSummary:
    """Let the readers of a world use the API for its next days; what is true about each day is kept once it is over.

    `ask`: sends requests to the API (`reader_app.asks_over_http`).
    An interrupted simulation begins again the day that was not over; nothing of that day has landed before.
    Raises InputError if there is no simulated world or if the API refuses a request.
    """
    started = time.monotonic()
    spec, before = load_spec(truth_dir)
    readers = readers_of(truth_dir, ReaderApp(ask), days=before + days, habits=habits, threads=threads)
    shown = visit_days(readers, truth_dir, range(before, before + days), progress=progress)
    first = spec.start + dt.timedelta(days=before)
    last = first + dt.timedelta(days=days - 1)
    return _summary(shown, first, last, time.monotonic() - started)


def readers_of(
    truth_dir: Path, app: ReaderApp, *, days: int, habits: Habits | None = None, threads: int = 2
) -> Readers:
    """The readers of a world up to day `days`, with what they remember of earlier visits."""
    spec, done = load_spec(truth_dir)
    readers = Readers(make_world(spec, days=days), app, habits, threads=threads)
    for _ in replay(load_visits(truth_dir), readers.memories):
        pass
    load_due(truth_dir, spec.start + dt.timedelta(days=done - 1), readers.memories)
    return readers


def visit_days(
    readers: Readers,
    truth_dir: Path,
    days: Sequence[int],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Let readers use the API on some days, in order, and keep what is true about each; returns what was shown.

    What happened on a day lands once its truth is kept. So a day that is interrupted begins again, and lands once; without any
    days, the last one lands that was over before.
    """
    shown, spec = [IMPRESSIONS.empty_table()], readers.world.spec
    readers.app.begin_day(spec.start_ms + load_spec(truth_dir)[1] * DAY_MS)
    for done, day in enumerate(days, 1):
        shown.append(readers.visit_day(day))
        date = spec.start + dt.timedelta(days=day)
        save_visits(truth_dir, date, shown[-1])
        save_due(truth_dir, date, readers.memories)
        save_truth(truth_dir, world_until(readers.world, day + 1), days=day + 1)
        readers.app.begin_day(spec.start_ms + (day + 1) * DAY_MS)
        if progress:
            progress(done, len(days))
    return pa.concat_tables(shown)


def _summary(shown: pa.Table, start: dt.date, end: dt.date, seconds: float) -> VisitsSummary:
    return VisitsSummary(
        start=start,
        end=end,
        readers=pc.count_distinct(shown["reader"]).as_py(),
        lists=pc.count_distinct(shown["request_id"]).as_py(),
        books=len(shown),
        clicks=pc.sum(shown["is_clicked"]).as_py() or 0,
        seconds=seconds,
    )
