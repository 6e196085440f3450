"""What the handlers of a gateway share: one object a process."""

import logging
from dataclasses import dataclass, field

import msgspec

from recsys_platform.serving.bounded import Bounded
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.limits import Limits
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.recent_events import RecentEvents
from recsys_platform.serving.recommending import Answer, Backend, Recommendations
from recsys_platform.serving.shared_redis import SharedRedis

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A list that is ready to send: the body with a place for the request id, and what its exposure says."""

    answer: Answer
    etag: str
    body: bytes
    shown: msgspec.Raw


@dataclass
class Gateway:
    """Everything that a request may need; no handler opens anything.

    `backend`: model hosts, if models are not in this process. `shared`: the Redis of several gateways.
    """

    follower: Follower
    recent: RecentEvents
    spool: EventSpool
    access: Access
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    lists: Bounded[Prepared] = field(default_factory=lambda: Bounded(20_000))
    exposures: Bounded[tuple[str | None, Answer]] = field(default_factory=lambda: Bounded(20_000))
    backend: Backend | None = None
    shared: SharedRedis | None = None

    def __post_init__(self) -> None:
        """Make what answers."""
        self.recommendations = Recommendations(
            lambda: self.follower.served,
            self.recent,
            lambda what: self.metrics.failures.labels(what).inc(),
            self.backend,
        )

    @property
    def is_remote(self) -> bool:
        """Whether models are asked over the network."""
        return self.backend is not None

    def log_failure(self, path: str, request_id: str) -> None:
        """Log the exception that is handled now, without the request: it may hold ids of persons."""
        _LOG.exception("%s failed, request %s", path, request_id)
