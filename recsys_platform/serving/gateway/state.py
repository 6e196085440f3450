"""What the handlers of a gateway share: one object a process."""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from recsys_platform.common.clock import utc_now
from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.experiments.audience import Reader
from recsys_platform.serving.answer_counts import AnswerCounts
from recsys_platform.serving.bounded import BoundedCache
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.limits import Limits
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.gateway.prepared_lists import Prepared, SharedLists
from recsys_platform.serving.recent_events import GUEST, RecentEvents
from recsys_platform.serving.recommending import Backend, InProcess, Recommendations, ShadowTraffic, Source
from recsys_platform.serving.routing import PLAIN, Route
from recsys_platform.serving.shared_redis import SharedRedis
from recsys_platform.serving.snapshot import Profile
from recsys_platform.serving.traced import TracedBackend
from recsys_platform.serving.tracing import Tracing

_LOG = logging.getLogger(__name__)
LISTS_BYTES, EXPOSURES_BYTES = 64_000_000, 32_000_000
"""What a process keeps of lists that are ready to send, and of exposures that may be explained."""
_THREADS = 64
NO_ANSWER = "none"
"""The source where none answered."""


class Shown(NamedTuple):
    """A list that was shown: to whom, None for a guest, what (packed), and by which source and route."""

    user_id: str | None
    answer: bytes
    source: Source
    route: Route


@dataclass
class Gateway:
    """Everything that a request may need; no handler opens anything.

    `backend`: model hosts, if models are not in this process. `shared`: the Redis of several gateways. `logged_share`: of the
    requests, those that the access log has.
    """

    follower: Follower
    recent: RecentEvents
    spool: EventSpool
    access: Access
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    lists: BoundedCache[Prepared] = field(default_factory=lambda: BoundedCache(LISTS_BYTES))
    exposures: BoundedCache[Shown] = field(default_factory=lambda: BoundedCache(EXPOSURES_BYTES))
    backend: Backend | None = None
    logged_share: float = 0
    tracing: Tracing | None = None
    shared: SharedRedis | None = None
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    """How ids that are e-mail addresses stand in the marts."""
    shadow: ShadowTraffic | None = None
    """Compares some live lists with those of another model."""
    counts: AnswerCounts | None = None
    """Counts answers, for the canary and the marts."""
    now: Callable[[], dt.datetime] = utc_now
    """The time of exposures and posted events."""
    origins: tuple[str, ...] = ()
    """Origins of web pages that may call the API."""

    def __post_init__(self) -> None:
        """Make what answers."""
        # Also without a scrape: another worker may be the one that is asked.
        self.spool.on_handed_over = lambda: self.metrics.set_spool(self.spool)
        self.shared_lists = SharedLists(self.shared) if self.shared else None
        self.computing: dict[Any, asyncio.Task[Prepared]] = {}
        backend = TracedBackend(self.backend or InProcess(), self.tracing) if self.tracing else self.backend
        self.recommendations = Recommendations(
            lambda: self.follower.served,
            self.recent,
            lambda what: self.metrics.failures.labels(what).inc(),
            backend,
            self.pseudonyms,
            self.shadow,
        )

    @cached_property
    def pool(self) -> ThreadPoolExecutor:
        """Threads in which several models that are elsewhere are asked at the same time."""
        return ThreadPoolExecutor(_THREADS, thread_name_prefix="ask-models")

    @property
    def is_remote(self) -> bool:
        """Whether models are asked over the network."""
        return self.backend is not None

    def route_of(self, reader: str, surface: str, profile: Callable[[], Profile], language: str = "") -> Route:
        """The route of a reader, or of a guest by the guest's key. `profile`: asked only for experiments with an audience.

        Experiments deal the unit of the first answer that named one: who was a guest then keeps the variant with an account.
        """
        routing = self.follower.routing
        if not routing.may_differ:
            return PLAIN
        unit = self.unit_of(reader) or reader.removeprefix(GUEST)
        route = routing.route(unit, surface, lambda: _known_of(profile(), language, is_guest=reader.startswith(GUEST)))
        if route.experiment is not None:
            self.recent.keep_unit(reader, unit)
        return route

    def unit_of(self, reader: str) -> str | None:
        """The unit of a reader as the marts have it, or as gateways remember it; None if no answer named an experiment."""
        snapshot = self.follower.served.snapshot
        return (snapshot.unit_of(reader) if snapshot else None) or self.recent.unit_of(reader)

    def keep_unit_of_guest(self, device: str, user: str) -> None:
        """Let an account have the unit of the guest who signs in to it, if its own answers named no experiment yet."""
        unit = self.recent.unit_of(f"{GUEST}{device}")
        if unit is not None and self.unit_of(user) is None:
            self.recent.keep_unit(user, unit)

    def facts_of(self, request_id: str) -> dict[str, str]:
        """What one of the newest requests was answered by, for logs and traces; of a home page, the first shelf."""
        ids = (request_id, *(f"{request_id}.{shelf.name}" for shelf in self.follower.routing.shelves))
        shown = next(filter(None, map(self.exposures.get, ids)), None)
        return {"source": shown.source, "variant": shown.route.variant} if shown else {}

    def count_failure(self, route: Route) -> None:
        """Count a request that a route was found for, and no answer."""
        if self.counts is not None:
            self.counts.add(route, NO_ANSWER, self.now(), 0, is_error=True)

    def log_failure(self, path: str, request_id: str) -> None:
        """Log the exception that is handled now, without the request: it may hold ids of persons."""
        _LOG.exception("%s failed, request %s", path, request_id)


def _known_of(profile: Profile, language: str, *, is_guest: bool) -> Reader:
    return Reader(profile.language or language, profile.free, is_guest)
