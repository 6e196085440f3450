"""The pieces of the closed loop: its weeks, its record, the model that is bad on purpose, figures."""

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_platform.closed_loop import driver
from recsys_platform.closed_loop.bad_model import reversed_arrays
from recsys_platform.closed_loop.driver import Step, run_loop
from recsys_platform.closed_loop.experiment import NAME, experiment_content
from recsys_platform.closed_loop.loop_world import LoopWorld
from recsys_platform.closed_loop.outcomes import share_of_top
from recsys_platform.closed_loop.plan import (
    HISTORY_DAYS,
    Act,
    LoopPlan,
    LoopRecord,
    load_record,
    plan_until_yesterday,
)
from recsys_platform.closed_loop.what_if import planted_lifts
from recsys_platform.common.clock import utc_today
from recsys_platform.common.errors import InputError
from recsys_platform.config.settings import load_settings
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fold_in import MeanMap
from recsys_platform.recommender.models.histories import histories_from
from recsys_platform.simulation.visit_truth import ExpectedOutcomes
from tests.support.commands import said_by

PLAN = LoopPlan(readers=60, books=40, seed=1, weeks=2, start=dt.date(2026, 1, 5))


def test_the_weeks_of_a_loop_follow_each_other_and_the_experiment_has_a_day_more_on_which_it_is_read() -> None:
    weeks = list(PLAN.all_weeks())
    assert weeks[0].days.start == HISTORY_DAYS
    assert all(one.days.stop == other.days.start for one, other in pairwise(weeks))
    assert [len(week.days) for week in PLAN.weeks_of(Act.EXPERIMENT)] == [7, 8]
    assert weeks[-1].days.stop == PLAN.days


def test_a_loop_begins_on_a_monday_and_ends_before_today() -> None:
    plan = plan_until_yesterday(readers=60, books=40, seed=1, weeks=3)
    assert plan.start.weekday() == 0
    assert utc_today() - dt.timedelta(days=7) <= plan.day(plan.days - 1) < utc_today()


def test_an_interrupted_loop_goes_on_with_the_step_that_was_not_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def fails_at_first(_: LoopWorld) -> int:
        done.append("second")
        if done.count("second") == 1:
            raise InputError("interrupted")
        return 7

    steps = [Step("first", lambda _: done.append("first")), Step("second", fails_at_first)]
    monkeypatch.setattr(driver, "steps_of", lambda _: iter(steps))
    world = LoopWorld(load_settings({"RECSYS_HOME": str(tmp_path)}), PLAN, lambda *_: None)
    with pytest.raises(InputError, match="interrupted"):
        run_loop(world, LoopRecord(PLAN))
    record = load_record(world.settings.truth_root)
    assert record == LoopRecord(PLAN, {"first": None})
    assert run_loop(world, record) == {"first": None, "second": 7}
    assert done == ["first", "second", "second"]


def test_a_record_that_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "loop.json").write_text("{")
    with pytest.raises(InputError, match="set RECSYS_HOME to another folder to begin a new loop"):
        load_record(tmp_path)
    assert load_record(tmp_path / "elsewhere") is None


def test_a_reversed_model_puts_the_books_in_the_opposite_order_for_trained_and_other_readers() -> None:
    chance = np.random.default_rng(1)
    users, books = chance.normal(size=(3, 2)).astype(np.float32), chance.normal(size=(6, 2)).astype(np.float32)
    model = FactorModel(
        "lightfm",
        users,
        books,
        chance.normal(size=6).astype(np.float32),
        np.ones(3, bool),
        MeanMap(chance.normal(size=(3, 2)).astype(np.float32), 50.0),
    )
    arrays: dict[str, Any] = model.arrays() | {"fallback.book_bias": np.ones(2)}
    turned = reversed_arrays(arrays)
    assert turned.pop("fallback.book_bias").tolist() == [1, 1], "cold start stays as it is"
    bad, everybody = FactorModel.restore("reversed", turned), np.arange(3)
    assert bad.scores(everybody) == pytest.approx(-model.scores(everybody))
    history = histories_from([[0, 3]], 6)
    assert bad.fold_in(history) == pytest.approx(-model.fold_in(history), abs=1e-6)


def test_the_planted_lift_is_that_of_the_expected_outcomes() -> None:
    control, treatment = ExpectedOutcomes(100, 5.0, 2.0), ExpectedOutcomes(200, 12.0, 3.0)
    assert planted_lifts({"control": control, "treatment": treatment}) == pytest.approx({"ctr": 0.2, "finishes": 0.5})


def test_concentration_is_the_share_of_the_most_shown_tenth_of_all_books() -> None:
    assert share_of_top(np.array([30.0, 50, 20]), books=20) == pytest.approx(0.8)
    assert share_of_top(np.array([1.0] * 20), books=20) == pytest.approx(0.1)
    assert share_of_top(np.zeros(0), books=20) == 0


def test_the_experiment_of_the_loop_is_valid() -> None:
    [found] = parse_experiments({NAME: experiment_content(dt.date(2026, 1, 5), 14)})
    assert found.plan
    assert found.plan.last_day == dt.date(2026, 1, 18)
    assert sum(each.weight for each in found.variants) == 100


def test_a_loop_does_not_begin_in_another_world(tmp_path: Path) -> None:
    said_by("simulate", "--readers", "5", "--books", "5", "--days", "1", home=tmp_path)
    code, said = said_by("demo", "--loop", home=tmp_path)
    assert (code, "holds another simulated world: set RECSYS_HOME to another folder for the loop" in said) == (1, True)


def test_a_loop_that_was_begun_with_other_sizes_says_that_it_goes_on_with_those(tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    found = {"verdict": "ship", "sentence": "better", "metrics": {}}
    bad = {"label": "reversed-v9", "reason": "rolled back", "days": 1, "exposed": 1, "readers": 9, "share": 1 / 9}
    record = LoopRecord(PLAN)
    record.done = dict.fromkeys(step.name for step in driver.steps_of(record))
    record.done |= {"outcomes": [], "verdict": {"found": found, "planted": {}}, "bad model": bad}
    record.save(settings.truth_root)
    sizes = ("--readers", "60", "--books", "40", "--seed", "1", "--weeks")
    sentence = "was begun with --readers 60 --books 40 --seed 1 --weeks 2 and goes on with these"
    for weeks, is_said in (("2", False), ("3", True)):
        code, said = said_by("demo", "--loop", *sizes, weeks, home=tmp_path)
        assert (code, sentence in said) == (0, is_said), said
