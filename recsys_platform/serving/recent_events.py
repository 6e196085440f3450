"""Recent events: what readers did since the snapshot was written, so that the next answer knows it.

Belongs here: keeping the events of each reader, and what they change in a profile. Does not: validation and landing of events
(gateway/), what an event means (signals.py).
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from recsys_platform.serving.bounded import Bounded
from recsys_platform.serving.signals import FINISHED, RATED, Signals
from recsys_platform.serving.snapshot import Profile

MOST_EVENTS, MOST_READERS = 100, 100_000
GUEST = "\0"
"""Keys of guests begin with it; no user id has it."""
_encode = msgspec.json.Encoder().encode


class BookEvent(msgspec.Struct, frozen=True, array_like=True):
    """What a reader did with a book. `message_id`, `name`, `book_id`: as in the marts; `at`: time of the event, ISO text in UTC.

    `received`: seconds since 1970 when a gateway got it; 0 if unknown.
    """

    message_id: str
    name: str
    book_id: str
    at: str
    rating: float | None = None
    received: int = 0


class RecentEvents(Protocol):
    """Keeps the events and the units of readers, by user or anonymous id, and who is signed in on a device.

    All but `load` and `save` works on what this process knows, so a list waits for nothing.
    """

    is_shared: bool
    """Whether other gateways' readers are to be loaded before a request is answered, and changes to be saved."""

    def add(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Add events; those with a known message id are ignored. The reader's epoch changes."""

    def of(self, reader: str) -> tuple[int, Sequence[BookEvent]]:
        """The reader's epoch and events, by time."""

    def move(self, source: str, target: str) -> None:
        """Give a guest's events to the account that the guest signs in to."""

    def user_of(self, device: str) -> str | None:
        """Who is signed in on a device, by its anonymous id."""

    def sign_in(self, device: str, user: str) -> None:
        """Remember who signed in on a device last."""

    def sign_out(self, device: str) -> None:
        """Remember that nobody is signed in on a device."""

    def unit_of(self, reader: str) -> str | None:
        """The id by which the experiments of a reader are dealt; None if no answer to the reader named an experiment."""

    def keep_unit(self, reader: str, unit: str) -> None:
        """Remember the unit of a reader's first answer of an experiment; a later one changes nothing."""

    async def load(self, readers: Iterable[str], devices: Iterable[str] = ()) -> None:
        """Learn what other gateways know of readers and devices."""

    async def save(self) -> None:
        """Tell other gateways what changed."""


class RecentEventsInMemory:
    """Recent events of one process, of a bounded number of readers: the one that was quiet longest is forgotten first."""

    is_shared = False

    def __init__(self, *, readers: int = MOST_READERS, events: int = MOST_EVENTS) -> None:
        """`readers`, `events`: how many are kept, and how many of each reader."""
        self._readers, self._events = readers, events
        self._kept: OrderedDict[str, tuple[int, tuple[BookEvent, ...]]] = OrderedDict()
        self._users: Bounded[str] = Bounded(readers)
        self._units: Bounded[str] = Bounded(readers)
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

    def user_of(self, device: str) -> str | None:
        """Who is signed in on a device."""
        return self._users.get(device)

    def sign_in(self, device: str, user: str) -> None:
        """Remember who signed in on a device."""
        self._users.keep(device, user)

    def sign_out(self, device: str) -> None:
        """Remember that nobody is signed in on a device."""
        self._users.pop(device, None)

    def unit_of(self, reader: str) -> str | None:
        """The id by which the experiments of a reader are dealt."""
        return self._units.get(reader)

    def keep_unit(self, reader: str, unit: str) -> None:
        """Remember the unit of a reader's first answer of an experiment."""
        if reader not in self._units:
            self._units.keep(reader, unit)

    def replace_unit(self, reader: str, unit: str) -> None:
        """Take another unit of a reader than was known."""
        self._units.keep(reader, unit)

    async def load(self, readers: Iterable[str], devices: Iterable[str] = ()) -> None:
        """Nobody else knows more."""

    async def save(self) -> None:
        """Nobody else is to be told."""

    def _keep(self, reader: str, events: tuple[BookEvent, ...]) -> None:
        newest = events[-self._events :]
        if newest == self.of(reader)[1]:
            return
        self._kept[reader] = (_epoch_of(newest), newest)
        self._kept.move_to_end(reader)
        if len(self._kept) > self._readers:
            self._kept.popitem(last=False)


def _epoch_of(events: tuple[BookEvent, ...]) -> int:
    """A number that is the same for the same events, on every gateway and after every start; 0 without events."""
    if not events:
        return 0
    return int.from_bytes(hashlib.blake2b(_encode(events), digest_size=8).digest()) >> 1


def _merged(kept: Iterable[BookEvent], new: Iterable[BookEvent]) -> tuple[BookEvent, ...]:
    """The events by time; of one message id the first, whatever the order in which gateways heard of them."""
    found: dict[str, BookEvent] = {}
    for event in sorted((*kept, *new), key=_order):
        found.setdefault(event.message_id, event)
    return tuple(found.values())


def _order(event: BookEvent) -> tuple[str, str, str, str, float, int]:
    return event.at, event.message_id, event.name, event.book_id, event.rating or 0.0, event.received


def events_to_merge(events: Sequence[BookEvent], known: Collection[str], since: int = 0) -> Sequence[BookEvent]:
    """Return the events that a profile must be merged with.

    `known`: message ids that the profile is made of, as far as they were loaded after `since` (seconds since 1970); what was received
    before that is known as well. Of a book with a new event all events are merged, in the order of time: the new one may be the older.
    """
    if not known and not since:
        return events
    books = {event.book_id for event in events if event.message_id not in known and not 0 < event.received < since}
    return [event for event in events if event.book_id in books]


def with_events(
    profile: Profile, events: Sequence[BookEvent], signals: Signals, *, hide_finished: bool = True
) -> Profile:
    """Return a profile with what the events change, as the marts would have it after a load.

    A finished or rated book is finished, and out of lists if the rules hide finished books. A refusal (removed, dismissed) takes an
    unfinished book out of history and lists; a low rating takes any book out of the history, whatever follows but a better one.
    A book that one of the events finishes is unfinished until that event, also where the profile has the event already.
    """
    history, finished, out = dict.fromkeys(profile.history), dict.fromkeys(profile.finished), dict.fromkeys(profile.out)
    disliked: set[str] = set()
    later_finished = {event.book_id for event in events if event.name in (FINISHED, RATED)}
    for event in events:
        book = event.book_id
        if event.name == RATED:
            (disliked.add if signals.is_refused(event.name, event.rating) else disliked.discard)(book)
        if event.name in (FINISHED, RATED):
            finished[book] = None
            later_finished.discard(book)
            out.update({book: None} if hide_finished else {})
        if signals.is_liked(event.name, event.rating) and book not in disliked:
            history.pop(book, None)
            history[book] = None
            if not (hide_finished and book in finished):
                out.pop(book, None)
        elif signals.is_refused(event.name, event.rating) and (
            event.name == RATED or book not in finished or book in later_finished
        ):
            history.pop(book, None)
            out[book] = None
    return msgspec.structs.replace(profile, history=tuple(history), finished=tuple(finished), out=tuple(out))
