"""What both groups of a canary did: answers, errors and slow answers from the counts that landed, metrics of readers from the marts.

Belongs here: reading and adding up. Does not: the judgement (experiments/canary.py), the counts (serving/answer_counts.py).
"""

import datetime as dt
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from recsys_platform.common.errors import WarehouseError
from recsys_platform.experiments.canary import CanaryPlan, Observation, Traffic
from recsys_platform.experiments.metric_days import measure
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.hub.layout import LANDING
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.framing import decompress
from recsys_platform.serving.answer_counts import BOUNDS_MS, COUNTED, STREAM, is_genuine
from recsys_platform.serving.rollout.record import BASELINE, CANARY, CanaryRecord
from recsys_platform.warehouse.port import Warehouse

_LOG = logging.getLogger(__name__)
_HOUR = dt.timedelta(hours=1)
_SETTLED_AFTER = 2 * _HOUR
_GROUP = ("experiment", "variant", "source")
_COUNTS = ("answers", "errors", *(f"within_{bound}_ms" for bound in BOUNDS_MS))
_OTHER_FORM = (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError)
_NOT_SIGNED = (
    "%d events of answer counts in %s are not signed with the salt of this platform and do not count: if gateways wrote them, "
    "give gateways and Dagster the same RECSYS_PII_SALT."
)
_NEWEST = "select max(metric_on) as newest from marts.fct_experiment_metrics where experiment = ?"
_decode = msgspec.json.Decoder().decode
_Group = tuple[Any, ...]


@dataclass(frozen=True)
class Counted:
    """Answers of one period, group and source, as one event has them. `message`: its id, since it may land twice."""

    message: str
    begins: dt.datetime
    counts: Mapping[str, Any]


@dataclass
class _SettledHours:
    """Sums by group of the hours of arrival before `until`, and the ids of their events, of periods since a time."""

    since: dt.datetime
    until: dt.datetime
    messages: set[str] = field(default_factory=set)
    sums: dict[_Group, Counter[str]] = field(default_factory=dict)

    def add(self, counted: Iterable[Counted]) -> None:
        """Add the counts of one more hour."""
        for each in counted:
            self.messages.add(each.message)
            sums = self.sums.setdefault(tuple(each.counts[name] for name in _GROUP), Counter())
            sums.update({name: each.counts[name] for name in _COUNTS})
        self.until += _HOUR

    def counted(self) -> Iterator[Counted]:
        """One entry for each group."""
        for group, sums in self.sums.items():
            yield Counted("", self.since, dict(zip(_GROUP, group, strict=True)) | sums)


@dataclass
class LandedCounts:
    """The counts that landed in a hub. Objects are read once: they never change.

    `stream`: what the names of the objects begin with; empty where all events land in the same ones. `salt`: what counts are signed
    with; without it all are believed. The hours of arrival that ended
    two hours ago are listed once for a stage, then only their sums are kept: what a gateway lands later than that does not count.
    """

    hub: Hub
    stream: str = STREAM
    salt: str | None = None
    _settled: _SettledHours | None = None
    _known: dict[str, tuple[Counted, ...]] = field(default_factory=dict)

    def since(self, since: dt.datetime, now: dt.datetime) -> Iterator[Counted]:
        """The counts of the periods that began since a time, each once; those of settled hours as sums of each group."""
        settled = self._settled
        if settled is None or settled.since != since or settled.until > now:
            settled = self._settled = _SettledHours(since, since.replace(minute=0, second=0, microsecond=0))
        while settled.until + _HOUR + _SETTLED_AFTER <= now:
            keys = self._keys(settled.until)
            settled.add(list(self._new_in(keys, settled, set())))
            self._forget(keys)
        hours = (settled.until + hour * _HOUR for hour in range((now + _HOUR - settled.until) // _HOUR + 1))
        keys = [key for hour in hours for key in self._keys(hour)]
        self._forget(self._known.keys() - set(keys))  # of earlier stages
        yield from settled.counted()
        yield from self._new_in(keys, settled, set())

    def _new_in(self, keys: Iterable[str], settled: _SettledHours, seen: set[str]) -> Iterator[Counted]:
        """The counts in objects that are neither of settled hours nor seen already."""
        for key in keys:
            counted = self._counts_in(key)
            new = [each for each in counted if each.message not in settled.messages and each.message not in seen]
            yield from (each for each in new if each.begins >= settled.since)
            seen |= {each.message for each in counted}

    def _keys(self, hour: dt.datetime) -> list[str]:
        folder = f"{LANDING}/source=segment/{hour:%Y/%m/%d/%H}/"
        keys = (each.key for each in self.hub.objects(folder))
        return [key for key in keys if key.removeprefix(folder).startswith(self.stream)]

    def _counts_in(self, key: str) -> tuple[Counted, ...]:
        if key not in self._known:
            text, damage = decompress(self.hub.get(key))
            if damage:
                _LOG.warning("Counts of answers in %s are read as far as they can be: %s.", key, damage)
            events, others = _genuine_events(text, self.salt)
            if others:
                _LOG.warning(_NOT_SIGNED, others, key)
            self._known[key] = tuple(_counts_of(events))
        return self._known[key]

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._known.pop(key, None)


def _genuine_events(text: bytes, salt: str | None) -> tuple[list[Mapping[str, Any]], int]:
    """The events of counts in an object that a gateway wrote, and the number of others.

    What is no event of counts is left out: the event contract of the marts reports what is not valid.
    """
    found: list[Mapping[str, Any]] = []
    others = 0
    for line in text.splitlines():
        if COUNTED.encode() in line:
            with suppress(*_OTHER_FORM):
                event = _decode(line)
                if event["event"] == COUNTED and is_genuine(event, salt):
                    found.append(event)
                else:
                    others += event["event"] == COUNTED
    return found, others


def _counts_of(events: Iterable[Mapping[str, Any]]) -> Iterator[Counted]:
    """The counts of events, each event once."""
    seen: set[str] = set()
    for event in events:
        with suppress(*_OTHER_FORM):
            counted = list(_counts_of_event(event))
            yield from (each for each in counted if each.message not in seen)
            seen |= {each.message for each in counted}


def _counts_of_event(event: Mapping[str, Any]) -> Iterator[Counted]:
    if not isinstance(event["messageId"], str):
        return
    begins = dt.datetime.fromisoformat(event["timestamp"])
    items = event["properties"]["items"] if begins.tzinfo else []
    for item in items:
        if isinstance(item, Mapping) and all(isinstance(item.get(name), str) for name in _GROUP):
            counts = {name: _whole_number(item.get(name)) for name in _COUNTS}
            yield Counted(event["messageId"], begins, {name: item[name] for name in _GROUP} | counts)


def _whole_number(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


@dataclass(frozen=True)
class Observer:
    """Observes a canary. `reading`: answers while the warehouse is held by a run, if there is one."""

    counts: LandedCounts
    warehouse: Warehouse
    plan: CanaryPlan
    reading: Callable[[], Warehouse] | None = None

    def observe(self, record: CanaryRecord, now: dt.datetime) -> Observation:
        """Answers since the stage began, and readers since the canary did. Raises HubError if the hub cannot be read."""
        counted = [
            each.counts
            for each in self.counts.since(record.since, now)
            if each.counts.get("experiment") == record.experiment
        ]
        readers = self._readers(record)
        return Observation(self._traffic(counted, readers, CANARY), self._traffic(counted, readers, BASELINE))

    def _traffic(
        self, counted: Iterable[Mapping[str, Any]], readers: Mapping[str, Mapping[str, Sums]], group: str
    ) -> Traffic:
        """What the model of a group answered, or failed to; answers without it, while it is being loaded, say nothing of it."""
        own = [each for each in counted if each.get("variant") == group]
        live = [each for each in own if each.get("source") == "live"]
        errors = _sum_of(own, "errors")
        answers, quick = _sum_of(live, "answers"), _sum_of(live, f"within_{self.plan.slow_over_ms}_ms")
        requests = answers + errors - _sum_of(live, "errors")
        events = {"errors": errors, "slow": answers - quick} if requests else {}
        return Traffic(requests, events, {name: sums[group] for name, sums in readers.items()})

    def _readers(self, record: CanaryRecord) -> dict[str, dict[str, Sums]]:
        """Sums of each metric of both groups; nothing where the marts cannot be read, or have nothing yet."""
        for warehouse in (lambda: self.warehouse, self.reading):
            try:
                if warehouse is not None:
                    return self._sums(warehouse(), record)
            except WarehouseError:
                continue
        return {}

    def _sums(self, warehouse: Warehouse, record: CanaryRecord) -> dict[str, dict[str, Sums]]:
        newest, first = warehouse.frame(_NEWEST, [record.experiment])["newest"][0].as_py(), record.started_at.date()
        if newest is None or newest < first:
            return {}
        days = [first + dt.timedelta(days=day) for day in range((newest - first).days + 1)]
        names = tuple(self.plan.tolerated_losses)
        measured = measure(warehouse, record.experiment, names, days)
        return {
            name: {group: _last_of(measured.of(name, group).sums) for group in (CANARY, BASELINE)} for name in names
        }


def _sum_of(counted: Iterable[Mapping[str, Any]], name: str) -> int:
    return sum(int(each[name]) for each in counted)


def _last_of(sums: Sums) -> Sums:
    """The sums as of the last day."""
    return Sums(**{name: float(np.asarray(value)[-1]) for name, value in vars(sums).items()})
