"""Simulate a world for some days and land the events of its trackers.

Belongs here: the loop over days. Does not: its parts (world, behaviour, trackers, delivery, truth).
"""

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from recsys_platform.common.errors import InputError
from recsys_platform.hub.object_store import Hub
from recsys_platform.simulation.behaviour import SEASON, events_of_day, new_season
from recsys_platform.simulation.delivery import RECORD, Delivered, deliver, sent_records
from recsys_platform.simulation.staged_write import finish_staged, staged
from recsys_platform.simulation.truth import load_spec, save_truth
from recsys_platform.simulation.world import DAY_MS, Ints, Table, World, WorldSpec, make_world, world_until

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SimulationSummary:
    """The result of a simulation: `records` = `events` + `duplicates`, including the `rejected` and `invalid` ones."""

    start: dt.date
    end: dt.date
    events: int
    objects: int
    records: int
    duplicates: int
    late: int
    rejected: int
    invalid: int
    size_bytes: int
    seconds: float


def simulate(
    hub: Hub,
    *,
    readers: int,
    books: int,
    days: int,
    seed: int,
    end: dt.date,
    truth_dir: Path,
    horizon: int | None = None,
    written_from: dt.date | None = None,
    progress: Progress | None = None,
) -> SimulationSummary:
    """Simulate `days` days up to and including `end` (UTC); nothing arrives later.

    `readers` and `books` are reached after `horizon` days (default: `days`). The same seed, sizes, first day and horizon give the
    same objects for the same days, however long the simulation runs. `written_from` skips the objects of earlier arrival days.
    The hub is written at the end, all at once. Raises InputError for a size below 1, and HubError if the hub cannot be written.
    """
    for name, value in (("readers", readers), ("books", books), ("days", days)):
        if value < 1:
            raise InputError(f"--{name} is {value}; give a number of at least 1.")
    if seed < 0:
        raise InputError(f"--seed is {seed}; give a number of at least 0.")
    spec = WorldSpec(
        readers=readers, books=books, seed=seed, start=end - dt.timedelta(days=days - 1), horizon=horizon or days
    )
    skipped = 0 if written_from is None else (written_from - spec.start).days
    return _run_simulation(hub, spec, days=days, skipped=skipped, truth_dir=truth_dir, progress=progress)


def continue_simulation(
    hub: Hub, *, truth_dir: Path, days: int = 1, progress: Progress | None = None
) -> SimulationSummary:
    """Continue the world of `truth_dir` for some days and land only what arrives on these."""
    finish_staged(hub, truth_dir)
    spec, before = load_spec(truth_dir)
    return _run_simulation(hub, spec, days=before + days, skipped=before, truth_dir=truth_dir, progress=progress)


def _run_simulation(
    hub: Hub, spec: WorldSpec, *, days: int, skipped: int, truth_dir: Path, progress: Progress | None
) -> SimulationSummary:
    began = time.perf_counter()
    done: list[Delivered] = []
    with staged(hub, truth_dir) as (stage, truth), duckdb.connect(config={"threads": 1}) as connection:
        for day, (world, arrived) in enumerate(_simulate_days(spec, days)):
            if day >= skipped:
                done.append(deliver(stage, world, arrived, connection=connection))
            if progress is not None:
                progress(day + 1, days)
        save_truth(truth, world, days=days)
    return _simulation_summary(spec, done, days=days, skipped=skipped, seconds=time.perf_counter() - began)


def _simulate_days(spec: WorldSpec, days: int) -> Iterator[tuple[World, Table]]:
    """For each day the world up to the end of its season, and the records (dtype RECORD) that arrive.

    A season does not depend on later ones, so continuing a world does not change its earlier days.
    """
    everything = make_world(spec, days=-(-days // SEASON) * SEASON)
    waiting: Table = np.zeros(0, dtype=RECORD)
    opened: list[Ints] = []
    for day in range(days):
        if day % SEASON == 0:
            # To the end of the season: a queue may hold books that are published later in it.
            world = world_until(everything, day + SEASON)
            library = new_season(world, opened, day=day)
        sent = sent_records(world, events_of_day(world, library, day=day), day=day)
        arrived, waiting = _split_arrived(np.concatenate([waiting, sent]), spec.start_ms + (day + 1) * DAY_MS)
        yield world, arrived


def _split_arrived(records: Table, until: int) -> tuple[Table, Table]:
    """Split records into those that arrived before a time (milliseconds since 1970) and the rest."""
    arrived = records["arrival"] < until
    return records[arrived], records[~arrived]


def _simulation_summary(
    spec: WorldSpec, done: list[Delivered], *, days: int, skipped: int, seconds: float
) -> SimulationSummary:
    total = {field.name: sum(getattr(each, field.name) for each in done) for field in dataclasses.fields(Delivered)}
    duplicates = total.pop("copies")
    return SimulationSummary(
        start=spec.start + dt.timedelta(days=skipped),
        end=spec.start + dt.timedelta(days=days - 1),
        events=total["records"] - duplicates,
        duplicates=duplicates,
        seconds=seconds,
        **total,
    )
