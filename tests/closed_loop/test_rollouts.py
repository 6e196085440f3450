"""The canaries of the loop: what is kept of an interrupted one, what ends one that nothing decides, what is live afterwards."""

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from recsys_platform.closed_loop.driver import climb
from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.outcomes import outcomes_between
from recsys_platform.closed_loop.plan import Act, LoopPlan, LoopRecord, load_record
from recsys_platform.closed_loop.rollouts import begun_day, run_canary, stop_undecided
from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import load_settings
from recsys_platform.experiments.canary import CanaryPlan, Observation, Status, Traffic
from recsys_platform.recommender.data.training_data import write_snapshot
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION
from recsys_platform.serving.rollout.controller import Rollout, rollout_of
from recsys_platform.simulation.truth import save_truth
from recsys_platform.simulation.world import WorldSpec, make_world, world_until
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support import serving_world

PLAN = LoopPlan(readers=20, books=20, seed=1, weeks=1, start=dt.date(2026, 1, 5))
FIRST = PLAN.weeks_of(Act.CANARY)[0].days.start
VERDICT = {"verdict": {"found": {"verdict": "ship", "sentence": "the blend is better"}}}
EVENTS = {"errors": 0, "slow": 0}
GOOD = Observation(Traffic(5_000, EVENTS), Traffic(5_000, EVENTS))
QUICK = CanaryPlan(stages=(100,), least_minutes=0, tolerated_losses={})
TABLES = (
    """create table marts.fct_recommendation_requests
        (experiment varchar, visitor_id varchar, variant varchar, surface varchar, is_bot boolean, shown_on date)""",
    """create table marts.fct_exposures
        (variant varchar, book_id varchar, surface varchar, is_bot boolean, is_clicked boolean, shown_on date)""",
    "create table marts.fct_events (visitor_id varchar, event_name varchar, occurred_on date)",
    "create table marts.dim_books as select 'b1' as book_id",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a world on the second day of its canary: item_knn is in production, als the challenger."""
    folder = tmp_path_factory.mktemp("world")
    made = serving_world.make_world(folder)
    made.registry.set_alias(CHALLENGER, made.versions["als"], why="a test")
    made.publish(parse_list_rules({}))
    settings = load_settings({"RECSYS_HOME": str(folder)})
    spec = WorldSpec(readers=20, books=20, seed=1, start=PLAN.start, horizon=PLAN.days)
    save_truth(settings.truth_root, world_until(make_world(spec, days=1), 1), days=FIRST + 1)
    write_snapshot(hub_of(settings), PLAN.start, made.marts)
    make_marts(made.warehouse)
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path) -> LoopWorld:
    """A copy of it, since each test moves its aliases."""
    home = tmp_path / "world"
    shutil.copytree(made, home)
    return LoopWorld(load_settings({"RECSYS_HOME": str(home)}), PLAN, lambda *_: None)


def make_marts(warehouse: DuckDBWarehouse) -> None:
    """A reader who moved from the baseline to the canary, and finished a book; two of the canary alone, of whom one finished one."""
    day = PLAN.day(FIRST)
    with warehouse.connect() as con:
        for statement in TABLES:
            con.execute(statement)
        for visitor, variant in (("u1", "baseline"), ("u1", "canary"), ("u2", "canary"), ("u3", "canary")):
            row = ["canary_als", visitor, variant, "for_you", False, day]
            con.execute("insert into marts.fct_recommendation_requests values (?, ?, ?, ?, ?, ?)", row)
        for visitor in ("u1", "u2"):
            con.execute("insert into marts.fct_events values (?, 'Book Finished', ?)", [visitor, day])


def complete_canary(world: LoopWorld) -> Rollout:
    """Let the canary of the challenger bring it into production."""
    version = world.registry.version_of(CHALLENGER)
    assert version
    rollout = replace(rollout_of(world.settings), plan=QUICK, observe=lambda record, now: GOOD)
    rollout.start(version, because="better lists", now=world.midnight(FIRST))
    for hours in (12, 24, 36):
        rollout.step(world.midnight(FIRST) + dt.timedelta(hours=hours))
    assert world.registry.version_of(PRODUCTION) == version
    return rollout


def test_a_canary_that_was_complete_when_the_loop_was_interrupted_keeps_its_days(world: LoopWorld) -> None:
    begun = {"version": world.registry.version_of(CHALLENGER), "steps": []}
    begun["steps"] = [{"day": str(PLAN.day(FIRST)), "percent": 100, "after": None}]
    LoopRecord(PLAN, dict(VERDICT), {Act.CANARY: begun}).save(world.settings.truth_root)
    complete_canary(world)
    record = load_record(world.settings.truth_root)
    assert record
    found = climb(world, record)
    assert found, "it did take place"
    assert (found["status"], [step["percent"] for step in found["steps"]]) == ("complete", [100])
    assert found["steps"][0]["after"] == found["reason"]


def test_a_day_that_was_begun_is_decided_before_the_next_one(world: LoopWorld) -> None:
    step = {"day": str(PLAN.day(FIRST)), "percent": 3, "after": None}
    assert begun_day(world, [step]) == FIRST
    assert begun_day(world, [step | {"after": "held"}]) == begun_day(world, []) == FIRST + 1


def test_a_canary_that_its_days_do_not_decide_makes_room_for_the_next_one(world: LoopWorld) -> None:
    version, rollout = world.registry.version_of(CHALLENGER), rollout_of(world.settings)
    assert version
    canary = rollout.start(version, because="better lists", now=world.midnight(FIRST))
    stopped = stop_undecided(rollout, canary, 14, world.midnight(FIRST + 14))
    assert (stopped.status, stopped.percent) == (Status.STOPPED, 0)
    assert stopped.reason.startswith("not decided in its 14 days, and stopped")
    assert stop_undecided(rollout, stopped, 14, world.midnight(FIRST + 14)) == stopped
    found = run_canary(world, LoopRecord(PLAN), version, Act.CANARY, because="better lists")
    assert found["status"] == "stopped"
    other = next(each.version for each in world.registry.versions() if each.variant == "ease")
    assert rollout.start(other, because="the next", now=world.midnight(FIRST + 14)).label.startswith("ease")


def test_what_a_canary_promoted_is_published_as_live(world: LoopWorld) -> None:
    live = "select model from published.model_roles where is_live"
    assert warehouse_of(world.settings).frame(live)["model"].to_pylist() == ["item_knn"]
    complete_canary(world)
    world.publish()
    assert warehouse_of(world.settings).frame(live)["model"].to_pylist() == ["als"]


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (Act.CANARY, [("baseline", 1, None), ("canary", 3, None)]),
        (Act.EXPERIMENT, [("baseline", 0, 0), ("canary", 2, 3.5)]),
    ],
)
def test_finished_books_say_nothing_of_a_canary_whose_readers_move(
    world: LoopWorld, act: Act, expected: list[tuple[str, int, float | None]]
) -> None:
    day = PLAN.day(FIRST)
    found = outcomes_between(warehouse_of(world.settings), act, day, day)
    assert [(each.variant, each.readers, each.finishes) for each in found] == expected
