"""Recent events: what readers did since the snapshot was written, so that the next answer knows it.

Belongs here: keeping the events of each reader, and what they change in a profile. Does not: validation and landing of events
(gateway/), what an event means (signals.py).
"""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from recsys_platform.serving.signals import FINISHED, Signals
from recsys_platform.serving.snapshot import Profile

MOST_EVENTS, MOST_READERS = 100, 100_000
RATED = "Book Rated"


class BookEvent(msgspec.Struct, frozen=True, array_like=True):
    """What a reader did with a book. `message_id`: of the tracker; `at`: time of the event, ISO text in UTC."""

    message_id: str
    name: str
    book_id: str
    at: str
    rating: float | None = None


class RecentEvents(Protocol):
    """Keeps the events of readers, by user or anonymous id."""

    def add(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Add events; those with a known message id are ignored. The reader's epoch grows."""

    def of(self, reader: str) -> tuple[int, Sequence[BookEvent]]:
        """The reader's epoch, which grows with each event, and the events, by time."""

    def move(self, source: str, target: str) -> None:
        """Give a guest's events to the account that the guest signs in to."""


class RecentEventsInMemory:
    """Recent events of one process, of a bounded number of readers: the one that was quiet longest is forgotten first."""

    def __init__(self, *, readers: int = MOST_READERS, events: int = MOST_EVENTS) -> None:
        """`readers`, `events`: how many are kept, and how many of each reader."""
        self._readers, self._events = readers, events
        self._kept: OrderedDict[str, tuple[int, tuple[BookEvent, ...]]] = OrderedDict()
        self._epochs = itertools.count(1)
        self._lock = threading.Lock()

    def add(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Add events; those with a known message id are ignored."""
        with self._lock:
            self._keep(reader, _merged(self.of(reader)[1], events))

    def replace(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Keep these events of a reader and no others."""
        with self._lock:
            self._keep(reader, _merged((), events))

    def of(self, reader: str) -> tuple[int, Sequence[BookEvent]]:
        """The reader's epoch and events."""
        return self._kept.get(reader, (0, ()))

    def move(self, source: str, target: str) -> None:
        """Give a guest's events to an account."""
        with self._lock:
            _, events = self._kept.pop(source, (0, ()))
        if events:
            self.add(target, events)

    def _keep(self, reader: str, events: tuple[BookEvent, ...]) -> None:
        newest = events[-self._events :]
        if newest == self.of(reader)[1]:
            return
        # One count for all readers: an epoch is not given again to a reader who was forgotten and came back.
        self._kept[reader] = (next(self._epochs), newest)
        self._kept.move_to_end(reader)
        if len(self._kept) > self._readers:
            self._kept.popitem(last=False)


def _merged(kept: Iterable[BookEvent], new: Iterable[BookEvent]) -> tuple[BookEvent, ...]:
    by_id = {event.message_id: event for event in (*new, *kept)}
    return tuple(sorted(by_id.values(), key=lambda event: (event.at, event.message_id)))


def with_events(
    profile: Profile, events: Iterable[BookEvent], signals: Signals, *, hide_finished: bool = True
) -> Profile:
    """Return a profile with what the events change, as the marts would have it after a load.

    A finished or rated book is finished, and out of lists if the rules hide finished books. A refusal (removed, dismissed) takes an
    unfinished book out of history and lists; a low rating takes any book out of the history, whatever follows but a better one.
    """
    history, finished, out = dict.fromkeys(profile.history), dict.fromkeys(profile.finished), dict.fromkeys(profile.out)
    disliked: set[str] = set()
    for event in events:
        book = event.book_id
        if event.name == RATED:
            (disliked.add if signals.is_refused(event.name, event.rating) else disliked.discard)(book)
        if event.name in (FINISHED, RATED):
            finished[book] = None
            out.update({book: None} if hide_finished else {})
        if signals.is_liked(event.name, event.rating) and book not in disliked:
            history.pop(book, None)
            history[book] = None
            if not (hide_finished and book in finished):
                out.pop(book, None)
        elif signals.is_refused(event.name, event.rating) and (event.name == RATED or book not in finished):
            history.pop(book, None)
            out[book] = None
    return msgspec.structs.replace(profile, history=tuple(history), finished=tuple(finished), out=tuple(out))
