"""Recent events in Redis, so that an event posted to one gateway shows in the next answer of every other.

Belongs here: how events and sign-ins are kept in Redis, and going on without it. Does not: what they change (recent_events.py).

Redis has for seven days: of each reader a sorted set of the newest events, and the unit of experiments; of each guest the message ids
of events that moved to an account; of each device who is signed in. The process has a copy of what it saw, from which lists are made.
A request loads into it before, and saves after. Events and ids of moved ones are only ever added, so copies agree in whatever order
they hear of them. What a load finds in the copy alone is sent: it was added while Redis was away, or Redis lost it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from redis.asyncio import Redis

from recsys_platform.serving.bounded import Bounded
from recsys_platform.serving.recent_events import GUEST, MOST_EVENTS, MOST_READERS, BookEvent, RecentEventsInMemory
from recsys_platform.serving.shared_redis import SharedRedis

KEPT_SECONDS = 7 * 86_400
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(BookEvent).decode
_Change = Callable[[Any], None]
"""Adds commands to a pipeline."""


class SignIn(NamedTuple):
    """Who is signed in on a device (nobody if empty), since when by the clock of the gateway that heard of it."""

    user: str
    at: float


_decode_sign_in = msgspec.json.Decoder(SignIn).decode


class RecentEventsInRedis:
    """Recent events and sign-ins that gateways share."""

    is_shared = True

    def __init__(self, shared: SharedRedis) -> None:
        """`shared`: the Redis of all gateways."""
        self._shared = shared
        self._copy = RecentEventsInMemory()
        self._moved: Bounded[frozenset[str]] = Bounded(MOST_READERS)
        self._sign_ins: Bounded[SignIn] = Bounded(MOST_READERS)
        self._loaded: Bounded[tuple[int, int]] = Bounded(MOST_READERS)
        self._changes: list[_Change] = []

    def add(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Add events; those with a known message id are ignored."""
        self._copy.add(reader, events)
        self._changes.append(lambda pipe: _add_events(pipe, reader, events))

    def of(self, reader: str) -> tuple[int, Sequence[BookEvent]]:
        """The reader's epoch and events."""
        return self._copy.of(reader)

    def move(self, source: str, target: str) -> None:
        """Give a guest's events to an account."""
        _, events = self._copy.of(source)
        if not events:
            return
        moved = [event.message_id for event in events]
        self._moved.keep(source, self._moved.get(source, frozenset()) | frozenset(moved))
        self._copy.replace(source, ())
        self._changes.append(lambda pipe: _add_moved(pipe, source, moved))
        self.add(target, events)

    def user_of(self, device: str) -> str | None:
        """Who is signed in on a device."""
        found = self._sign_ins.get(device)
        return (found.user or None) if found else None

    def sign_in(self, device: str, user: str) -> None:
        """Remember who signed in on a device last."""
        self._set_sign_in(device, SignIn(user, time.time()))

    def sign_out(self, device: str) -> None:
        """Remember that nobody is signed in on a device."""
        self._set_sign_in(device, SignIn("", time.time()))

    def unit_of(self, reader: str) -> str | None:
        """The id by which the experiments of a reader are dealt."""
        return self._copy.unit_of(reader)

    def keep_unit(self, reader: str, unit: str) -> None:
        """Remember the unit of a reader's first answer of an experiment; of two gateways the first one that Redis hears is right."""
        if self._copy.unit_of(reader) is None:
            self._copy.keep_unit(reader, unit)
            self._changes.append(lambda pipe: _set_unit(pipe, reader, unit))

    async def load(self, readers: Iterable[str], devices: Iterable[str] = ()) -> None:
        """Learn what Redis has of readers and devices, and tell it what it should have and has not."""
        readers, devices = list(dict.fromkeys(readers)), list(dict.fromkeys(devices))
        found = await self._shared.run(lambda redis: _read(redis, readers, devices)) if readers or devices else None
        if found is None:
            return
        for reader, kept in zip(readers, found.readers, strict=True):
            self._learn_events(reader, kept)
            self._learn_unit(reader, kept.unit)
        for device, sign_in in zip(devices, found.sign_ins, strict=True):
            self._learn_sign_in(device, sign_in)
        await self.save()

    async def save(self) -> None:
        """Send the changes. If Redis is away, the next load of the same readers finds out and sends them."""
        changes, self._changes = self._changes, []
        if changes:
            await self._shared.run(lambda redis: _send(redis, changes))

    def _set_sign_in(self, device: str, found: SignIn) -> None:
        self._sign_ins.keep(device, found)
        self._changes.append(lambda pipe: pipe.set(_device_key(device), _encode(found), ex=KEPT_SECONDS))

    def _learn_sign_in(self, device: str, found: SignIn | None) -> None:
        own = self._sign_ins.get(device)
        if found and (own is None or own.at < found.at):
            self._sign_ins.keep(device, found)
        elif own and own != found:
            self._set_sign_in(device, own)

    def _learn_unit(self, reader: str, found: str | None) -> None:
        own = self._copy.unit_of(reader)
        if found is not None and found != own:
            self._copy.replace_unit(reader, found)
        elif own is not None and found is None:
            self._changes.append(lambda pipe: _set_unit(pipe, reader, own))

    def _learn_events(self, reader: str, found: "_Kept") -> None:
        """Merge what Redis has into the copy; nothing is to be done if it is what the last load found."""
        content = hash((*found.members, *found.moved))
        if self._loaded.get(reader) == (content, self._copy.of(reader)[0]):
            return
        own_moved = self._moved.get(reader, frozenset())
        moved, kept = own_moved | found.moved, found.events()
        events = [event for event in (*self._copy.of(reader)[1], *kept) if event.message_id not in moved]
        self._copy.replace(reader, events)
        if moved:
            self._moved.keep(reader, moved)
        epoch, merged = self._copy.of(reader)
        lost, unmoved = _lost_events(merged, kept), own_moved - found.moved
        if lost:
            self._changes.append(lambda pipe: _add_events(pipe, reader, lost))
        if unmoved:
            self._changes.append(lambda pipe: _add_moved(pipe, reader, unmoved))
        if not lost and not unmoved:
            self._loaded.keep(reader, (content, epoch))


class _Kept(NamedTuple):
    """What Redis has of a reader: members of the set of events, message ids of events that moved to an account, the unit."""

    members: list[bytes]
    moved: frozenset[str]
    unit: str | None

    def events(self) -> list[BookEvent]:
        """The events, by time."""
        return [_decode(member.rpartition(b"\0")[2]) for member in self.members]


class _Found(NamedTuple):
    """What Redis has of some readers and devices, in their order."""

    readers: list[_Kept]
    sign_ins: list[SignIn | None]


def _lost_events(copied: Sequence[BookEvent], kept: Sequence[BookEvent]) -> list[BookEvent]:
    """The events of a copy that Redis should have and has not; older ones than it keeps are none."""
    ids = {event.message_id for event in kept}
    since = kept[0].at if len(kept) >= MOST_EVENTS else ""
    return [event for event in copied if event.message_id not in ids and event.at >= since]


async def _read(redis: "Redis", readers: Sequence[str], devices: Sequence[str]) -> _Found:
    guests = [reader for reader in readers if reader.startswith(GUEST)]
    async with redis.pipeline(transaction=False) as pipe:
        for reader in readers:
            pipe.zrange(_events_key(reader), 0, -1)
        for guest in guests:
            pipe.zrange(_moved_key(guest), 0, -1)
        for reader in readers:
            pipe.get(_unit_key(reader))
        for device in devices:
            pipe.get(_device_key(device))
        answers = iter(await pipe.execute())
    members = [next(answers) for _ in readers]
    moved = {guest: frozenset(each.decode() for each in next(answers)) for guest in guests}
    units = [each.decode() if each is not None else None for each in (next(answers) for _ in readers)]
    kept = [
        _Kept(each, moved.get(reader, frozenset()), unit)
        for reader, each, unit in zip(readers, members, units, strict=True)
    ]
    return _Found(kept, [_decode_sign_in(each) if each else None for each in answers])


async def _send(redis: "Redis", changes: Sequence[_Change]) -> bool:
    async with redis.pipeline(transaction=False) as pipe:
        for change in changes:
            change(pipe)
        await pipe.execute()
    return True


def _add_events(pipe: Any, reader: str, events: Iterable[BookEvent]) -> None:
    key = _events_key(reader)
    pipe.zadd(key, {_member(event): 0 for event in events})
    pipe.zremrangebyrank(key, 0, -MOST_EVENTS - 1)
    pipe.expire(key, KEPT_SECONDS)


def _add_moved(pipe: Any, guest: str, message_ids: Iterable[str]) -> None:
    key, now = _moved_key(guest), time.time()
    pipe.zadd(key, dict.fromkeys(message_ids, now))
    pipe.zremrangebyrank(key, 0, -2 * MOST_EVENTS - 1)
    pipe.expire(key, KEPT_SECONDS)


def _set_unit(pipe: Any, reader: str, unit: str) -> None:
    pipe.set(_unit_key(reader), unit, ex=KEPT_SECONDS, nx=True)


def _unit_key(reader: str) -> str:
    return f"recsys:unit:{reader}"


def _events_key(reader: str) -> str:
    return f"recsys:events:{reader}"


def _moved_key(guest: str) -> str:
    return f"recsys:moved:{guest}"


def _device_key(device: str) -> str:
    return f"recsys:device:{device}"


def _member(event: BookEvent) -> bytes:
    """An event as a member of the set: members of one score are in the order of their bytes, here of time."""
    return b"\0".join((event.at.encode(), event.message_id.encode(), _encode(event)))
