"""Which exposures judge which published lists: worlds that can be judged by hand, and one whose truth is simulated."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys_platform.experiments.plots import policies_plot
from recsys_platform.experiments.published_policies import (
    PRIOR,
    PolicyEstimates,
    PolicyReport,
    as_frame,
    evaluate_policy,
    evaluate_published,
    predicted_clicks,
)
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.policy_worlds import EXPOSURES, MADE, Shown, insertion, publish, shown

DAY = dt.timedelta(days=1)
LISTS = {"m": {"u1": ["a", "b"], "u2": ["a", "c"]}}


@pytest.fixture
def log(warehouse: DuckDBWarehouse) -> Callable[..., None]:
    with warehouse.connect() as con:
        con.execute(EXPOSURES)

    def put(*rows: Shown) -> None:
        with warehouse.connect() as con:
            con.execute(insertion(rows))

    return put


def of(report: PolicyReport, model: str, estimator: str) -> float:
    return next(each.value for name, each in report.estimates if (name, each.estimator) == (model, estimator))


def test_without_lists_there_is_nothing_to_judge(warehouse, log):
    log(shown("b"))
    assert evaluate_published(warehouse).why_nothing == "No lists were published yet: there is no policy to evaluate."


def test_without_exposures_it_says_how_to_get_some(warehouse, log):
    publish(warehouse, "v1", LISTS)
    report = evaluate_published(warehouse)
    assert report.why_nothing.startswith("There are no exposures yet: let the API log some")
    assert (report.used, report.estimates, as_frame(report)["model"].tolist()) == (0, [], ["m"])


def test_a_list_is_judged_by_the_book_that_it_has_in_the_place_of_chance(warehouse, log):
    publish(warehouse, "v1", LISTS)
    # u1 was shown what the list says twice and clicked once; u2 something else.
    log(shown("b", clicked=True), shown("b", at=MADE + 1.5 * DAY), shown("b", user="u2", clicked=True))
    report = evaluate_published(warehouse)
    (model,) = report.models
    assert (model.exposures, model.agreeing, model.clicks, model.versions) == (3, 2, 1, ("m-v1",))
    assert of(report, "m", "ips") == pytest.approx((1 / 0.5 + 0 / 0.5 + 0) / 3)
    assert of(report, "m", "snips") == pytest.approx(1 / 2)
    assert all("The estimate has few clicks (1)" in each.warnings[0] for _, each in report.estimates)


def test_what_was_certain_and_what_bots_saw_is_left_out_and_counted(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(shown("b"), shown("a", position=1, propensity=1.0, clicked=True), shown("b", is_bot=True, clicked=True))
    log(shown("b"))
    report = evaluate_published(warehouse)
    assert report.used == 2
    assert report.left_out["where nothing was left to chance"] == 1
    assert report.left_out["seen by bots"] == 1
    assert of(report, "m", "snips") == 0


@pytest.mark.parametrize("propensity", [None, 0.0, 1.2])
def test_a_day_with_a_propensity_that_cannot_be_is_left_out_whole(warehouse, log, propensity):
    publish(warehouse, "v1", LISTS)
    bad = [shown("b", at=MADE + DAY, clicked=True), shown("a", at=MADE + DAY, position=1, propensity=propensity)]
    log(*bad, shown("b", at=MADE + 2 * DAY))
    report = evaluate_published(warehouse)
    assert report.days == ((MADE + DAY).date(),)
    assert report.left_out["of days on which propensities are missing or impossible"] == 2
    assert (report.used, of(report, "m", "snips")) == (1, 0)


def test_the_propensities_of_bots_spoil_no_day(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(shown("b"), shown("b", is_bot=True, propensity=None))
    assert (evaluate_published(warehouse).used, evaluate_published(warehouse).days) == (1, ())


def test_answers_that_repeat_a_draw_are_left_out_and_counted(warehouse, log):
    publish(warehouse, "v1", {"m": {"u1": ["x", "a"], "u2": ["x", "a"]}})
    later = MADE + dt.timedelta(days=2)
    log(
        shown("b", draw_id="d1"),
        shown("b", draw_id="d1", at=later),
        shown("a", draw_id="d1", at=later, clicked=True, position=3),  # of the same draw, yet another position
        shown("a", draw_id="d2", at=later, clicked=True),
        shown("b", user="u2", request_id="q1"),
        shown("b", user="u2", request_id="q2"),  # not known to be of one draw
    )
    report = evaluate_published(warehouse)
    assert (report.used, report.left_out["that repeat what was drawn before"]) == (5, 1)
    assert (report.models[0].exposures, report.models[0].clicks) == (4, 1)


def test_where_all_is_left_out_it_says_why(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(shown("b", propensity=None), shown("b", is_bot=True))
    assert evaluate_published(warehouse).why_nothing == (
        "No exposure can be used for the published lists, all are left out: seen by bots (1); "
        "of days on which propensities are missing or impossible (1)."
    )


def test_a_list_does_not_judge_itself_by_clicks_that_it_has_learnt_from(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(shown("b", at=MADE - DAY, clicked=True), shown("b", at=MADE + DAY))
    report = evaluate_published(warehouse)
    assert report.left_out["shown before the oldest list that is kept was made"] == 1
    assert (report.used, of(report, "m", "snips")) == (1, 0)


def test_each_exposure_is_judged_by_the_list_of_its_time(warehouse, log):
    publish(warehouse, "v1", LISTS)
    publish(warehouse, "v2", {"m": {"u1": ["a", "d"]}, "young": {"u1": ["a", "d"]}}, made=MADE + 2 * DAY)
    # The first agrees with the first list only, the others are judged by the second.
    log(shown("b", at=MADE + DAY), shown("d", at=MADE + 3 * DAY), shown("b", at=MADE + 4 * DAY))
    old, young = evaluate_published(warehouse).models
    assert (old.model, old.exposures, old.agreeing, old.versions) == ("m", 3, 2, ("m-v1", "m-v2"))
    assert (young.model, young.agreeing, young.exposures, young.unpublished) == ("young", 1, 2, 1)


def test_a_model_that_is_no_longer_published_is_not_judged_by_what_came_after(warehouse, log):
    publish(warehouse, "v1", LISTS | {"old": {"u1": ["a", "b"]}})
    publish(warehouse, "v2", LISTS, made=MADE + 2 * DAY)
    log(shown("b", at=MADE + DAY), shown("b", at=MADE + 3 * DAY))
    still, old = evaluate_published(warehouse).models
    assert (still.model, still.exposures, still.unpublished) == ("m", 2, 0)
    assert (old.model, old.exposures, old.unpublished) == ("old", 1, 1)


def test_readers_without_a_list_that_long_are_left_out_and_counted(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(shown("b"), shown("b", user="u9"), shown("b", user=None), shown("b", position=3))
    (model,) = evaluate_published(warehouse).models
    assert (model.exposures, model.unlisted) == (1, 3)


def test_a_model_that_shows_nothing_of_what_was_shown_is_told_beside_the_others(warehouse, log):
    publish(warehouse, "v1", LISTS | {"other": {"u1": ["x", "y"]}})
    log(shown("b", clicked=True))
    report = evaluate_published(warehouse)
    assert {model for model, _ in report.estimates} == {"m"}
    table = as_frame(report).set_index("model")["doubts"]
    assert table["other"] == "Its lists show none of the explored books."
    publish(warehouse, "v2", {"other": {"u1": ["x", "y"]}}, made=MADE + DAY / 2)
    publish(warehouse, "v3", {"other": {"u1": ["x", "z"]}}, made=MADE + 2 * DAY)
    assert evaluate_published(warehouse).why_nothing == (
        "No published list has an explored book at its position (exposures: 1)."
    )


def test_no_click_is_predicted_from_the_reader_who_made_it():
    loud = {"visitor_id": ["loud"] * 50, "book_id": ["b"] * 50, "listed_id": ["b"] * 50, "position": [2] * 50}
    rows = pa.table(loud | {"is_clicked": [True] * 50})
    shown_book, listed = predicted_clicks(rows)
    assert (shown_book.max(), listed.max()) == (0, 0)


def test_a_prediction_is_the_rate_of_the_book_in_the_place_drawn_to_that_of_the_place():
    # Visitors of two folds: those of the one show what is predicted for the other.
    fold = pd.util.hash_array(np.array([f"v{n}" for n in range(100)], dtype=object)) % 5
    here, there = f"v{np.flatnonzero(fold == 0)[0]}", f"v{np.flatnonzero(fold == 1)[0]}"
    columns = {"visitor_id": [there] * 40 + [here], "book_id": ["b"] * 20 + ["c"] * 20 + ["c"], "position": [2] * 41}
    columns |= {"listed_id": ["x"] * 40 + ["b"], "is_clicked": [True] * 10 + [False] * 31}
    seen, listed = predicted_clicks(pa.table(columns))
    overall = (10 + PRIOR * 0) / (40 + PRIOR)
    place = (10 + PRIOR * overall) / (40 + PRIOR)
    assert seen[-1] == pytest.approx((0 + PRIOR * place) / (20 + PRIOR))
    assert listed[-1] == pytest.approx((10 + PRIOR * place) / (20 + PRIOR))


def test_a_model_without_clicks_is_not_said_to_be_worse(warehouse, log):
    publish(warehouse, "v1", LISTS | {"other": {"u1": ["a", "c"], "u2": ["a", "b"]}})
    log(*[shown("b", clicked=True)] * 20, shown("c", visitor_id="a1"))
    report = evaluate_published(warehouse)
    assert (of(report, "m", "snips"), of(report, "other", "snips")) == (1, 0)
    assert report.headline.startswith("Estimated clicks of the published lists")


def test_a_weight_far_above_the_others_is_cut_in_snips_only(warehouse, log):
    publish(warehouse, "v1", LISTS)
    log(*[shown("b"), shown("b"), shown("b"), shown("b", propensity=0.01, clicked=True)])
    report = evaluate_published(warehouse)
    assert of(report, "m", "snips") == pytest.approx(10 / (2 + 2 + 2 + 5 * 2))
    assert of(report, "m", "ips") == pytest.approx(100 / 4)


BOOKS = np.array([f"b{number}" for number in range(8)])
CLICKS = np.array([0.05, 0.1, 0.1, 0.15, 0.15, 0.2, 0.25, 0.4])
"""How likely each of the eight books that chance draws from is clicked; half of the readers like them in reverse."""
TRUTH = {
    "good": 0.5 * CLICKS[7] + 0.5 * (CLICKS[7] + CLICKS[6]) / 2,
    "poor": 0.5 * CLICKS[[2, 3, 4]].mean() + 0.5 * CLICKS[[5, 4, 3]].mean(),
}


def simulated(seed: int, readers: int, requests: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was drawn for each request, and the book that each policy lists for each reader; `good` knows who likes what.

    Some readers click three times as much as others, so that their exposures depend on each other.
    """
    random = np.random.default_rng(seed)
    reader = np.repeat(np.arange(readers), requests)
    eager, reverse = random.choice([0.5, 1.5], size=readers), random.random(readers) < 0.5
    taste = np.where(reverse[:, None], CLICKS[::-1], CLICKS) * eager[:, None]
    drawn = random.integers(0, len(BOOKS), size=len(reader))
    lists = {"good": np.where(reverse, random.integers(0, 2, readers), 7), "poor": random.integers(2, 5, readers)}
    clicked = random.random(len(reader)) < taste[reader, drawn]
    log = pd.DataFrame({"reader": reader, "book_id": BOOKS[drawn], "is_clicked": clicked})
    return log, pd.DataFrame({name: BOOKS[books] for name, books in lists.items()})


PUT_IN = """
    insert into marts.fct_exposures
    select 'r' || row_number() over (), book_id, 'u' || reader, 'u' || reader, 2, 1 / 8, null, false, is_clicked, ?::date, ?
    from drawn"""
CERTAIN = """
    insert into marts.fct_exposures
    select * replace ('x' as book_id, 1 as position, 1.0 as propensity, true as is_clicked) from marts.fct_exposures"""
"""In the first place everybody is shown and clicks the same, by no chance: it must not count."""


def test_intervals_hold_what_is_known_to_be_true_and_the_better_policy_is_recognised(warehouse, log):
    drawn, lists = simulated(3, readers=1_500, requests=6)
    users = [f"u{number}" for number in range(len(lists))]
    models = {name: {user: ["x", book] for user, book in zip(users, lists[name], strict=True)} for name in lists}
    publish(warehouse, "v1", models)
    with warehouse.connect() as con:
        con.register("drawn", drawn)
        con.execute(PUT_IN, [MADE + DAY, MADE + DAY])
        con.execute(CERTAIN)
    report = evaluate_published(warehouse)
    assert (report.used, report.left_out["where nothing was left to chance"]) == (9_000, 9_000)
    assert [each.estimator for _, each in report.estimates] == ["ips", "snips", "dr"] * 2
    for model, each in report.estimates:
        assert each.low < TRUTH[model] < each.high, (model, each)
        assert each.high - each.low < 0.1
    assert report.headline == "The lists of good would be clicked more often than those of poor"
    assert policies_plot(report).startswith(b"\x89PNG")


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    held: dict[tuple[str, str], list[bool]] = {}
    for seed in range(250):
        drawn, lists = simulated(seed, readers=500, requests=3)
        for model in lists:
            for each in in_memory(drawn, lists[model]).estimates:
                held.setdefault((model, each.estimator), []).append(each.low <= TRUTH[model] <= each.high)
    assert len(held) == 6
    assert {name: np.mean(some) for name, some in held.items()} == pytest.approx(dict.fromkeys(held, 0.95), abs=0.035)


def in_memory(drawn: pd.DataFrame, listed: pd.Series) -> PolicyEstimates:
    readers = drawn["reader"].to_numpy()
    rows = drawn.assign(
        visitor_id=readers.astype(str), listed_id=listed.to_numpy()[readers], position=2, propensity=1 / 8
    )
    return evaluate_policy("m", pa.Table.from_pandas(rows, preserve_index=False), used=len(rows))
