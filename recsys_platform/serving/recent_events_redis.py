"""Recent events in Redis, so that an event posted to one gateway shows in the next answer of every other.

Belongs here: how events are kept in Redis, and going on without it. Does not: what they change (recent_events.py).

Redis has, for each reader and for seven days, a sorted set of the newest events and an epoch. The process keeps a copy of what it saw,
which answers while Redis is away. What a read finds in the copy alone is sent: it was added meanwhile, or Redis lost it.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from redis import Redis

from recsys_platform.serving.recent_events import MOST_EVENTS, BookEvent, RecentEventsInMemory
from recsys_platform.serving.shared_redis import SharedRedis

KEPT_SECONDS = 7 * 86_400
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(BookEvent).decode


class RecentEventsInRedis:
    """Recent events that gateways share. An epoch is that of Redis, which begins at a time, plus that of the copy."""

    def __init__(self, shared: SharedRedis) -> None:
        """`shared`: the Redis of all gateways."""
        self._shared = shared
        self._copy = RecentEventsInMemory()

    def add(self, reader: str, events: Sequence[BookEvent]) -> None:
        """Add events; those with a known message id are ignored."""
        self._copy.add(reader, events)
        self._shared.run(lambda redis: _add(redis, reader, events))

    def of(self, reader: str) -> tuple[int, Sequence[BookEvent]]:
        """The reader's epoch and events."""
        found = self._shared.run(lambda redis: _read(redis, reader))
        if found and found.was_moved:
            self._copy.replace(reader, found.events)
        elif found:
            self._copy.add(reader, found.events)
            if lost := found.lost_of(self._copy.of(reader)[1]):
                self._shared.run(lambda redis: _add(redis, reader, lost))
        own, events = self._copy.of(reader)
        return (found.epoch if found else 0) + own, events

    def move(self, source: str, target: str) -> None:
        """Give a guest's events to an account."""
        _, events = self.of(source)
        if events:
            self._copy.replace(source, ())
            self._shared.run(lambda redis: _clear(redis, source))
            self.add(target, events)


class _Kept(NamedTuple):
    """What Redis has of a reader. `was_moved`: a guest whose events went to an account; other processes' copies are old."""

    epoch: int
    events: list[BookEvent]
    was_moved: bool

    def lost_of(self, copied: Sequence[BookEvent]) -> list[BookEvent]:
        """The events of a copy that Redis should have and has not; older ones than it keeps are none."""
        ids = {event.message_id for event in self.events}
        since = self.events[0].at if len(self.events) >= MOST_EVENTS else ""
        return [event for event in copied if event.message_id not in ids and event.at >= since]


def _keys(reader: str) -> tuple[str, str, str]:
    """The keys of a reader's epoch, events, and whether they were moved; the braces keep them on one node of a cluster."""
    return f"recsys:epoch:{{{reader}}}", f"recsys:events:{{{reader}}}", f"recsys:moved:{{{reader}}}"


def _add(redis: "Redis", reader: str, events: Iterable[BookEvent]) -> bool:
    epoch, kept, _ = _keys(reader)
    with redis.pipeline(transaction=True) as pipe:
        _raise_epoch(pipe, epoch)
        pipe.zadd(kept, {_member(event): 0 for event in events})
        pipe.zremrangebyrank(kept, 0, -MOST_EVENTS - 1)
        pipe.expire(kept, KEPT_SECONDS)
        pipe.execute()
    return True


def _clear(redis: "Redis", reader: str) -> bool:
    epoch, kept, moved = _keys(reader)
    with redis.pipeline(transaction=True) as pipe:
        _raise_epoch(pipe, epoch)
        pipe.delete(kept)
        pipe.set(moved, 1, ex=KEPT_SECONDS)
        pipe.execute()
    return True


def _raise_epoch(pipe: Any, epoch: str) -> None:
    # It begins at the time, so that a Redis that lost its data never gives a number again.
    pipe.set(epoch, time.time_ns() // 1000, ex=KEPT_SECONDS, nx=True)
    pipe.incr(epoch)
    pipe.expire(epoch, KEPT_SECONDS)


def _read(redis: "Redis", reader: str) -> _Kept:
    epoch, kept, moved = _keys(reader)
    with redis.pipeline(transaction=False) as pipe:
        pipe.get(epoch)  # first, so that it is never newer than the events
        pipe.zrange(kept, 0, -1)
        pipe.exists(moved)
        number, members, was_moved = pipe.execute()
    return _Kept(int(number or 0), [_decode(member.rpartition(b"\0")[2]) for member in members], bool(was_moved))


def _member(event: BookEvent) -> bytes:
    """An event as a member of the set: members of one score are in the order of their bytes, here of time."""
    return b"\0".join((event.at.encode(), event.message_id.encode(), _encode(event)))
