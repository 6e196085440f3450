"""Experiments in which something is wrong, each known beforehand: it is found, counted and named where people read."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from recsys_platform.cli.output.experiments import print_report
from recsys_platform.experiments.assignment import Experiment
from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.experiments.off_policy import Estimate
from recsys_platform.experiments.published_policies import PolicyEstimates, PolicyReport
from recsys_platform.experiments.readouts import ExperimentReport, off_policy_rows, read_experiment
from recsys_platform.experiments.statistics.decision import Verdict
from recsys_platform.experiments.statistics.health import novelty
from recsys_platform.experiments.statistics.readout import ReadOut
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.experiment_worlds import TABLES, Request, Row, event, insertions, payment, request

START = dt.date(2026, 11, 2)
# Readers of two groups, each of whom sees ten books on one of seven days, and clicks two or three.
GROUPS = """
    create temp table readers as
    select g.variant || i as visitor_id, g.variant, i, date '2026-11-02' + (i % 7)::integer as first_on
    from (values ('control', {control}), ('treatment', {treatment})) g(variant, readers), range(g.readers) r(i);
    insert into marts.fct_experiment_assignments
    select 'trial', visitor_id, visitor_id, visitor_id, variant, 'popularity', 'web', false, false, false, first_on, null from readers;
    insert into marts.fct_experiment_metrics
    select 'trial', visitor_id, variant, 'ctr', 2 + i % 2, 10, 0, 0, 0, 0, false, true, first_on from readers;
    insert into marts.fct_recommendation_requests (shown_on) values (date '2026-11-02' + {days})"""


def experiment_of(days: int, **plan: Any) -> Experiment:
    variants = {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}
    plan = {"starts_on": START, "days": days, "primary": {"ctr": 0.02}, **plan}
    (found,) = parse_experiments({"trial": {"variants": variants, "plan": plan}})
    return found


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    made = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    made.prepare()
    with made.connect() as con:
        for statement in TABLES:
            con.execute(statement)
    return made


@pytest.fixture
def read(warehouse: DuckDBWarehouse) -> Callable[..., ExperimentReport]:
    """Read the experiment after these rows have come into the marts."""

    def reading(rows: Sequence[Row], experiment: Experiment, **more: Any) -> ExperimentReport:
        plan = experiment.plan
        assert plan is not None
        with warehouse.connect() as con:
            for statement in insertions(rows, metrics=[*plan.primary, *plan.guardrails], **more):
                con.execute(statement)
        return read_experiment(warehouse, experiment)

    return reading


def printed(report: ExperimentReport) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    print_report(console, report)
    return console.export_text()


def result_of(report: ExperimentReport) -> ReadOut:
    assert report.result is not None, report.why_nothing
    return report.result


def names_of(readers: int) -> list[str]:
    """The visitors of both groups."""
    return [f"{variant}{at}" for variant in ("control", "treatment") for at in range(readers)]


def everyone(days: int, readers: int = 150) -> list[Row]:
    """Readers of both groups who come on the first day and on the last, and one who comes the day after."""
    shown = [
        request(name, day, books=10, clicked=2 + at % 2, variant=name.rstrip("0123456789"))
        for at, name in enumerate(names_of(readers))
        for day in (0, days - 1)
    ]
    return [*shown, request("late", days)]


@pytest.mark.parametrize(("days", "findings"), [(7, ["sample_ratio_mismatch"]), (28, [])])
def test_groups_of_44_700_and_45_489_are_invalid_at_the_end_and_not_while_every_day_is_a_look(
    warehouse: DuckDBWarehouse, days: int, findings: list[str]
) -> None:
    with warehouse.connect() as con:
        con.execute(GROUPS.format(control=44_700, treatment=45_489, days=7))
    report = read_experiment(warehouse, experiment_of(days))
    assert [each.name for each in result_of(report).findings] == findings
    assert (result_of(report).decision.verdict is Verdict.INVALID) == bool(findings)
    if findings:
        text = printed(report)
        assert "control 44,700 (expected 45,094), treatment 45,489 (expected 45,094)" in text
        assert "probability 0.0086. Readers were lost or assigned wrongly" in text


def test_who_saw_both_variants_bots_and_staff_are_counted_and_left_out(read: Callable[..., ExperimentReport]) -> None:
    odd = [
        request("both", 0, books=10, clicked=10),
        request("both", 1, variant="treatment"),
        request("robot", 0, books=500, clicked=500, is_bot=True),
        request("eve", 0, books=10, clicked=10),
    ]
    report = read([*everyone(2), *odd], experiment_of(7), staff=["eve"])
    assert report.readers == {"control": 150, "treatment": 150}
    assert report.left_out == {"bots": 1, "staff": 1, "two variants": 1}
    assert "left out: bots 1, staff 1, two variants 1" in printed(report)
    assert "1 of 301 readers (0.33%) saw two variants and were left out." in printed(report)
    assert result_of(report).readings[0].control == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("moved", "names", "findings", "said"),
    [
        (0, ("v1", "v2"), [], ""),
        (1, ("v1", "v2"), [("other_models", False)], "treatment was more than one model (blend, hybrid): 1 of 300 live"),
        (40, ("v1", "v2"), [("other_models", True)], "40 of 300 live answers (13.33%) are not of the first"),
        (0, ("v1", "v1"), [("same_model", True)], "control and treatment were the same model (blend v1) in 300 of 300"),
    ],
)  # fmt: skip
def test_a_variant_that_becomes_another_model_is_found(
    moved: int,
    names: tuple[str, str],
    findings: list[tuple[str, bool]],
    said: str,
    read: Callable[..., ExperimentReport],
) -> None:
    versions = dict(zip(("control", "treatment"), names, strict=True))
    rows = [
        replace(each, model="blend", version=versions[each.variant])
        if each.variant and each.visitor != "late"
        else each
        for each in everyone(2)
        if isinstance(each, Request)
    ]
    of_treatment = [at for at, each in enumerate(rows) if each.variant == "treatment" and each.visitor != "late"]
    for at in of_treatment[:moved]:
        rows[at] = replace(rows[at], model="hybrid", version="v3")
    experiment = experiment_of(7)
    control, treatment = experiment.variants
    report = read(rows, replace(experiment, variants=(control, replace(treatment, model="challenger"))))
    found = result_of(report).findings
    assert [(each.name, each.is_fatal) for each in found] == findings
    assert said in " ".join(each.sentence for each in found)
    assert (result_of(report).decision.verdict is Verdict.INVALID) == any(fatal for _, fatal in findings)


def test_who_sees_the_other_variant_after_the_last_day_still_counts(read: Callable[..., ExperimentReport]) -> None:
    later = [request(f"control{at}", 5, variant="treatment") for at in range(150)]
    report = read([*everyone(2), *later], experiment_of(2))
    assert report.readers == {"control": 150, "treatment": 150}


def test_a_metric_without_events_in_the_last_two_weeks_is_missing_and_not_lower(
    read: Callable[..., ExperimentReport],
) -> None:
    started = [event(name, at % 14, "Book Started") for at, name in enumerate(names_of(150))]
    report = read([*everyone(28), *started], experiment_of(28, guardrails={"starts": 0.05}))
    assert result_of(report).decision.verdict is Verdict.INVALID
    sentence = "starts has no value since 2026-11-15 (14 days), although readers were exposed until 2026-11-29"
    assert sentence in printed(report)


def test_a_rare_metric_may_be_silent_for_days(read: Callable[..., ExperimentReport]) -> None:
    paid = [*payment("control1", 1, 9.99, is_start=True), *payment("treatment1", 3, 9.99, is_start=True)]
    report = read([*everyone(14), *paid], experiment_of(14, guardrails={"subscriptions": 0.5, "revenue": 0.5}))
    assert [each.name for each in result_of(report).findings] == []


def test_an_outlier_of_a_thousand_times_the_mean_is_named_and_counts_as_the_limit_of_the_pre_period(
    read: Callable[..., ExperimentReport],
) -> None:
    names = names_of(150)
    known = [request(name, -2, variant=None) for name in names]
    before = [paid for name in names for paid in payment(name, -1, 10)]
    usual = [paid for at, name in enumerate(names) for paid in payment(name, 1 + at // 2 % 6, 5 + at % 2)]
    rich = payment("treatment0", 1, 2_000_000)
    trial = experiment_of(7, primary={"revenue": 0.02})
    report = read([*everyone(7), *known, *before, *usual, *rich], trial)
    [reading] = result_of(report).readings
    assert report.limits == {"revenue": pytest.approx(10)}
    assert reading.treatment == pytest.approx(5.5, abs=0.04)
    assert abs(reading.lift[-1]) < 0.02
    text = printed(report)
    assert "One reader has 2e+06 of revenue, 363,6" in text
    assert "times the mean: it counts as 10, the limit from the pre-period." in text
    assert result_of(report).decision.verdict is not Verdict.INVALID


def test_segments_are_told_as_exploratory_by_what_readers_were_on_the_first_day(
    read: Callable[..., ExperimentReport],
) -> None:
    traits = {name: (("free", "premium")[at // 2 % 2], "en") for at, name in enumerate(names_of(250))}
    report = read(everyone(2, readers=250), experiment_of(7), traits=traits)
    assert [(each.segment, each.value) for each in report.segments] == [("tier", "free"), ("tier", "premium")]
    free = report.segments[0].reading
    assert (free.control, free.metric.name) == (pytest.approx(0.25), "ctr")
    assert "Segments, exploratory" in printed(report)
    assert "tier: premium" in printed(report)


def test_the_off_policy_estimate_stands_beside_for_the_models_that_answered(
    read: Callable[..., ExperimentReport],
) -> None:
    report = read(everyone(2), experiment_of(7))
    names = ("value", "low", "high", "gain", "gain_low", "gain_high", "effective", "coverage", "clipped")
    figures = dict.fromkeys(names, 0.25)
    estimates = tuple(Estimate(name, rows=9, groups=9, warnings=(), **figures) for name in ("ips", "snips", "dr"))
    policies = [PolicyEstimates(model, ("v1",), 9, 0, 0, 9, 2, estimates) for model in ("popularity", "newest")]
    rows = off_policy_rows(report, PolicyReport(tuple(policies)))
    assert [(each["variant"], each["lists of"]) for each in rows] == [
        ("control", "popularity"),
        ("treatment", "popularity"),
    ]
    assert rows[0]["clicks per shown book"] == "0.2500"


def test_a_lift_that_wears_off_is_called_a_novelty_and_one_that_lasts_is_not() -> None:
    days = [START + dt.timedelta(days=day) for day in range(10)]
    error = 0.1 / np.sqrt(np.arange(1, 11))
    shrinking = np.linspace(0.5, 0.1, 10)
    found = novelty("treatment: ctr", shrinking, error, days)
    assert found is not None
    assert not found.is_fatal
    # After five of ten days with equal information the later days have 2 · .1 - .322.
    assert "a lift of +32.2% until 2026-11-06 and of -12.2% since" in found.sentence
    assert novelty("treatment: ctr", np.full(10, 0.1), error, days) is None
    assert novelty("treatment: ctr", shrinking, np.full(10, np.nan), days) is None


def test_a_sound_lift_is_seldom_called_a_novelty() -> None:
    random, called = np.random.default_rng(1), 0
    days = [START + dt.timedelta(days=day) for day in range(14)]
    for _ in range(2_000):
        of_day = random.normal(0.05, 0.1, 14)
        lift = of_day.cumsum() / np.arange(1, 15)
        called += novelty("ctr", lift, 0.1 / np.sqrt(np.arange(1, 15)), days) is not None
    assert called <= 0.01 * 2_000 + 3 * np.sqrt(0.01 * 2_000)
