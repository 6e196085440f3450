"""Simulated readers who use the API: they look at what it shows them, click, read, and their app posts the events.

Belongs here: what readers do on a day. Does not: how likely a click is (responses.py), HTTP (reader_app.py), the truth about it
(visit_truth.py).
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from recsys_platform.simulation.behaviour import Action, Bools, Sessions, draw_reads, draw_sessions, reading_steps
from recsys_platform.simulation.reader_app import Event, ReaderApp, ShownList, iso_time
from recsys_platform.simulation.responses import Habits, Memory
from recsys_platform.simulation.trackers import EVENT_NAMES
from recsys_platform.simulation.vocabulary import LANGUAGES
from recsys_platform.simulation.world import DAY_MS, Floats, Ints, Table, World, log_odds

SECOND = 1_000
FOR_YOU = "for_you"
IMPRESSIONS = pa.schema(
    [
        ("request_id", pa.string()),
        ("surface", pa.string()),
        ("at", pa.int64()),  # milliseconds since 1970
        ("reader", pa.int32()),  # row of the world
        ("user_id", pa.string()),  # null for a guest
        ("book", pa.int32()),
        ("rank", pa.int32()),
        ("chance", pa.float64()),  # of a click, before it is known whether the reader looks
        ("is_seen", pa.bool_()),
        ("is_clicked", pa.bool_()),
    ]
)


def user_id_of(reader: int) -> str:
    """The id of a reader, by row of the world."""
    return f"u{reader + 1:07d}"


def book_row_of(book_id: str) -> int:
    """The row of a book in the world."""
    return int(book_id[1:]) - 1


class Readers:
    """All readers of a world with what they remember; `visit_day` lets them use the app for a day."""

    def __init__(self, world: World, app: ReaderApp, habits: Habits | None = None, *, threads: int = 2) -> None:
        """`world`: with the readers and books of all days to come. `threads`: how many readers use the app at once."""
        self.world, self.app, self.habits = world, app, habits or Habits()
        self.memories: dict[int, Memory] = {}
        self._threads = threads

    def visit_day(self, day: int) -> pa.Table:
        """Simulate the visits of a day and return what was shown (IMPRESSIONS), by reader and time."""
        sessions = draw_sessions(self.world, self.world.spec.rng("visits", day), day=day)
        visitors = np.unique(sessions.reader).tolist()
        waiting = [reader for reader, memory in self.memories.items() if memory.due]
        for reader in visitors:
            self.memories.setdefault(reader, Memory())
        todo = sorted({*visitors, *waiting})
        with ThreadPoolExecutor(self._threads) as pool:
            found = list(pool.map(lambda reader: self._day_of(reader, sessions, day), todo))
        return pa.concat_tables([IMPRESSIONS.empty_table(), *(each for tables in found for each in tables)])

    def _day_of(self, reader: int, sessions: Sessions, day: int) -> list[pa.Table]:
        """One reader's visits of a day, in order, and the events that are due by its end."""
        own = slice(*np.searchsorted(sessions.reader, [reader, reader + 1]))
        order = np.argsort(sessions.at[own], kind="stable") + own.start
        rng, names = self.world.spec.rng(f"visits of {reader}", day), _message_ids(self.world, reader, day)
        shown: list[pa.Table] = []
        for index in order.tolist():
            visit = _Visit(self, reader, rng, names, at=int(sessions.at[index]), platform=int(sessions.platform[index]))
            visit.post_due(visit.at)
            shown += visit.run(signed_in=bool(sessions.signed_in[index]))
        last = _Visit(self, reader, rng, names, at=self.world.spec.start_ms + (day + 1) * DAY_MS - SECOND, platform=0)
        last.post_due(last.at)
        return shown


class _Visit:
    """One visit of a reader to the app. `at`: the time now, which goes on with what the reader does."""

    def __init__(
        self, readers: Readers, reader: int, rng: np.random.Generator, names: Iterator[str], *, at: int, platform: int
    ) -> None:
        self._readers, self._reader, self._rng, self._names, self.at = readers, reader, rng, names, at
        self._app, self._habits, self._world = readers.app, readers.habits, readers.world
        self._memory = readers.memories[reader]
        self._user_id: str | None = user_id_of(reader)
        self._device = device_of(self._world, reader, platform)

    def run(self, *, signed_in: bool) -> list[pa.Table]:
        """Open the app, look at lists, click and read; what was shown."""
        created = int(self._world.readers["created_ms"][self._reader])
        if self.at < created:
            return self._run_as_guest(signs_in=created // DAY_MS == self.at // DAY_MS)
        if not signed_in:
            return self._run_as_guest(signs_in=self._rng.random() < self._habits.signs_in)
        return self._run_as_reader()

    def post_due(self, until: int) -> None:
        """Post the events of books that were read on, at their times."""
        due = sorted((each for each in self._memory.due if each[0] <= until), key=lambda each: each[0])
        self._memory.due = [each for each in self._memory.due if each[0] > until]
        for at, event in due:
            self._post([event], at)

    def _run_as_guest(self, *, signs_in: bool) -> list[pa.Table]:
        known, self._user_id = self._user_id, None
        language = LANGUAGES[int(self._world.readers["language"][self._reader])]
        length = self._habits.length
        shown = [
            self._look(self._app.for_guest(self._device, at=self.at, k=length, surface=FOR_YOU, language=language))
        ]
        if not signs_in:
            return shown
        self._user_id = known
        created = int(self._world.readers["created_ms"][self._reader])
        self.at = max(self.at + 5 * SECOND, created)
        self._post([self._event("User Signed In", self.at, {}) | {"type": "identify", "traits": {}}], self.at)
        return [*shown, *self._run_as_reader()]

    def _run_as_reader(self) -> list[pa.Table]:
        user_id = user_id_of(self._reader)
        if self._rng.random() < self._habits.home:
            return [self._look(each) for each in self._app.home(user_id, at=self.at, k=self._habits.shelf)]
        shown, last = [], None
        while True:
            last = self._app.recommendations(user_id, at=self.at, k=self._habits.length, surface=FOR_YOU, last=last)
            shown.append(self._look(last))
            if self._rng.random() >= self._habits.again:
                return shown
            self.at += 20 * SECOND

    def _look(self, listed: ShownList) -> pa.Table:
        """Look at a list, click, and read what was clicked."""
        books, ranks = np.array([book_row_of(each) for each in listed.book_ids], dtype=np.int64), np.array(listed.ranks)
        looks = self._habits.looks_at(ranks)
        appeal = self._memory.appeal(self._world, self._habits, reader=self._reader, books=books)
        seen = self._rng.random(len(books)) < looks
        clicked = seen & (self._rng.random(len(books)) < appeal)
        shown = self._impressions(listed, books, looks * appeal, seen, clicked)
        self._memory.keep(books, books[clicked])
        self.at += 4 * SECOND
        for index in np.flatnonzero(clicked).tolist():
            self._open_book(listed, book=int(books[index]), rank=int(ranks[index]))
        return shown

    def _impressions(self, listed: ShownList, books: Ints, chance: Floats, seen: Bools, clicked: Bools) -> pa.Table:
        n = len(books)
        columns = {
            "request_id": [listed.request_id] * n,
            "surface": [listed.surface] * n,
            "at": np.full(n, self.at),
            "reader": np.full(n, self._reader, dtype=np.int32),
            "user_id": [self._user_id] * n,
            "book": books.astype(np.int32),
            "rank": np.array(listed.ranks, dtype=np.int32),
            "chance": chance,
            "is_seen": seen,
            "is_clicked": clicked,
        }
        return pa.table(columns, IMPRESSIONS)

    def _open_book(self, listed: ShownList, *, book: int, rank: int) -> None:
        """Click a book and read in it; what happens on another day is kept for then."""
        said = {"request_id": listed.request_id, "book_id": f"b{book + 1:05d}"}
        events = [(self.at, self._event("Recommendation Clicked", self.at, {**said, "position": rank}))]
        liking = 1 / (1 + np.exp(-log_odds(self._world.readers[[self._reader]], self._world.books[[book]])))
        reads = draw_reads(self._rng, liking, chapters=self._world.books["chapters"][[book]])
        steps = reading_steps(self._rng, reads, begins=np.array([self.at]), liking=liking)
        chapters = int(self._world.books["chapters"][book])
        events += [(int(step["at"]), self._step_event(step, said, chapters)) for step in steps]
        end = self.at + int(reads.lasts[0])
        self._memory.due += [each for each in events if each[0] > end]
        self._post([event for at, event in sorted(events, key=lambda each: each[0]) if at <= end], end)
        self.at = end

    def _step_event(self, step: Table, said: Event, chapters: int) -> Event:
        action = Action(int(step["action"]))
        more = {"chapter": int(step["detail"]), "chapters": chapters} if action == Action.CHAPTER else {}
        more |= {"rating": int(step["rating"])} if action == Action.RATED else {}
        return self._event(EVENT_NAMES[action], int(step["at"]), {**said, **more})

    def _event(self, name: str, at: int, properties: Event) -> Event:
        return {
            "type": "track",
            "event": name,
            "messageId": next(self._names),
            "userId": self._user_id,
            "anonymousId": self._device,
            "timestamp": iso_time(at),
            "properties": properties,
        }

    def _post(self, events: Sequence[Event], at: int) -> None:
        """Post events; now and then an app does not hear the answer and posts them again."""
        self._app.post(events, at=at)
        if self._rng.random() < self._habits.posts_twice:
            self._app.post(events, at=at + SECOND)


def device_of(world: World, reader: int, platform: int) -> str:
    """The anonymous id of a reader's device, as the trackers of the world have it."""
    return _uuid_of(f"device {world.spec.seed} {reader} {platform}")


def _message_ids(world: World, reader: int, day: int) -> Iterator[str]:
    number = 0
    while True:
        yield _uuid_of(f"visit {world.spec.seed} {reader} {day} {number}")
        number += 1


def _uuid_of(text: str) -> str:
    return str(uuid.UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()))
