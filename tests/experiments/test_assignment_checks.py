"""Answers that contradict the assignment are found, and groups are compared by readers who had one variant all the time."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recsys_platform.common.strict_yaml import parse_yaml
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.assignment_checks import comparable_groups, contradicting_answers
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.lifecycle import apply_edit, ramp, start
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.experiment_worlds import ASSIGNMENTS, REQUESTS, insertions, request
from tests.support.experiment_worlds import TABLES as OF_READ_OUTS

DRAFT = """
trial:
  status: draft
  hypothesis: more clicks
  surfaces: [home]
  variants: {control: {model: production, weight: 30}, treatment: {model: production, weight: 10}}
"""
START = dt.datetime(2026, 11, 2)
DAYS = [START.date() + dt.timedelta(days=day) for day in range(6)]
RAMPED = START + dt.timedelta(days=3)
READERS = [f"u{number}" for number in range(1_500)]
TABLES = (
    """create table marts.fct_recommendation_requests (visitor_id varchar, experiment varchar, variant varchar, is_bot boolean,
        shown_on date, shown_at timestamp)""",
    *(each for each in OF_READ_OUTS if ASSIGNMENTS in each),
)

MARTS = [each for each in OF_READ_OUTS if REQUESTS not in each and ASSIGNMENTS not in each]
"""What a read-out needs besides."""


class Kept:
    """A file in memory."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self) -> str:
        return self.text

    def write(self, text: str) -> None:
        self.text = text


class MessyWorld:
    """An experiment that is started and ramped, and answers as gateways gave them, or as a test wants them."""

    def __init__(self, home: Path, *percents: str, draft: str = DRAFT) -> None:
        self.warehouse, self.file = DuckDBWarehouse(home / "warehouse.duckdb"), Kept(draft)
        self.answers: list[tuple[Any, ...]] = []
        self.units: dict[str, str] = {}
        self.warehouse.prepare()
        with self.warehouse.connect() as con:
            for table in TABLES:
                con.execute(table)
        self.before = self.apply(start(draft, "trial", models={"production"}, now=aware(START)), START)
        self.after = self.before
        if percents:
            self.after = self.apply(ramp(self.file.text, "trial", percents, models={"production"}), RAMPED)

    def apply(self, edit: Any, at: dt.datetime) -> Experiment:
        apply_edit(edit, self.file, self.warehouse, who="ann", why="", now=aware(at))
        return parse_experiments(parse_yaml(self.file.text))[0]

    def answer(
        self, visitor: str, at: dt.datetime, variant: str | None, *, device: str | None = None, is_bot: bool = False
    ) -> None:
        """One answer; with a device it was a guest's, whom the marts joined to the visitor later."""
        if variant is None:
            return
        self.answers.append((visitor, "trial", variant, is_bot, at.date(), at))
        self.units.setdefault(visitor, device or visitor)

    def answer_all(self) -> "MessyWorld":
        """Each reader is answered on two days, one before the ramp and one after it, as gateways did it."""
        for number, reader in enumerate(READERS):
            for day in (number % 3, 3 + number % 3):
                at = START + dt.timedelta(days=day, hours=12)
                self.answer(reader, at, assigned(self.before if at < RAMPED else self.after, reader))
        return self

    def fill(self) -> "MessyWorld":
        units = [(visitor, "trial", unit) for visitor, unit in self.units.items()]
        columns = ["visitor_id", "experiment", "variant", "is_bot", "shown_on", "shown_at"]
        with self.warehouse.connect() as con:
            for table, rows, names in (
                (REQUESTS, self.answers, columns),
                (ASSIGNMENTS, units, [*columns[:2], "unit_id"]),
            ):
                con.register("rows", pa.table(list(zip(*rows, strict=True)), names=names))
                con.execute(f"insert into marts.{table} by name select * from rows")
        return self


def aware(at: dt.datetime) -> dt.datetime:
    return at.replace(tzinfo=dt.UTC)


def assigned(experiment: Experiment, unit: str) -> str | None:
    found = experiment.variant_of(unit)
    return found.name if found else None


def finding(world: MessyWorld) -> Any:
    return contradicting_answers(world.warehouse, world.after, DAYS[0], DAYS[-1])


def test_answers_of_gateways_agree_before_and_after_a_ramp_and_a_moment_after_it(tmp_path: Path) -> None:
    world = MessyWorld(tmp_path, "control=10", "treatment=30").answer_all()
    for minutes in (-1, 0, 2):  # the gateway has not heard of it yet
        for reader in READERS[:200]:
            world.answer(reader, RAMPED + dt.timedelta(minutes=minutes), assigned(world.before, reader))
    assert finding(world.fill()) is None


def test_a_group_and_a_page_that_disagree_are_counted(tmp_path: Path) -> None:
    world = MessyWorld(tmp_path).answer_all()
    total = len(world.answers)
    wrong = [reader for reader in READERS if assigned(world.before, reader) == "control"][:20]
    for reader in wrong:
        world.answer(reader, START + dt.timedelta(days=1), "treatment")
    outside = next(reader for reader in READERS if assigned(world.before, reader) is None)
    world.answer(outside, START + dt.timedelta(days=1), "control")
    world.answer(wrong[0], START + dt.timedelta(days=1), "treatment", is_bot=True)
    found = finding(world.fill())
    assert found is not None
    assert f"21 of {total + 21:,} exposures" in found.sentence
    assert found.is_fatal


def test_who_was_a_guest_has_the_variant_of_the_device(tmp_path: Path) -> None:
    world = MessyWorld(tmp_path)
    for number, reader in enumerate(READERS[:300]):
        device = f"phone{number}"
        world.answer(reader, START + dt.timedelta(hours=1), assigned(world.before, device), device=device)
        world.answer(reader, START + dt.timedelta(days=2), assigned(world.before, device))
    assert finding(world.fill()) is None


def test_an_experiment_that_no_command_changed_is_not_judged(tmp_path: Path) -> None:
    world = MessyWorld(tmp_path).answer_all()
    world.answer(READERS[0], START, "no variant of it")
    with world.fill().warehouse.connect() as con:
        con.execute("delete from ops.experiment_changes")
    assert finding(world) is None
    groups = comparable_groups(world.warehouse, world.after, {"control": 5, "treatment": 7}, DAYS)
    assert groups == ({"control": 5, "treatment": 7}, {"control": 30, "treatment": 10})


def counts_of(world: MessyWorld) -> Counter[str]:
    return Counter({row[0]: row[2] for row in world.answers}.values())


@pytest.mark.parametrize("percents", [(), ("control=45", "treatment=15")])
def test_all_readers_are_compared_while_weights_keep_their_ratio(tmp_path: Path, percents: Sequence[str]) -> None:
    world = MessyWorld(tmp_path, *percents).answer_all().fill()
    readers, weights = comparable_groups(world.warehouse, world.after, counts_of(world), DAYS)
    assert readers == counts_of(world)
    assert weights["control"] == 3 * weights["treatment"]


def test_after_a_ramp_of_one_variant_only_readers_who_had_it_all_the_time_are_compared(tmp_path: Path) -> None:
    world = MessyWorld(tmp_path, "control=20", "treatment=40").answer_all().fill()
    readers, weights = comparable_groups(world.warehouse, world.after, counts_of(world), DAYS)
    assert weights == {"control": 2_000, "treatment": 1_000}
    same = [each for each in READERS if assigned(world.before, each) == assigned(world.after, each)]
    assert readers == Counter(filter(None, (assigned(world.after, each) for each in same)))


def test_a_read_out_is_invalid_if_too_many_answers_contradict_the_assignment(tmp_path: Path) -> None:
    plan = "  plan: {starts_on: 2026-11-02, days: 14, primary: {ctr: 0.02}}\n"
    world = MessyWorld(tmp_path, draft=DRAFT + plan)
    world.answer(READERS[0], START, "no variant of it")
    world.answer(READERS[0], START + dt.timedelta(days=2), "control")  # a day that is not over
    world.fill()
    planted = insertions([request(reader, number % 2) for number, reader in enumerate(READERS[1:10])])
    with world.warehouse.connect() as con:
        for column in ("model", "model_version", "answer_source"):
            con.execute(f"alter table marts.{REQUESTS} add column {column} varchar")
        for statement in (*MARTS, *(each for each in planted if REQUESTS not in each)):
            con.execute(statement)
    result = read_experiment(world.warehouse, world.after).result
    assert result is not None
    assert "1 of 1 exposures (100.00%) show another variant than was assigned" in result.decision.sentence
