"""From requests and events of the marts to the read-out of an experiment, on a world small enough to add up by hand."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsys_platform.common.errors import InputError
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.metric_days import measure
from recsys_platform.experiments.readouts import read_experiment
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.experiments.statistics.sums import Sums
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.experiment_worlds import TABLES, event, insertions, request
from tests.support.reader_sums import reader_sums

FIRST = dt.date(2026, 11, 2)
DAYS = [FIRST + dt.timedelta(days=day) for day in range(3)]


def experiment_of(**plan: Any) -> Experiment:
    variants = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
    plan = {"starts_on": FIRST, "days": 3, "primary": {"ctr": 0.02}, **plan}
    (found,) = parse_experiments({"trial": {"variants": variants, "surfaces": ["home"], "plan": plan}})
    return found


def warehouse_with(home: Path, rows: Sequence[Any], **more: Any) -> DuckDBWarehouse:
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    warehouse.prepare()
    with warehouse.connect() as con:
        for statement in (*TABLES, *insertions(rows, **more)):
            con.execute(statement)
    return warehouse


WORLD = [
    # a: known from before, by one answer of ten books and two clicks; a click of three books, then two of four.
    request("a", -3, books=10, clicked=2, variant=None),
    request("a", 0, books=3, clicked=1),
    request("a", 2, books=4, clicked=2),
    # b: comes on the second day.
    request("b", 1, books=5, clicked=0, is_empty=True),
    # c: of the other variant, twice on one day.
    request("c", 0, books=2, clicked=2, variant="treatment"),
    request("c", 0, books=2, clicked=1, variant="treatment"),
    # Left out: a bot, who saw both, another experiment, the time before the first answer and after the last day.
    request("bot", 0, books=50, clicked=50, is_bot=True),
    request("both", 0, books=7, clicked=7),
    request("both", 1, books=7, clicked=7, variant="treatment"),
    request("a", 1, books=9, clicked=9, experiment="other"),
    request("a", 3, books=6, clicked=6),
    event("a", 0, "Book Started", hour=1),
    event("a", 0, "Book Started", hour=20),
    event("a", 1, "Book Started"),
    event("b", 2, "Book Finished"),
]


def by_hand(x: Any, y: Any, pre_x: Any, pre_y: Any, known: Any) -> Sums:
    return reader_sums(*(np.array(each, dtype=np.float64) for each in (x, y, pre_x, pre_y, known)))


EXPECTED = {
    # Totals of a and b at the end of each day; on the first one only a is there.
    "ctr": [([1], [3], [2], [10], [1]), ([1, 0], [3, 5], [2, 0], [10, 0], [1, 0]), ([3, 0], [7, 5], [2, 0], [10, 0], [1, 0])],
    "clicks": [([1], [1], [2], [1], [1]), ([1, 0], [1, 1], [2, 0], [1, 0], [1, 0]), ([3, 0], [1, 1], [2, 0], [1, 0], [1, 0])],
    "starts": [([1], [1], [0], [1], [1]), ([2, 0], [1, 1], [0, 0], [1, 0], [1, 0]), ([2, 0], [1, 1], [0, 0], [1, 0], [1, 0])],
    "empty_answers": [([0], [1], [0], [1], [1]), ([0, 1], [1, 1], [0, 0], [1, 0], [1, 0]), ([0, 1], [2, 1], [0, 0], [1, 0], [1, 0])],
}  # fmt: skip


@pytest.mark.parametrize("metric", EXPECTED)
def test_the_sums_of_each_day_are_those_of_a_calculation_by_hand(metric: str, tmp_path: Path) -> None:
    found = measure(warehouse_with(tmp_path, WORLD), "trial", [metric], DAYS).of(metric, "control").sums
    for day, totals in enumerate(EXPECTED[metric]):
        expected = by_hand(*totals)
        for each in fields(Sums):
            assert getattr(found, each.name)[day] == getattr(expected, each.name), (day, each.name)


def test_who_saw_two_variants_is_counted_and_makes_a_small_experiment_invalid(tmp_path: Path) -> None:
    report = read_experiment(warehouse_with(tmp_path, WORLD), experiment_of())
    assert (report.readers, list(report.days)) == ({"control": 2, "treatment": 1}, DAYS)
    assert report.result is not None
    assert report.result.decision.verdict is Verdict.INVALID
    assert "1 of 4 readers (25.00%) saw two variants" in report.result.decision.sentence


def planted(rates: dict[str, float], readers: dict[str, int]) -> list[Any]:
    """Readers of one day each, who see ten books and click by a rate; the day after the last one has an answer too."""
    random = np.random.default_rng(1)
    rows = [
        request(
            f"{variant}{reader}",
            reader % 3,
            books=10,
            clicked=int(random.binomial(10, rates[variant])),
            variant=variant,
        )
        for variant, count in readers.items()
        for reader in range(count)
    ]
    return [*rows, request("late", 3, books=1, clicked=0)]


def test_a_planted_gain_ships_when_its_guardrail_holds(tmp_path: Path) -> None:
    rows = planted({"control": 0.2, "treatment": 0.3}, {"control": 900, "treatment": 900})
    warehouse = warehouse_with(tmp_path, rows, metrics=["ctr", "clicks"])
    report = read_experiment(warehouse, experiment_of(guardrails={"clicks": 0.05}))
    assert report.result is not None
    assert report.result.decision.verdict is Verdict.SHIP
    (ctr, clicks) = report.result.readings
    assert ctr.lift[-1] == pytest.approx(0.5, abs=0.1)
    assert ctr.lift[-1] == pytest.approx(clicks.lift[-1])  # everybody saw ten books


def test_groups_of_other_sizes_than_their_weights_are_invalid(tmp_path: Path) -> None:
    rows = planted({"control": 0.2, "treatment": 0.3}, {"control": 900, "treatment": 700})
    result = read_experiment(warehouse_with(tmp_path, rows, metrics=["ctr"]), experiment_of()).result
    assert result is not None
    assert [each.name for each in result.findings] == ["sample_ratio_mismatch"]
    assert result.decision.verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("days", "stopped_on", "status", "stopped_at", "groups", "verdict"),
    [
        (14, None, "running", None, (44_700, 45_489), "Keep running treatment"),
        (14, FIRST + dt.timedelta(days=1), "running", None, (44_700, 45_489), "Invalid: The groups"),
        (14, None, "stopped", "2026-11-04T09:00:00Z", (44_700, 45_489), "Invalid: The groups"),
        (14, None, "stopped", "2026-11-05T09:00:00Z", (44_700, 45_489), "Keep running treatment"),  # its last day is not over
        (14, None, "stopped", None, (44_700, 45_489), "Invalid: The groups"),
        (3, None, "running", None, (44_700, 45_489), "Invalid: The groups"),
        (14, FIRST + dt.timedelta(days=2), "stopped", "2026-11-04T09:00:00Z", (45_000, 45_189), "Stop treatment: at the end"),
    ],
)  # fmt: skip
def test_an_experiment_that_was_stopped_early_has_ended(
    days: int,
    stopped_on: dt.date | None,
    status: str,
    stopped_at: str | None,
    groups: tuple[int, int],
    verdict: str,
    tmp_path: Path,
) -> None:
    rows = planted({"control": 0.2, "treatment": 0.2}, {"control": 60, "treatment": 60})
    warehouse = warehouse_with(tmp_path, rows, metrics=["ctr"])
    with warehouse.connect() as con:  # readers of whom the counts alone matter
        for variant, count in zip(("control", "treatment"), groups, strict=True):
            con.execute(
                f"""insert into marts.fct_experiment_assignments by name
                select one.* replace (number.range::varchar as visitor_id)
                from range({count - 60}) as number, marts.fct_experiment_assignments as one
                where one.visitor_id = '{variant}0'"""
            )
    experiment = experiment_of(days=days, stopped_on=stopped_on, primary={"ctr": 0.5})
    moment = dt.datetime.fromisoformat(stopped_at) if stopped_at else None
    result = read_experiment(warehouse, replace(experiment, status=status, stopped_at=moment)).result
    assert result is not None
    assert result.decision.sentence.startswith(verdict)
    assert ("days to the planned end" in result.decision.sentence) == verdict.startswith("Keep")


def test_a_metric_without_any_event_is_missing_and_not_nothing(tmp_path: Path) -> None:
    rows = planted({"control": 0.2, "treatment": 0.2}, {"control": 200, "treatment": 200})
    result = read_experiment(warehouse_with(tmp_path, rows), experiment_of(guardrails={"saves": 0.1})).result
    assert result is not None
    assert "saves has no value at all" in result.decision.sentence


def test_on_the_first_day_a_metric_without_an_event_is_not_missing_yet(tmp_path: Path) -> None:
    """Sixty readers finish none of their books on one day more often than not."""
    rows = [
        request(f"{variant}{n}", 0, books=10, clicked=1, variant=variant)
        for variant in ("control", "treatment")
        for n in range(30)
    ]
    rows.append(request("control0", 1, books=10, clicked=0, variant="control"))  # the first day is over
    result = read_experiment(warehouse_with(tmp_path, rows), experiment_of(guardrails={"finishes": 0.1})).result
    assert result is not None
    assert [each for each in result.findings if each.is_fatal] == []


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    warehouse = warehouse_with(tmp_path, [request("a", 0)])
    assert "No day since 2026-11-02 is over" in str(read_experiment(warehouse, experiment_of()).why_nothing)
    (bare,) = parse_experiments({"bare": {"variants": {"one": {"model": "production", "weight": 5}}}})
    with pytest.raises(InputError, match="bare has no `plan`"):
        read_experiment(warehouse, bare)
