"""What both groups of a canary did: answers, errors and slow answers from the counts that landed, metrics of readers from the marts.

Belongs here: reading and adding up. Does not: the judgement (experiments/canary.py), the counts (serving/answer_counts.py).
"""

import datetime as dt
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from recsys_platform.serving.answer_counts import COUNTED, STREAM
from recsys_platform.serving.rollout.record import BASELINE, CANARY, CanaryRecord
from recsys_platform.warehouse.port import Warehouse

_GZIP = 31
_HOUR = dt.timedelta(hours=1)
_NEWEST = "select max(metric_on) as newest from marts.fct_experiment_metrics where experiment = ?"
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True)
class Counted:
    """Answers of one period, group and rung, as one event has them. `message`: its id, since it may land twice."""

    message: str
    begins: dt.datetime
    counts: Mapping[str, Any]


@dataclass(frozen=True)
class LandedCounts:
    """The counts that landed in a hub. Objects are read once: they never change.

    `stream`: what the names of the objects begin with; empty where all events land in the same ones.
    """

    hub: Hub
    stream: str = STREAM
    _known: dict[str, tuple[Counted, ...]] = field(default_factory=dict)

    def since(self, since: dt.datetime, now: dt.datetime) -> Iterator[Counted]:
        """The counts of the periods that began since a time, each once."""
        seen: set[str] = set()
        keys = list(self._keys(since, now))
        for key in self._known.keys() - set(keys):
            del self._known[key]  # of earlier stages
        for key in keys:
            for each in self._counts_in(key):
                if each.begins >= since and each.message not in seen:
                    yield each
            seen |= {each.message for each in self._counts_in(key)}

    def _keys(self, since: dt.datetime, now: dt.datetime) -> Iterator[str]:
        hour = since.replace(minute=0, second=0, microsecond=0)
        while hour <= now + _HOUR:
            folder = f"{LANDING}/source=segment/{hour:%Y/%m/%d/%H}/"
            keys = (each.key for each in self.hub.objects(folder))
            yield from (key for key in keys if key.removeprefix(folder).startswith(self.stream))
            hour += _HOUR

    def _counts_in(self, key: str) -> tuple[Counted, ...]:
        if key not in self._known:
            self._known[key] = tuple(_parse_counts(self.hub.get(key)))
        return self._known[key]


def _parse_counts(content: bytes) -> Iterator[Counted]:
    text = zlib.decompress(content, _GZIP) if content[:2] == b"\x1f\x8b" else content
    for line in text.splitlines():
        if COUNTED.encode() not in line:
            continue
        try:
            event = _decode(line)
            if event["event"] == COUNTED:
                begins = dt.datetime.fromisoformat(event["timestamp"])
                yield from (Counted(event["messageId"], begins, item) for item in event["properties"]["items"])
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            continue  # the event contract of the marts reports it


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
    values = (each.get(name, 0) for each in counted)
    return sum(int(value) for value in values if isinstance(value, int | float) and math.isfinite(value))


def _last_of(sums: Sums) -> Sums:
    """The sums as of the last day."""
    return Sums(**{name: float(np.asarray(value)[-1]) for name, value in vars(sums).items()})
