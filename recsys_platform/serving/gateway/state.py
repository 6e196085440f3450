"""What the handlers of a gateway share: one object a process."""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.limits import Limits
from recsys_platform.serving.gateway.metrics import Metrics
from recsys_platform.serving.recent_events import RecentEvents
from recsys_platform.serving.recommending import Answer, Backend, Recommendations

_LOG = logging.getLogger(__name__)
Value = TypeVar("Value")


class Bounded(OrderedDict[Any, Value], Generic[Value]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self, most: int) -> None:
        """`most`: how many entries are kept."""
        super().__init__()
        self._most = most

    def keep(self, key: Any, value: Value) -> None:
        """Set an entry."""
        self[key] = value
        if len(self) > self._most:
            self.popitem(last=False)


@dataclass(frozen=True)
class Prepared:
    """A list that is ready to send: the body with a place for the request id, and what its exposure says."""

    answer: Answer
    etag: str
    body: bytes
    shown: msgspec.Raw


@dataclass
class Gateway:
    """Everything that a request may need; no handler opens anything. `backend`: model hosts, if models are not in this process."""

    follower: Follower
    recent: RecentEvents
    spool: EventSpool
    access: Access
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    lists: Bounded[Prepared] = field(default_factory=lambda: Bounded(20_000))
    exposures: Bounded[tuple[str | None, Answer]] = field(default_factory=lambda: Bounded(20_000))
    signed_in: Bounded[str] = field(default_factory=lambda: Bounded(100_000))
    """Who is signed in on a device, by its anonymous id."""
    backend: Backend | None = None

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
