"""The truth about visits: what was shown to whom, how likely each click was, and what any other policy would have been worth.

One file a day in the folder `visits` of the world's truth (columns: `visits.IMPRESSIONS`), and one of what apps post on later days.

Belongs here: these files, and what follows from them. The pipeline must never read them.
"""

import datetime as dt
import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys_platform.common.errors import InputError
from recsys_platform.simulation.responses import Habits, Memory, chance_to_finish_clicked
from recsys_platform.simulation.visits import IMPRESSIONS
from recsys_platform.simulation.world import Floats, Ints, World

FOLDER = "visits"
_DUE = ".due.json"


@dataclass(frozen=True)
class VisitedList:
    """One list that a reader was shown: books and ranks as rows and numbers, and the reader's memory at that moment."""

    request_id: str
    surface: str
    reader: int
    books: Ints
    ranks: Ints
    memory: Memory

    def chances(self, world: World, habits: Habits, books: Ints, ranks: Ints) -> Floats:
        """The probability of a click on each book, had it been at that rank."""
        return habits.looks_at(ranks) * self.memory.appeal(world, habits, reader=self.reader, books=books)


@dataclass(frozen=True)
class ExpectedOutcomes:
    """What lists bring on average, over the chance that decides about looks, clicks and reading. `finishes`: of the clicked books."""

    books: int
    clicks: float
    finishes: float

    @property
    def ctr(self) -> float:
        """Clicks ÷ books shown; NaN without any."""
        return self.clicks / self.books if self.books else math.nan


def expected_outcomes(world: World, shown: pa.Table, surfaces: Collection[str]) -> ExpectedOutcomes:
    """The expected outcomes of what was shown: books and clicks on some surfaces, finishes from all."""
    chance = shown["chance"].to_numpy()
    finishes = chance * chance_to_finish_clicked(world, shown["reader"].to_numpy(), shown["book"].to_numpy())
    counted = pc.is_in(shown["surface"], pa.array(sorted(surfaces), pa.string())).to_numpy(zero_copy_only=False)
    return ExpectedOutcomes(int(counted.sum()), float(chance[counted].sum()), float(finishes.sum()))


def save_visits(truth_dir: Path, day: dt.date, shown: pa.Table) -> None:
    """Write what was shown on a day."""
    folder = truth_dir / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(shown, folder / f"{day}.parquet")
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}. Choose a folder that can be written.") from error


def save_due(truth_dir: Path, day: dt.date, memories: dict[int, Memory]) -> None:
    """Write the events that apps post after a day, of books that are read on."""
    due = {reader: memory.due for reader, memory in memories.items() if memory.due}
    try:
        (truth_dir / FOLDER / f"{day}{_DUE}").write_text(json.dumps(due), encoding="utf-8")
    except OSError as error:
        raise InputError(f"Cannot write {truth_dir}: {error.strerror}. Choose a folder that can be written.") from error


def load_due(truth_dir: Path, day: dt.date, memories: dict[int, Memory]) -> None:
    """Let readers remember what their apps post after a day; nothing if no reader used the API on it."""
    path = truth_dir / FOLDER / f"{day}{_DUE}"
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for reader, due in content.items():
        memories.setdefault(int(reader), Memory()).due = [(at, event) for at, event in due]


def load_visits(truth_dir: Path, *, since: dt.date = dt.date.min, before: dt.date = dt.date.max) -> pa.Table:
    """What was shown on all days from `since` on and before `before`, by day, reader and time."""
    found = sorted((truth_dir / FOLDER).glob("*.parquet"))
    files = [file for file in found if since <= dt.date.fromisoformat(file.stem) < before]
    return pa.concat_tables([IMPRESSIONS.empty_table(), *(pq.read_table(file, schema=IMPRESSIONS) for file in files)])


def replay(shown: pa.Table, memories: dict[int, Memory]) -> Iterator[VisitedList]:
    """The lists in order of time, each with the memory before it; `memories`, by reader, are those after all of them.

    A list must be used before the next one is taken: the memory then has changed.
    """
    ids = shown["request_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    reader, book, rank = (shown[name].to_numpy() for name in ("reader", "book", "rank"))
    clicked = shown["is_clicked"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]][: len(ids)])
    stops = np.r_[starts[1:], len(ids)][: len(starts)]
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        memory = memories.setdefault(int(reader[start]), Memory())
        row = slice(start, stop)
        request_id, surface = shown["request_id"][start].as_py(), shown["surface"][start].as_py()
        yield VisitedList(request_id, surface, int(reader[start]), book[row].astype(np.int64), rank[row], memory)
        memory.keep(book[row], book[row][clicked[row]])
