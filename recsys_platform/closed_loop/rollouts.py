"""The canaries of the closed loop: a new model climbs, a bad one is rolled back, both by the days that readers use the API.

Belongs here: a day of readers, a load, a step, again. Does not: the canary itself (serving/rollout/).
"""

import datetime as dt
import time
from typing import Any

from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.plan import HABITS, Act, LoopRecord
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.config.factories import warehouse_of
from recsys_platform.experiments.canary import Status
from recsys_platform.serving.following import POLL_SECONDS
from recsys_platform.serving.rollout.controller import Rollout, rollout_of
from recsys_platform.serving.rollout.record import CanaryRecord
from recsys_platform.simulation.reader_app import ReaderApp
from recsys_platform.simulation.truth import load_spec
from recsys_platform.simulation.visiting import readers_of, visit_days

PLAN_OF_CANARIES: dict[str, Any] = {
    "stages": [3, 20, 50, 100],
    "least_requests": 30,
    "least_readers": 25,
    "tolerated_losses": {"ctr": 0.1, "finishes": 0.3},
    "slow_over_ms": 500,
}
"""`canary.yaml` for a world of some thousand readers, on a machine that does other things besides."""
READ_BY_CANARIES = ("+fct_experiment_metrics", "+rpt_event_conservation")
"""The marts that a canary is judged by, and the account of all records; the other marts are built after the act."""
_EXPOSED = read_sql("recsys_platform.closed_loop", "exposed_readers")


def begun_version(record: LoopRecord, act: Act) -> str | None:
    """The version that the canary of an act was begun with before the loop was interrupted; None if it was not begun."""
    return record.canaries[act]["version"] if act in record.canaries else None


def run_canary(world: LoopWorld, record: LoopRecord, version: str, act: Act, *, because: str) -> dict[str, Any]:
    """Start a canary with a version, unless it was begun, and let the tests decide after each day until it has ended.

    A canary that its days do not decide is stopped: only one can be open. The record keeps each day. Returns how the canary ended,
    each step, and the share of the readers of these days who were shown the version.
    """
    steps = record.canaries.setdefault(act, {"version": version, "steps": []})["steps"]
    record.save(world.settings.truth_root)
    rollout = rollout_of(world.settings)
    canary = _started(world, rollout, version, because)
    if canary.status is Status.RUNNING:
        canary = _after_days(world, record, act, rollout, canary)
    elif steps and steps[-1]["after"] is None:
        steps[-1]["after"] = canary.reason  # interrupted between the step and the record
    canary = stop_undecided(rollout, canary, len(steps), world.midnight(_next_day(world)))
    found = {"label": canary.label, "status": str(canary.status), "reason": canary.reason, "steps": steps}
    return found | _shown_share(world, canary)


def stop_undecided(rollout: Rollout, canary: CanaryRecord, days: int, now: dt.datetime) -> CanaryRecord:
    """Stop a canary that is still open after its days, and say so in its reason; return it as it is then."""
    if canary.status not in (Status.RUNNING, Status.PINNED):
        return canary
    return rollout.stop(f"not decided in its {days} days, and stopped; at last {canary.reason}", now=now)


def _after_days(world: LoopWorld, record: LoopRecord, act: Act, rollout: Rollout, canary: CanaryRecord) -> CanaryRecord:
    """The canary after the days of an act, or when it has ended before."""
    truth, steps, last = world.settings.truth_root, record.canaries[act]["steps"], world.plan.weeks_of(act)[-1]
    with world.api() as ask:
        readers = readers_of(truth, ReaderApp(ask), days=world.plan.days, habits=HABITS)
        while canary.status is Status.RUNNING and (day := begun_day(world, steps)) < last.days.stop:
            if not steps or steps[-1]["after"] is not None:
                steps.append({"day": str(world.plan.day(day)), "percent": canary.percent, "after": None})
                record.save(truth)
            todo = [day] if day == _next_day(world) else []
            if todo:
                time.sleep(2 * POLL_SECONDS)  # until the gateway has read the state
            visit_days(readers, truth, todo)
            _load_day(world)
            canary = _stepped(rollout, world.midnight(day + 1))
            steps[-1]["after"] = canary.reason
            record.save(truth)
            world.tell(f"{act}: {canary.reason}", 0, 0)
    return canary


def begun_day(world: LoopWorld, steps: list[dict[str, Any]]) -> int:
    """The day, counted from 0, that was begun and has no step yet; else the next one of the world."""
    if steps and steps[-1]["after"] is None:
        return (dt.date.fromisoformat(steps[-1]["day"]) - world.plan.start).days
    return _next_day(world)


def _load_day(world: LoopWorld) -> None:
    """Bring what happened on a day to where the canary reads it."""
    world.wait_for_landing("spool")
    world.load(READ_BY_CANARIES)
    world.wait_for_landing("counts")


def _started(world: LoopWorld, rollout: Rollout, version: str, because: str) -> CanaryRecord:
    record = rollout.status()
    if record is not None and record.version == version:
        return record
    return rollout.start(version, because=because, now=world.midnight(_next_day(world)))


def _stepped(rollout: Rollout, now: dt.datetime) -> CanaryRecord:
    record = rollout.step(now).after
    if record is None:
        raise RecsysError("The canary of the loop is gone: somebody removed its state.")
    return record


def _next_day(world: LoopWorld) -> int:
    return load_spec(world.settings.truth_root)[1]


def _shown_share(world: LoopWorld, record: CanaryRecord) -> dict[str, Any]:
    """How many readers were shown the version, of those who were answered on its days."""
    first = record.started_at.date()
    found = warehouse_of(world.settings).frame(_EXPOSED, [record.experiment, first, world.plan.day(_next_day(world))])
    row = found.to_pylist()[0]
    days = (world.plan.day(_next_day(world)) - first).days
    return {**row, "share": row["exposed"] / max(1, row["readers"]), "days": days}
