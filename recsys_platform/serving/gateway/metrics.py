"""Metrics of the gateway in Prometheus' format."""

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from itertools import product
from threading import Lock
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.recommending import Source
from recsys_platform.serving.shadow import Comparison

_MOST_WAITING = 1_000
SOURCES = get_args(Source)
Asked = Literal["model", "list"]
"""What a list was asked of: a model, or what is published for everybody, such as popular or similar books."""
_SHARES, _CORRELATIONS = [each / 10 for each in range(11)], [each / 5 for each in range(-5, 6)]
_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class _Totals:
    """A counter of what is counted elsewhere in this process: collectors send how much a counter rose, and a gauge as it is."""

    def __init__(self, name: str, description: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._counter = Counter(name, description, labels, registry=registry)
        self._known: dict[tuple[str, ...], float] = {}
        self._lock = Lock()

    def rise_to(self, total: float, *labels: str) -> None:
        """Add what the total is above the last one; at first the counter is there with 0."""
        with self._lock:
            rise = total - self._known.get(labels, 0.0)
            self._known[labels] = total
            self._counter.labels(*labels).inc(max(0.0, rise))


class Metrics:
    """Rate, errors and duration by route, answers by source, events by what became of them."""

    def __init__(self) -> None:
        """Metrics of one process, or of workers that write theirs into the folder that the library reads from the environment."""
        self.is_of_workers = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self.registry = CollectorRegistry()
        self._requests = Counter("recsys_requests", "Requests.", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "recsys_request_seconds", "Seconds to the answer.", ["route"], buckets=_BUCKETS, registry=self.registry
        )
        of: list[str] = ["source", "asked", "fallback"]
        answers = Counter("recsys_answers", "Lists by what answered.", of, registry=self.registry)
        self._answers = {
            (source, asked, fallback): answers.labels(source, asked, "yes" if fallback else "no").inc
            for source, asked, fallback in product(SOURCES, get_args(Asked), (True, False))
        }
        self.failures = Counter("recsys_failures", "Rungs that failed.", ["what"], registry=self.registry)
        self.events = Counter("recsys_events", "Posted events.", ["verdict"], registry=self.registry)
        cached = Counter("recsys_cache", "Lists from the cache, or not.", ["result"], registry=self.registry)
        self._cache = {result: cached.labels(result).inc for result in ("hit", "miss")}
        self._waiting: deque[tuple[Callable[[float], None], float]] = deque()
        self._ages = Gauge(
            "recsys_served_age_seconds",
            "Age of the snapshot and of the model in production.",
            ["what"],
            registry=self.registry,
            multiprocess_mode="livemostrecent",  # only the worker that is asked sets it
        )
        self._add_metrics_of_spool()
        self._add_metrics_of_shadow()

    def _add_metrics_of_spool(self) -> None:
        of: list[str] = ["destination", "what"]
        self._spool = _Totals("recsys_spool", "Events of the spool.", ["what"], self.registry)
        self._destinations = _Totals("recsys_destination", "Events delivered, dead or dropped.", of, self.registry)
        self._waiting_files = Gauge(
            "recsys_destination_waiting",
            "Files and bytes that wait for a destination, and the age of the oldest.",
            of,
            registry=self.registry,
            multiprocess_mode="livemax",  # workers share what waits
        )

    def _add_metrics_of_shadow(self) -> None:
        self._shadows = Counter("recsys_shadow", "Lists asked of the shadow.", ["result"], registry=self.registry)
        self._overlap = Histogram(
            "recsys_shadow_overlap", "Share of books in both lists.", buckets=_SHARES, registry=self.registry
        )
        self._correlation = Histogram(
            "recsys_shadow_correlation", "Of the ranks in both.", buckets=_CORRELATIONS, registry=self.registry
        )
        self._shadow_seconds = Histogram(
            "recsys_shadow_seconds", "Seconds to the list.", ["of"], buckets=_BUCKETS, registry=self.registry
        )

    def count_shadow(self, result: str, found: Comparison | None) -> None:
        """Count a list that was asked of the shadow: `compared`, `dropped` or `failed`."""
        self._shadows.labels(result).inc()
        if found is None:
            return
        self._overlap.observe(found.overlap)
        if found.correlation == found.correlation:  # at least two books are in both
            self._correlation.observe(found.correlation)
        self._shadow_seconds.labels("answer").observe(found.seconds)
        self._shadow_seconds.labels("shadow").observe(found.shadow_seconds)

    def set_ages(self, ages: Mapping[str, float]) -> None:
        """Set the age of what is served, in seconds."""
        for what, seconds in ages.items():
            self._ages.labels(what).set(seconds)

    def set_spool(self, spool: EventSpool) -> None:
        """Set what became of events: written, delivered to the landing, delivered to destinations."""
        landing = spool.landing.figures
        figures = {
            **asdict(spool.figures),
            "delivered_files": landing.delivered_files,
            "failed_deliveries": landing.failed_deliveries,
        }
        for what, value in figures.items():
            self._spool.rise_to(value, what)
        for queue in spool.queues:
            for what, value in asdict(queue.figures).items():
                self._destinations.rise_to(value, queue.name, what)
            for what, value in asdict(queue.waiting).items():
                self._waiting_files.labels(queue.name, what).set(value)

    def count_answer(self, source: Source, asked: Asked = "list", *, fallback: bool | None = None) -> None:
        """Count a list by the source that answered.

        `fallback`: whether it stands in for a better one; by default, whether there is none or a model was asked and did not answer.
        """
        if fallback is None:
            fallback = source == "none" or (asked == "model" and source != "live")
        self._add(self._answers[source, asked, fallback], 1)

    def count_cached(self, result: Literal["hit", "miss"]) -> None:
        """Count a list that was in the cache, or was not."""
        self._add(self._cache[result], 1)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._add(self._of_route(route, status), seconds)

    def _add(self, to: Callable[[float], None], value: float) -> None:
        """Add to a metric before the metrics are read next: many at once cost less than each in the middle of a request.

        Workers add at once, since another one may be asked for the metrics of all.
        """
        if self.is_of_workers:
            to(value)
            return
        self._waiting.append((to, value))
        if len(self._waiting) > _MOST_WAITING:
            self._add_waiting()

    def _add_waiting(self) -> None:
        with suppress(IndexError):  # another thread may do the same
            while True:
                to, value = self._waiting.popleft()
                to(value)

    @cache  # noqa: B019  # one object a process; a look-up by labels costs more than the count
    def _of_route(self, route: str, status: int) -> Callable[[float], None]:
        requests, histogram = self._requests.labels(route, str(status)), self._seconds.labels(route)

        def observe(seconds: float) -> None:
            requests.inc()
            histogram.observe(seconds)

        return observe

    def text(self) -> bytes:
        """All metrics as Prometheus reads them; sums over the workers, if there are several."""
        if not self.is_of_workers:
            self._add_waiting()
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
