"""Move a canary: by its tests, one step at a time, or by what a person decides.

Belongs here: reading the state, asking the pure function, writing, and what follows in the registry of models. Does not: the decision
(experiments/canary.py), the data (observing.py), schedules (defs/).
"""

import datetime as dt
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
    pin,
    release,
    step,
    stop,
)
from recsys_platform.recommender.registry.promotion import CANARY_AUTHOR, promote_after_canary
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

    @property
    def is_rollback(self) -> bool:
        """Whether this step took the traffic from the new model."""
        return self.is_change and self.after is not None and self.after.status is Status.ROLLED_BACK


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
        record = started_record(challenger, baseline, self.plan, because=because, who=author, now=now or utc_now())
        return self._written(record, before)

    def pin(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Keep a running canary at its share until a person releases it."""
        return self._decided(lambda record: pin(record.state, because), who, now)

    def stop(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Take all visitors from the new model until a person releases it; the gate does not promote its recipe meanwhile."""
        done = self._decided(lambda record: _stopped(record, because), who, now)
        self._mark_rolled_back(done.recipe, rolled_back=True)
        return done

    def release(self, because: str, *, who: str | None = None, now: dt.datetime | None = None) -> CanaryRecord:
        """Let the tests decide again: from the same share after a pin, else from the first, with visitors who are dealt anew."""
        at = now or utc_now()
        done = self._decided(lambda record: release(record.state, at, because), who, at)
        self._mark_rolled_back(done.recipe, rolled_back=False)
        return done

    def step(self, now: dt.datetime | None = None) -> Step:
        """Let the tests decide once: further, the same, back, or into production. Without data it stays."""
        at, before = now or utc_now(), self.store.read()
        if before is None or before.status is not Status.RUNNING:
            self._keep_consequences(before)
            return Step(before, before)
        followed = self._followed(self._of_plan(before))
        observation = self._observed(followed, at)
        state = self._state_after(followed, observation, at)
        after = followed.at(state, self.plan, who=CANARY_AUTHOR, now=at)
        if after.kind != before.kind or after.reason != before.reason:
            try:
                self._written(after, before)
            except ChangedMeanwhileError:  # a person was faster, and that holds
                present = self.store.read()
                return Step(present, present)
        self._keep_consequences(after)
        return Step(before, after, observation)

    def _state_after(self, record: CanaryRecord, observation: Observation | None, now: dt.datetime) -> CanaryState:
        """The next state; it is complete once the version is in production."""
        why = self._why_not_comparable(record)
        if why:
            return replace(record.state, reason=f"held: {why}")
        state = step(record.state, observation, now, plan=self.plan)
        if state.status is Status.COMPLETE:
            try:
                promote_after_canary(self.registry, record.version, why=f"{record.experiment} is complete.")
            except RecsysError as error:
                return replace(record.state, reason=f"held: {error}")
        return state

    def _why_not_comparable(self, record: CanaryRecord) -> str | None:
        """Why the groups say nothing: somebody moved production meanwhile."""
        version = self.registry.version_of(PRODUCTION)
        if version is None:
            return "no model is in production"
        if version != record.version and self.registry.info(version).recipe_hash != record.baseline_recipe:
            return f"production is another recipe, {self.registry.info(version).label}, than when it began: stop it, and start again"
        return None

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
            named = with_new_name(replace(of_plan, started_at=state.since)) if again else of_plan
            after = named.at(state, self.plan, who=who or current_user(), now=now or utc_now())
            if after.number == before.number:  # the same decision with other figures is a step too
                after = replace(after, who=who or current_user(), changed_at=now or utc_now(), number=before.number + 1)
            try:
                return self._written(after, before)
            except ChangedMeanwhileError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _written(self, record: CanaryRecord, before: CanaryRecord | None) -> CanaryRecord:
        if before is not None:
            self.history.keep(before)  # in case whoever wrote it was killed before the step was kept
            record = replace(record, revision=before.revision + 1)
        self.store.write(record, before)
        self.history.keep(record)
        return record

    def _keep_consequences(self, record: CanaryRecord | None) -> None:
        """What follows from a state, also if whoever wrote it was killed before."""
        if record is not None:
            self.history.keep(record)
        if record is not None and record.status in _TAKEN_OUT:
            self._mark_rolled_back(record.recipe, rolled_back=True)

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


def rollout_of(settings: Settings) -> Rollout:
    """The canary of a world; raises CanaryError if its plan cannot be read."""
    plan, warehouse = load_plan(settings), warehouse_of(settings)
    reading = (lambda: reading_copy_of(settings)) if settings.env == "local" else None
    if isinstance(warehouse, DuckDBWarehouse):
        warehouse = replace(warehouse, lock_wait=_LOCK_WAIT)  # what waits is written by a later step
    counts = LandedCounts(hub_of(settings), STREAM if settings.event_stream is None else "")
    return Rollout(
        store=state_store_of(settings),
        registry=registry_of(settings),
        history=StepHistory(settings.serving_root / "canary", warehouse, reading),
        plan=plan,
        observe=Observer(counts, warehouse, plan, reading).observe,
    )


def _check_startable(before: CanaryRecord | None, challenger: VersionInfo) -> None:
    if before is None:
        return
    if before.status in _OPEN:
        raise CanaryError(f"The canary of {before.label} is {before.status}: stop it before another one starts.")
    if before.status in _TAKEN_OUT and before.recipe == challenger.recipe_hash:
        raise CanaryError(
            f"The canary of {before.label} is {before.status}: `recsys canary release --because …` starts it again."
        )


def _stopped(record: CanaryRecord, because: str) -> CanaryState:
    if record.status is Status.COMPLETE:
        raise CanaryError(
            f"The canary of {record.label} is complete: `recsys rollback` brings the model before it back."
        )
    return stop(record.state, because)
