"""The canaries of the closed loop: a new model climbs, a bad one is rolled back, both by the days that readers use the API.

Belongs here: a day of readers, a load, a step, again. Does not: the canary itself (serving/rollout/).
"""

import datetime as dt
import time
from typing import Any

from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.plan import HABITS, Act
from recsys_platform.common.errors import RecsysError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.config.factories import warehouse_of
from recsys_platform.experiments.canary import Status
from recsys_platform.serving.exposures import FLUSH_SECONDS
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
_EXPOSED = read_sql("recsys_platform.closed_loop", "exposed_readers")


def run_canary(world: LoopWorld, version: str, act: Act, *, because: str) -> dict[str, Any]:
    """Start a canary with a version, unless it is open, and let the tests decide after each day until it has ended.

    Returns how it ended, each step, and the share of the readers of these days who were shown the version.
    """
    week = world.plan.weeks_of(act)[-1]
    rollout, steps = rollout_of(world.settings), []
    with world.api() as ask:
        readers = readers_of(world.settings.truth_root, ReaderApp(ask), days=world.plan.days, habits=HABITS)
        record = _started(world, rollout, version, because)
        while record.status is Status.RUNNING and (day := _next_day(world)) < week.days.stop:
            time.sleep(2 * POLL_SECONDS)  # until the gateway has read the state
            visit_days(readers, world.settings.truth_root, [day])
            world.wait_for_landing("spool")
            over = time.monotonic() + 2 * FLUSH_SECONDS
            world.load()
            time.sleep(max(0.0, over - time.monotonic()))  # counts of answers wait in memory before they are written
            world.wait_for_landing("counts")
            percent, record = record.percent, _stepped(rollout, world.midnight(day + 1))
            steps.append({"day": str(world.plan.day(day)), "percent": percent, "after": record.reason})
            world.tell(f"{act}: {record.reason}", 0, 0)
    return {
        "label": record.label,
        "status": str(record.status),
        "reason": record.reason,
        "steps": steps,
    } | _shown_share(world, record)


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
