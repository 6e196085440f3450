"""Counts of answers by minute, variant and source, with errors and times: events that land as exposures do.

Belongs here: counting, and what such an event says. Does not: what is read from them (rollout/observing.py, the marts).

They have a spool and landing objects of their own, small ones, so that a canary is judged within a minute or two, without a load.
Where the platform has a salt (`RECSYS_PII_SALT`) they are signed with it: whoever else may write to the stream, such as a tracker
whose key anybody can read, then decides about no canary.
"""

import datetime as dt
import hashlib
import hmac
import threading
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from recsys_platform.common.random_ids import random_uuid
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.routing import NO_EXPERIMENT, Route

COUNTED = "Answers Counted"
STREAM = "answer-counts"
"""The landing objects that hold nothing but such events have names that begin with it."""
MINUTE, HOUR = 60, 3600
BOUNDS_MS = (10, 20, 50, 100, 200, 500)
"""Upper bounds, in milliseconds, of the times that are counted apart."""
_BOUNDS = [each / 1000 for each in BOUNDS_MS]


class _Group(NamedTuple):
    period: int
    experiment: str
    variant: str
    source: str


class AnswerCounts:
    """Counts the answers of a process; safe for threads. `flush` writes what is counted to a spool, and begins anew."""

    def __init__(self, spool: EventSpool, *, seconds: int = MINUTE, salt: str | None = None) -> None:
        """`spool`: of these events alone. `seconds`: length of a period. `salt`: what they are signed with."""
        self.spool, self.salt, self._seconds = spool, salt, seconds
        self._name, self._lock = uuid.uuid4().hex[:12], threading.Lock()
        self._groups: dict[_Group, list[int]] = {}

    def start(self) -> None:
        """Begin to write the periods that are over, and to deliver them."""
        self._name = uuid.uuid4().hex[:12]  # of this process, which may have parted from another
        self.spool.on_handed_over = self.flush_periods_over
        self.spool.start()

    def stop(self) -> None:
        """Write and deliver what is counted."""
        self.flush()
        self.spool.stop()

    def add(self, route: Route, source: str, at: dt.datetime, seconds: float, *, is_error: bool) -> None:
        """Count an answer. `source`: what answered. `is_error`: whether a better source failed, or there is no answer."""
        period = int(at.timestamp()) // self._seconds
        group = _Group(period, route.experiment or NO_EXPERIMENT, route.variant, source)
        with self._lock:
            counts = self._groups.get(group)
            if counts is None:
                counts = self._groups[group] = [0] * (len(BOUNDS_MS) + 2)
            counts[0] += is_error
            counts[1 + bisect_left(_BOUNDS, seconds)] += 1

    def flush_periods_over(self) -> None:
        """Write the periods that are over by the clock of the spool."""
        self.flush(until=int(self.spool.now().timestamp()) // self._seconds)

    def flush(self, until: int | None = None) -> None:
        """Write what is counted as events, one a period. `until`: the first period that is not written; None for all."""
        with self._lock:
            over = {each: counts for each, counts in self._groups.items() if until is None or each.period < until}
            for each in over:
                del self._groups[each]
        periods = sorted({each.period for each in over})
        for period in periods:
            rows = [(each, counts) for each, counts in sorted(over.items()) if each.period == period]
            self.spool.append(self._event(period, rows))

    def _event(self, period: int, rows: Sequence[tuple[_Group, list[int]]]) -> dict[str, Any]:
        begins = dt.datetime.fromtimestamp(period * self._seconds, dt.UTC)
        event: dict[str, Any] = {
            "type": "track",
            "event": COUNTED,
            "messageId": random_uuid(),
            # No reader did this: it has a visitor of its own, one an hour so that its sessions end, who is marked as a machine.
            "anonymousId": f"gateway-{self._name}-{begins:%Y%m%d%H}",
            "timestamp": begins.isoformat(timespec="seconds"),
            "context": {"device": {"type": "bot"}},
            "properties": {"items": [_item(group, counts, self._seconds) for group, counts in rows]},
        }
        if self.salt:
            event["properties"]["signature"] = signature_of(event, self.salt)
        return event


def is_genuine(event: Mapping[str, Any], salt: str | None) -> bool:
    """Whether a gateway wrote an event of counts: it is signed, if there is a salt.

    Raises KeyError or TypeError for an event of another form.
    """
    if salt is None:
        return True
    said = event["properties"]
    found = said.get("signature") if isinstance(said, Mapping) else None
    return isinstance(found, str) and hmac.compare_digest(found.encode(), signature_of(event, salt).encode())


def signature_of(event: Mapping[str, Any], salt: str) -> str:
    """The signature of an event of counts: an HMAC of its id, its time and its counts."""
    signed = [COUNTED, event["messageId"], event["timestamp"], event["properties"]["items"]]
    return hmac.new(salt.encode(), msgspec.json.encode(signed, order="deterministic"), hashlib.sha256).hexdigest()


def _item(group: _Group, counts: Sequence[int], seconds: int) -> dict[str, Any]:
    """The counts of a group; those of the bounds are of answers that took at most so long, as in a histogram of Prometheus."""
    errors, *times = counts
    within = {f"within_{bound}_ms": sum(times[: at + 1]) for at, bound in enumerate(BOUNDS_MS)}
    return {
        "experiment": group.experiment,
        "variant": group.variant,
        "source": group.source,
        "seconds": seconds,
        "answers": sum(times),
        "errors": errors,
        **within,
    }
