"""A receiver that takes events in batches, as a destination of a queue.

Belongs here: the limits of batches, retries within seconds, what is refused for good. Does not: longer outages (delivery.py).
"""

import datetime as dt
import time
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import msgspec

from recsys_platform.common.batches import BatchLimits, batches, send_batches
from recsys_platform.serving.delivery import DeadLetter, Destination, UndeliveredError

_ATTEMPTS, _WAIT_SECONDS = 4, 0.2
_SLICE_SECONDS = 5.0
"""After so long a file's progress is noted; a killed process repeats at most this."""


class Receiver(Protocol):
    """Takes events in batches within its limits."""

    @property
    def limits(self) -> BatchLimits:
        """What one batch may hold."""

    def put(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Send a batch once; returns the events to send again, and why. Adds to `dead` what is refused for good.

        Raises `PutError` if the request failed as a whole.
        """


def in_batches(receiver: Receiver) -> Destination:
    """Return a destination that sends files of events in batches, and again only what was refused."""

    def deliver(content: bytes, arrival: dt.datetime) -> None:
        fitting, dead = _within_limits(content.splitlines(), receiver.limits)
        left, why = _send_for_some_seconds(receiver, fitting, dead)
        if left or dead:
            raise UndeliveredError(why, left, dead)

    return deliver


def dead_letter(event: bytes, reason: str) -> DeadLetter:
    """An event that is refused for good."""
    return DeadLetter(reason, msgspec.Raw(event))


def _within_limits(events: Sequence[bytes], limits: BatchLimits) -> tuple[list[bytes], list[DeadLetter]]:
    fitting = [event for event in events if len(event) <= limits.record_bytes]
    reason = f"larger than {limits.record_bytes:,} bytes, which is the most of one event here"
    return fitting, [dead_letter(event, reason) for event in events if len(event) > limits.record_bytes]


def _send_for_some_seconds(
    receiver: Receiver, events: Sequence[bytes], dead: list[DeadLetter]
) -> tuple[list[bytes], str]:
    """Send events; returns what is left, and why, or an empty text if there was no time for it."""
    put, until, done = partial(receiver.put, dead=dead), time.monotonic() + _SLICE_SECONDS, 0
    for batch in batches(events, receiver.limits):
        if time.monotonic() > until:
            return list(events[done:]), ""
        left, why = send_batches(put, batch, receiver.limits, attempts=_ATTEMPTS, wait_seconds=_WAIT_SECONDS)
        done += len(batch)
        if left:
            return [*left, *events[done:]], why
    return [], ""
