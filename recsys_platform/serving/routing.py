"""Which model answers a visitor, and which shelves a home page has: by files that are read again within seconds.

Belongs here: keeping what was read fresh, and the last valid of it if it breaks. Does not: the assignment
(experiments/assignment.py), the files (shelves.py, routing_files.py).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from recsys_platform.common.errors import RecsysError
from recsys_platform.experiments.assignment import Experiment, Experiments
from recsys_platform.experiments.audience import UNKNOWN, Reader
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.rollout.record import CANARY, CanaryRecord
from recsys_platform.serving.shadow_rule import ShadowRule
from recsys_platform.serving.shelves import ShelfRule, default_shelves

_LOG = logging.getLogger(__name__)
NO_EXPERIMENT = "none"
Value = TypeVar("Value")


class Route(msgspec.Struct, frozen=True):
    """The model for a visitor, an alias or a version, and the experiment and variant because of which."""

    model: str = PRODUCTION
    experiment: str | None = None
    variant: str = PRODUCTION


@dataclass(frozen=True)
class First:
    """What is valid before anything was read; no shelves stand for those of the package."""

    experiments: Sequence[Experiment] = ()
    shelves: Sequence[ShelfRule] = ()
    shadow: ShadowRule | None = None
    canary: CanaryRecord | None = None


class LastValid(Generic[Value]):
    """What a function read last; while it raises RecsysError, which is logged once, the value stays."""

    def __init__(self, what: str, read: Callable[[], Value], first: Value) -> None:
        """`what`: for the log, such as `experiments`. `first`: the value before anything was read."""
        self._what, self._read, self.value = what, read, first
        self.error: str | None = None

    def refresh(self) -> None:
        """Read again."""
        try:
            self.value, self.error = self._read(), None
        except RecsysError as error:
            if str(error) != self.error:
                _LOG.error("What was valid last stays, of %s: %s", self._what, error)
            self.error = str(error)


class Routing:
    """Routes visitors by experiments, and knows the shelves of a home page."""

    def __init__(
        self,
        read: Callable[[], Sequence[Experiment]] = tuple,
        read_shelves: Callable[[], Sequence[ShelfRule]] = default_shelves,
        read_shadow: Callable[[], ShadowRule | None] = lambda: None,
        read_canary: Callable[[], CanaryRecord | None] = lambda: None,
        *,
        first: "First | None" = None,
    ) -> None:
        """`read`, `read_shelves`, `read_shadow`, `read_canary`: give what is of now; they may raise RecsysError.

        `first`: what is valid before they were read.
        """
        first = first or First()
        self._experiments = LastValid[Sequence[Experiment]]("experiments", read, first.experiments)
        self._shelves = LastValid[Sequence[ShelfRule]]("shelves", read_shelves, first.shelves or default_shelves())
        self._shadow = LastValid[ShadowRule | None]("shadow traffic", read_shadow, first.shadow)
        self._canary = LastValid[CanaryRecord | None]("the canary", read_canary, first.canary)
        self._lock = threading.Lock()

    @property
    def error(self) -> str | None:
        """What is wrong with what was read last, if anything is."""
        errors = [self._experiments.error, self._shelves.error, self._shadow.error, self._canary.error]
        return " ".join(filter(None, errors)) or None

    @property
    def shelves(self) -> Sequence[ShelfRule]:
        """The shelves of a home page, from top to bottom."""
        return self._shelves.value

    @property
    def shadow(self) -> ShadowRule | None:
        """The model that is asked beside others, if one is."""
        return self._shadow.value

    def refresh(self) -> None:
        """Read all of it again."""
        with self._lock:
            self._experiments.refresh()
            self._shelves.refresh()
            self._shadow.refresh()
            self._canary.refresh()

    def route(self, visitor: str, surface: str, reader: Callable[[], Reader] = lambda: UNKNOWN) -> Route:
        """The route of a visitor on a surface. `reader`: what is known of the visitor, asked only for experiments with an audience."""
        found = self._all.assign(visitor, surface, reader)
        if found:
            return Route(found.variant.model, found.experiment, found.variant.name)
        canary = self._canary.value
        return _route_of_canary(canary, visitor) if canary and canary.is_live else PLAIN

    @property
    def may_differ(self) -> bool:
        """Whether some visitors may get another route than others: by an experiment, the holdout or a canary."""
        experiments, canary = self._all, self._canary.value
        return bool(experiments.running or experiments.holdout or (canary and canary.is_live))

    @property
    def _all(self) -> Experiments:
        value = self._experiments.value
        return value if isinstance(value, Experiments) else Experiments(value)

    def models(self) -> tuple[str, ...]:
        """The aliases and versions that may answer, production first."""
        of_shelves = [each.model for each in self.shelves if each.source == "model"]
        of_shadow = [self.shadow.model] if self.shadow else []
        of_canary = [self._canary.value.version] if self._canary.value and self._canary.value.is_live else []
        return tuple(dict.fromkeys((PRODUCTION, *self._all.models, *of_shelves, *of_shadow, *of_canary)))

    def named_models(self) -> tuple[str, ...]:
        """What may answer, and what experiments name that have not started: none of it may be removed."""
        return tuple(dict.fromkeys((*self.models(), *self._all.planned_models)))


PLAIN = Route()
"""The route of those whom no experiment deals with."""


def _route_of_canary(canary: CanaryRecord, visitor: str) -> Route:
    """The route of a visitor who is in no experiment."""
    variant = canary.variant_of(visitor)
    if variant is None:
        return PLAIN
    return Route(canary.version if variant == CANARY else PRODUCTION, canary.experiment, variant)
