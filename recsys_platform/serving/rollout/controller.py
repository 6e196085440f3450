"""Move a canary: by its tests, one step at a time, or by what a person decides.

Belongs here: reading the state, asking the pure function, writing, and what follows in the registry of models. Does not: the decision
(experiments/canary.py), the data (observing.py), schedules (defs/).
"""

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.processes import current_user
from recsys_platform.config.factories import hub_of, reading_copy_of, registry_of, warehouse_of
from recsys_platform.config.settings import Settings
from recsys_platform.experiments.canary import (
    CanaryPlan,
    CanaryState,
    Observation,
    Status,
    Trouble,
    pin,
    release,
    step,
    stop,
)
from recsys_platform.recommender.registry.promotion import CANARY_AUTHOR, GATE, promote_after_canary
from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry, VersionInfo
from recsys_platform.serving.answer_counts import STREAM
from recsys_platform.serving.rollout.history import StepHistory
from recsys_platform.serving.rollout.observing import LandedCounts, Observer
from recsys_platform.serving.rollout.plan_file import load_plan
from recsys_platform.serving.rollout.record import CanaryError, CanaryRecord, started_record, with_new_name
from recsys_platform.serving.rollout.store import ChangedMeanwhileError, StateStore, state_store_of
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

ATTEMPTS = 5
_LOCK_WAIT = 1.0
_OPEN = (Status.RUNNING, Status.PINNED)
_TAKEN_OUT = (Status.STOPPED, Status.ROLLED_BACK)
_NO_PRODUCTION = "held: no model is in production"
_MOVED = "held: production is another recipe"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What a step found and did. `after`: None if there is no canary. `observation`: None if nothing was or could be observed."""

    before: CanaryRecord | None
    after: CanaryRecord | None
    observation: Observation | None = None

    @property
    def is_change(self) -> bool:
        """Whether more than figures changed."""
        return self.before is not None and self.after is not None and self.before.number != self.after.number


@dataclass(frozen=True)
class Rollout:
    """The canary of a world. `observe`: reads what both groups did; raises RecsysError if it cannot."""

    store: StateStore
    registry: Registry
    history: StepHistory
    plan: CanaryPlan
    observe: Callable[[CanaryRecord, dt.datetime], Observation]

    def status(self) -> CanaryRecord | None:
        """The canary as it is now; None if there never was one."""
        return self.store.read()

    def look(self, now: dt.datetime | None = None) -> Observation | None:
        """What both groups of the canary did so far; None if there is none, or if nothing could be read."""
        record = self.store.read()
        return self._observed(record, now or utc_now()) if record else None

    def start(
        self, model: str, *, because: str, who: str | None = None, now: dt.datetime | None = None
    ) -> CanaryRecord:
        """Give a version a small share of the visitors. `model`: a version of the registry, or an alias such as `challenger`.

        Raises CanaryError while another canary is open, or if this one was rolled back or stopped; RegistryError if it is damaged.
        """
        before = self.store.read()
        challenger, baseline = self._models(model)
        _check_startable(before, challenger)
        if challenger.rolled_back:
            self._mark_rolled_back(challenger.recipe_hash, rolled_back=False)  # a person decided so
        author = who or current_user()
        at, taken = now or utc_now(), self._taken_names(before)
        record = started_record(challenger, baseline, self.plan, because=because, who=author, now=at, taken=taken)
        return self._written(record, before)

    def start_after_gate(self, version: str, because: str) -> CanaryRecord | None:
        """Start the canary of a recipe that the gate chose, unless one is open (None): the gate chooses again when that is over."""
        before = self.store.read()
        if before is not None and _is_open(before):
            return None
        return self.start(version, because=because, who=GATE)

    def pin(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Keep a running canary at its share until a person releases it."""
        return self._decided(lambda record: pin(record.state, because), who, now)

    def stop(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Take all visitors from the new model until a person releases it; the gate does not promote its recipe meanwhile."""
        return self._decided(lambda record: _stopped(record, because), who, now)

    def release(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Let the tests decide again: from the same share after a pin, else from the first, with visitors who are dealt anew."""
        at = now or utc_now()
        done = self._decided(lambda record: release(record.state, at, because), who, at)
        self._mark_rolled_back(done.recipe, rolled_back=False)
        return done

    def step(self, now: dt.datetime | None = None) -> Step:
        """Let the tests decide once: further, the same, back, or into production. Without data it stays."""
        at, before = now or utc_now(), self.store.read()
        try:
            if before is not None and _is_going_live(before):  # whoever wrote it was killed before the promotion
                return Step(before, self._gone_live(before, before, at))
            if before is not None and before.status is Status.PINNED:
                return self._watched(before, at)
            if before is None or before.status is not Status.RUNNING:
                if before is not None:
                    self._keep_step(before)
                return Step(before, before)
            return self._stepped(before, at)
        except ChangedMeanwhileError:  # a person was faster, and that holds
            present = self.store.read()
            return Step(present, present)

    def _stepped(self, before: CanaryRecord, now: dt.datetime) -> Step:
        """Step a running canary. Raises ChangedMeanwhileError, and promotes nothing, if a person decided meanwhile."""
        followed = self._followed(self._of_plan(before))
        observation = self._observed(followed, now)
        state = self._state_after(followed, observation, now)
        after = followed.at(state, self.plan, who=CANARY_AUTHOR, now=now, before=before)
        if after.kind == before.kind and after.reason == before.reason:
            self._keep_step(before)
            return Step(before, before, observation)
        if after.status is Status.COMPLETE:  # it keeps its visitors until it is in production
            claim = replace(after, percent=followed.percent, baseline_percent=followed.baseline_percent)
            return Step(before, self._gone_live(self._written(claim, before), before, now), observation)
        return Step(before, self._written(after, before), observation)

    def _watched(self, before: CanaryRecord, now: dt.datetime) -> Step:
        """Look at a pinned canary: it keeps its share, and what would roll it back is a step of its own, which sends an alert.

        So is its recovery, while all guardrails can be judged. It goes on with the newest version of its recipe: gateways have no
        other for the item catalog of today.
        """
        present, observation = self._of_plan(before), self._observed(before, now)
        of_plan = self._followed(present)
        has_baseline = self._has_its_baseline(before)
        state = step(of_plan.state, observation, now, plan=self.plan if has_baseline else self._limits)
        if before.is_broken and not has_baseline:
            state = of_plan.state
        after = of_plan.at(state, self.plan, who=CANARY_AUTHOR, now=now)
        if after.kind == present.kind:
            self._keep_step(before)
            return Step(before, before, observation)
        pinned = replace(after, percent=before.percent, baseline_percent=before.baseline_percent, stage=before.stage)
        return Step(before, self._written(pinned, before), observation)

    def _gone_live(self, claim: CanaryRecord, before: CanaryRecord, now: dt.datetime) -> CanaryRecord:
        """Promote the version of a record that is complete; if that fails it runs on, and the next step tries again."""
        try:
            state = self._promoted_state(claim)
        except RecsysError as error:
            state = replace(claim.state, status=Status.RUNNING, reason=f"held: {error}")
        last = replace(claim, number=before.number, who=before.who, changed_at=before.changed_at)
        return self._written(last.at(state, self.plan, who=CANARY_AUTHOR, now=now, before=before), claim)

    def _promoted_state(self, claim: CanaryRecord) -> CanaryState:
        """The state after the promotion, which is not repeated; a person who moved production meanwhile holds."""
        live = self._live()
        if live and live.recipe_hash == claim.recipe:
            return claim.state
        if live is None or live.recipe_hash != claim.baseline_recipe:
            return replace(claim.state, status=Status.RUNNING, reason=_held_for_production(live))
        promote_after_canary(self.registry, claim.version, why=f"{claim.experiment} is complete.")
        return claim.state

    def _state_after(self, record: CanaryRecord, observation: Observation | None, now: dt.datetime) -> CanaryState:
        """The next state. While there is nothing to compare with, the hard limits hold all the same."""
        live = self._live()
        if live and live.recipe_hash == record.recipe:
            return replace(record.state, status=Status.COMPLETE, reason=f"complete: {live.label} is in production")
        if not self._has_its_baseline(record):
            state = step(record.state, observation, now, plan=self._limits)
            is_broken = state.status is Status.ROLLED_BACK
            return state if is_broken else replace(record.state, reason=_held_for_production(live))
        return step(record.state, observation, now, plan=self.plan)

    @property
    def _limits(self) -> CanaryPlan:
        """The plan with its hard limits alone."""
        return replace(self.plan, tolerated_ratios={}, tolerated_losses={})

    def _has_its_baseline(self, record: CanaryRecord) -> bool:
        """Whether production is the recipe that the canary is compared with."""
        live = self._live()
        return live is not None and live.recipe_hash == record.baseline_recipe

    def _live(self) -> VersionInfo | None:
        version = self.registry.version_of(PRODUCTION)
        return self.registry.info(version) if version else None

    def _of_plan(self, record: CanaryRecord) -> CanaryRecord:
        """The record with the stage that has its percent, in case the plan was edited."""
        reached = [stage for stage, percent in enumerate(self.plan.stages) if percent <= record.percent]
        return replace(record, stage=max(reached, default=0))

    def _followed(self, record: CanaryRecord) -> CanaryRecord:
        """The record with the newest version of its recipe on the item catalog of production, which nightly training makes."""
        versions, production = self.registry.versions(), self.registry.version_of(PRODUCTION)
        catalog = next((each.catalogue_hash for each in versions if each.version == production), None)
        same = (each for each in versions if (each.recipe_hash, each.catalogue_hash) == (record.recipe, catalog))
        newest = next(same, None)
        if newest is None or int(newest.version) <= int(record.version):
            return record
        return replace(record, version=newest.version, label=newest.label)

    def _observed(self, record: CanaryRecord, now: dt.datetime) -> Observation | None:
        try:
            return self.observe(record, now)
        except RecsysError:
            return None

    def _decided(
        self, decide: Callable[[CanaryRecord], CanaryState], who: str | None, now: dt.datetime | None
    ) -> CanaryRecord:
        """Write what a person decided, however often others write meanwhile."""
        for attempt in range(1, ATTEMPTS + 1):
            before = self.store.read()
            if before is None:
                raise CanaryError("There is no canary: start one with `recsys canary start challenger`.")
            of_plan = self._of_plan(before)
            state = decide(of_plan)
            again = before.status in _TAKEN_OUT and state.status is Status.RUNNING
            named = self._renamed(replace(of_plan, started_at=state.since)) if again else of_plan
            after = named.at(state, self.plan, who=who or current_user(), now=now or utc_now())
            if after.number == before.number:  # the same decision with other figures is a step too
                after = replace(after, who=who or current_user(), changed_at=now or utc_now(), number=before.number + 1)
            try:
                return self._written(after, before)
            except ChangedMeanwhileError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _renamed(self, record: CanaryRecord) -> CanaryRecord:
        return with_new_name(record, self._taken_names(record))

    def _taken_names(self, before: CanaryRecord | None) -> set[str]:
        """Names of earlier canaries: under one of them, what was seen then would count again."""
        return {*self.history.steps()["experiment"], *([before.experiment] if before else [])}

    def _written(self, record: CanaryRecord, before: CanaryRecord | None) -> CanaryRecord:
        """Write a record before anything else: what is in the way of the history must not keep visitors at a bad model."""
        if before is not None:
            record = replace(record, revision=before.revision + 1)
        self.store.write(record, before)
        if before is not None:
            self._keep_step(before)  # in case whoever wrote it was killed before that
        self._keep_step(record, is_new=True)
        return record

    def _keep_step(self, record: CanaryRecord, *, is_new: bool = False) -> None:
        """Keep a step and what follows from it, once: a person may bring the recipe back by `recsys promote`, and that holds."""
        if _is_going_live(record):
            return  # the step is done when the version is in production
        is_kept = self._is_kept(record)
        if record.status in _TAKEN_OUT and (is_new or is_kept is False):
            self._mark_rolled_back(record.recipe, rolled_back=True)
        try:
            if is_kept is False:
                self.history.keep(record)
            else:
                self.history.store_waiting()
        except (OSError, RecsysError) as error:
            _LOG.warning("The step %s of the canary is not in the history yet: %s", record.step_id, error)

    def _is_kept(self, record: CanaryRecord) -> bool | None:
        """Whether the history has the step; None if it cannot be read."""
        try:
            return self.history.knows(record)
        except (OSError, RecsysError) as error:
            _LOG.warning("The history of the canary cannot be read: %s", error)
            return None

    def _mark_rolled_back(self, recipe: str, *, rolled_back: bool) -> None:
        """Let the gate promote a recipe, or not."""
        same = [each for each in self.registry.versions() if each.recipe_hash == recipe]
        if not rolled_back:
            for each in same:
                if each.rolled_back:
                    self.registry.mark_rolled_back(each.version, rolled_back=False)
        elif same and not any(each.rolled_back for each in same):
            self.registry.mark_rolled_back(same[0].version, rolled_back=True)

    def _models(self, model: str) -> tuple[VersionInfo, VersionInfo]:
        """The challenger, whose files are whole, and the version in production."""
        production = self.registry.version_of(PRODUCTION)
        if production is None:
            raise CanaryError(
                "No model is in production, so there is nothing to compare a canary with: run `recsys run`."
            )
        version = self.registry.version_of(model) if model in ALIASES else model
        if version is None:
            raise CanaryError(f"There is no {model}: `recsys models` lists the versions, name one.")
        challenger, baseline = self.registry.load(version).info, self.registry.info(production)
        if version == production:
            raise CanaryError(f"{challenger.label} is in production already: name another version.")
        if challenger.catalogue_hash != baseline.catalogue_hash:
            raise CanaryError(
                f"{challenger.label} was trained on another item catalog than production: train its variant again with `recsys run`."
            )
        return challenger, baseline


def landed_counts_of(settings: Settings) -> LandedCounts:
    """The counts that land in the hub of a world."""
    return LandedCounts(hub_of(settings), STREAM if settings.event_stream is None else "", settings.plain_salt)


def rollout_of(settings: Settings, counts: LandedCounts | None = None) -> Rollout:
    """The canary of a world. `counts`: those of before, which remember what they read. Raises CanaryError for a wrong plan."""
    plan, warehouse = load_plan(settings), warehouse_of(settings)
    reading = (lambda: reading_copy_of(settings)) if settings.env == "local" else None
    if isinstance(warehouse, DuckDBWarehouse):
        warehouse = replace(warehouse, lock_wait=_LOCK_WAIT)  # what waits is written by a later step
    return Rollout(
        store=state_store_of(settings),
        registry=registry_of(settings),
        history=StepHistory(settings.serving_root / "canary", warehouse, reading),
        plan=plan,
        observe=Observer(counts or landed_counts_of(settings), warehouse, plan, reading).observe,
    )


def _check_startable(before: CanaryRecord | None, challenger: VersionInfo) -> None:
    if before is None:
        return
    if _is_open(before):
        raise CanaryError(f"The canary of {before.label} is {before.status}: stop it before another one starts.")
    if before.status in _TAKEN_OUT and before.recipe == challenger.recipe_hash:
        raise CanaryError(
            f"The canary of {before.label} is {before.status}: `recsys canary release --reason …` starts it again."
        )


def trouble_of(record: CanaryRecord) -> Trouble | None:
    """Why a person is to look at a canary; None if all is well. A canary is held if production is not what it began against."""
    if record.status is Status.ROLLED_BACK:
        return Trouble.ROLLED_BACK
    if record.status is Status.PINNED and record.is_broken:
        return Trouble.BROKEN_BUT_PINNED
    is_held = record.status is Status.RUNNING and record.reason.startswith((_MOVED, _NO_PRODUCTION))
    return Trouble.HELD if is_held else None


def _is_going_live(record: CanaryRecord) -> bool:
    """Whether all tests are passed, and the promotion is to come."""
    return record.status is Status.COMPLETE and record.is_live


def _is_open(record: CanaryRecord) -> bool:
    return record.status in _OPEN or _is_going_live(record)


def _held_for_production(live: VersionInfo | None) -> str:
    """Why the groups say nothing: somebody moved production meanwhile."""
    if live is None:
        return _NO_PRODUCTION
    return f"{_MOVED}, {live.label}, than when it began: stop it, then start again"


def _stopped(record: CanaryRecord, because: str) -> CanaryState:
    if _is_going_live(record):
        raise CanaryError(f"{record.label} is going into production: run `recsys canary step`, then look at it again.")
    if record.status is Status.COMPLETE:
        raise CanaryError(
            f"The canary of {record.label} is complete: `recsys rollback` brings the model before it back."
        )
    return stop(record.state, because)
