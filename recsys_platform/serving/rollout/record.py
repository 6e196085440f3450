"""The state of a canary as gateways, commands and the sensor share it: one small JSON text.

Belongs here: what is in it, and which group a visitor is in. Does not: where it is kept (store.py), who changes it (controller.py).
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from typing import Annotated, Any

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from recsys_platform.common.errors import RecsysError
from recsys_platform.common.validation import first_problem
from recsys_platform.experiments.assignment import Name
from recsys_platform.experiments.buckets import BUCKETS, bucket
from recsys_platform.experiments.canary import CanaryPlan, CanaryState, Status
from recsys_platform.recommender.registry.versions import VersionInfo

CANARY, BASELINE = "canary", "baseline"
"""The variants of the experiment that a canary is."""
LONGEST_REASON = 500
_LONGEST_NAME = 63
_Percent = Annotated[int, Field(ge=0, le=100)]


class CanaryError(RecsysError):
    """The state of the canary cannot be read, or does not allow what is asked for."""


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))  # a newer version of the platform may write more
class CanaryRecord:
    """Where a canary is, and the shares of visitors that gateways route.

    `experiment`: its name in exposures and marts. `version`, `label`: of the registry. `recipe`, `baseline_recipe`: hashes of the
    recipes that are compared; versions on newer data take the place of older ones. `since`: when the stage began. `number`: counts
    the steps that changed more than figures in `reason`; the last was at `changed_at` by `who`. `revision`: grows with each write.
    `finding`, `is_broken`: what the tests found since a person pinned it, and whether they would roll it back.
    """

    experiment: Name
    version: Annotated[str, Field(min_length=1)]
    label: str
    recipe: str
    baseline_recipe: str
    started_at: AwareDatetime
    since: AwareDatetime
    changed_at: AwareDatetime
    percent: _Percent
    baseline_percent: _Percent
    stage: Annotated[int, Field(ge=0)] = 0
    status: Status = Status.RUNNING
    reason: str = ""
    who: str = ""
    number: int = 1
    revision: int = 1
    finding: str = ""
    is_broken: bool = False

    @property
    def state(self) -> CanaryState:
        """What the pure function steps."""
        return CanaryState(self.since, self.stage, self.status, self.reason, self.finding, self.is_broken)

    @property
    def news(self) -> str:
        """Why the last step was made: what the tests found of a pinned canary, else the reason."""
        return self.finding or self.reason

    @property
    def is_live(self) -> bool:
        """Whether visitors see the new model."""
        return self.percent > 0

    @property
    def step_id(self) -> str:
        """Names the step that led here."""
        return f"{self.experiment} {self.started_at:%Y%m%dT%H%M%S} {self.number}"

    def variant_of(self, visitor: str) -> str | None:
        """The group of a visitor; None for one of the rest. A larger percent keeps all readers of the canary in."""
        at = bucket(self.experiment, visitor)
        if at < self.percent * BUCKETS // 100:
            return CANARY
        return BASELINE if at >= BUCKETS - self.baseline_percent * BUCKETS // 100 else None

    def at(
        self,
        state: CanaryState,
        plan: CanaryPlan,
        *,
        who: str,
        now: dt.datetime,
        before: "CanaryRecord | None" = None,
    ) -> "CanaryRecord":
        """Return the record of the next state; only new figures in the reason since `before`, by default this one, are no step."""
        percent = 0 if state.status is Status.COMPLETE else state.percent(plan)
        later = replace(
            self,
            since=state.since,
            stage=state.stage,
            status=state.status,
            reason=state.reason[:LONGEST_REASON],
            finding=state.finding[:LONGEST_REASON],
            is_broken=state.is_broken,
            percent=percent,
            baseline_percent=min(percent, 100 - percent),
            revision=self.revision + 1,
        )
        if later.kind == (before or self).kind:
            return later
        return replace(later, who=who, changed_at=now, number=self.number + 1)

    @property
    def kind(self) -> tuple[object, ...]:
        """What two records have in common if there is no step between them."""
        reason = re.sub(r"[-+]?\d[\d.,]*", "#", self.reason)
        return self.experiment, self.version, self.stage, self.status, self.is_broken, reason


_ADAPTER = TypeAdapter(CanaryRecord)


def record_text(record: CanaryRecord) -> str:
    """Return a record as JSON."""
    return _ADAPTER.dump_json(record, indent=1).decode()


def parse_canary(content: Any, *, where: str = "The canary") -> CanaryRecord | None:
    """Validate the content of a state; None if it is empty. Raises CanaryError."""
    if content is None:
        return None
    if not isinstance(content, Mapping):
        raise CanaryError(f"{where} is not the state of a canary: remove it, or start a canary again.")
    try:
        found = _ADAPTER.validate_python(content)
    except ValidationError as error:
        raise CanaryError(f"{where}: {first_problem(error)}.") from error
    if found.percent + found.baseline_percent > 100:
        raise CanaryError(f"{where}: the two groups have more than 100 % of the visitors.")
    return found


def started_record(
    challenger: VersionInfo,
    baseline: VersionInfo,
    plan: CanaryPlan,
    *,
    because: str,
    who: str,
    now: dt.datetime,
    taken: Collection[str] = (),
) -> CanaryRecord:
    """Return the record of a canary that begins now. `taken`: names of canaries before."""
    percent, name = plan.stages[0], re.sub("[^a-z0-9_]+", "_", challenger.label.lower())
    return CanaryRecord(
        experiment=_free_name(f"canary_{name}", taken),
        version=challenger.version,
        label=challenger.label,
        recipe=challenger.recipe_hash,
        baseline_recipe=baseline.recipe_hash,
        started_at=now,
        since=now,
        changed_at=now,
        percent=percent,
        baseline_percent=min(percent, 100 - percent),
        reason=because[:LONGEST_REASON],
        who=who,
    )


def with_new_name(record: CanaryRecord, taken: Collection[str]) -> CanaryRecord:
    """Return the record under a name that is not taken: all visitors are dealt anew, and what was seen before does not count."""
    base = re.sub(r"__\d+$", "", record.experiment)
    return replace(record, experiment=_free_name(base, {*taken, record.experiment}))


def _free_name(base: str, taken: Collection[str]) -> str:
    """The name of an experiment that is not taken: the base, or the base with the first free number."""
    suffixes = (f"__{number}" if number > 1 else "" for number in count(1))
    names = (base[: _LONGEST_NAME - len(suffix)] + suffix for suffix in suffixes)
    return next(name for name in names if name not in taken)
