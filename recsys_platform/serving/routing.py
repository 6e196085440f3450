"""Which model answers a visitor: the experiments of the world, read again within seconds, the last valid ones if they break.

Belongs here: keeping the experiments fresh. Does not: the assignment (experiments/assignment.py).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recsys_platform.common.errors import RecsysError
from recsys_platform.experiments.assignment import Experiment, assign
from recsys_platform.recommender.registry.versions import PRODUCTION

_LOG = logging.getLogger(__name__)
NO_EXPERIMENT = "none"


@dataclass(frozen=True)
class Route:
    """The model for a visitor, an alias or a version, and the experiment and variant because of which."""

    model: str = PRODUCTION
    experiment: str | None = None
    variant: str = PRODUCTION


class Routing:
    """Routes visitors by the experiments that a function reads; what it cannot read is logged once, and the last ones stay."""

    def __init__(self, read: Callable[[], Sequence[Experiment]] = tuple) -> None:
        """`read`: gives the experiments; it may raise RecsysError."""
        self._read = read
        self._experiments: Sequence[Experiment] = ()
        self.error: str | None = None
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read the experiments again."""
        with self._lock:
            try:
                self._experiments, self.error = self._read(), None
            except RecsysError as error:
                if str(error) != self.error:
                    _LOG.error("The experiments stay as they are: %s", error)
                self.error = str(error)

    def route(self, visitor: str, surface: str) -> Route:
        """The route of a visitor on a surface."""
        found = assign(self._experiments, visitor, surface)
        return Route(found.variant.model, found.experiment, found.variant.name) if found else _PLAIN

    def models(self) -> tuple[str, ...]:
        """The aliases and versions that may answer, production first."""
        named = (variant.model for each in self._experiments for variant in each.variants)
        return tuple(dict.fromkeys((PRODUCTION, *named)))


_PLAIN = Route()
