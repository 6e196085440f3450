"""The loop is closed: what the API showed and what readers clicked lands, loads and joins in the marts, with true propensities."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from recsys_platform.experiments.off_policy import Exposures, ips
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.following import Follower
from recsys_platform.serving.recent_events import BookEvent, RecentEventsInMemory
from recsys_platform.serving.recommending import Answer, Query, Recommendations
from recsys_platform.transform.dbt import PARSED, cached_manifest, target_folder
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.dbt_world import World
from tests.support.serving_world import Running, ServingWorld, event, landed_lines

READERS = [f"u{number:02d}" for number in range(14)]


def use_the_api(api: Running) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """Readers and guests ask, look and click; every answered list by request id, and the clicks."""
    chance, answers, clicks = random.Random(5), {}, set()
    for number, user in enumerate(READERS * 3):
        shown = [api.recommended(user, k=6, surface="home")]
        shown += api.client.get(f"/v1/users/{user}/home", params={"k": 3}).json()["shelves"]
        shown.append(api.client.get("/v1/popular", params={"user_id": user, "k": 2}).json())
        for listed in shown:
            if listed["items"]:
                answers[listed["items"][0]["request_id"]] = (user, listed["items"])
        request_id, (_, items) = chance.choice([each for each in answers.items() if each[1][0] == user])
        book = chance.choice(items)
        clicked = {"request_id": request_id, "position": book["rank"]}
        click = event("Recommendation Clicked", book["book_id"], user=user, key=f"click-{number}", **clicked)
        assert (
            api.post(click, event("Book Started", book["book_id"], user=user, key=f"start-{number}")).json()["accepted"]
            == 2
        )
        clicks.add((request_id, book["book_id"]))
    for number in range(5):
        guest = api.client.post("/v1/recommendations", json={"k": 4, "anonymous_id": f"phone-{number}"}).json()
        similar = api.client.get("/v1/books/b03/similar", params={"k": 2, "anonymous_id": f"phone-{number}"}).json()
        answers |= {each["request_id"]: (f"phone-{number}", each["items"]) for each in (guest, similar)}
    return answers, clicks


@pytest.mark.slow  # builds the marts of exposures with dbt
def test_every_click_joins_exactly_one_exposure_and_no_answer_is_missing(
    serving_world: ServingWorld, run_gateway: Any, tmp_path: Path
) -> None:
    api = run_gateway(serving_world)
    answers, clicks = use_the_api(api)
    api.gateway.spool.stop()
    manifest = cached_manifest(target_folder(tmp_path) / PARSED, "local")
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world", manifest).prepare()
    warehouse = DuckDBWarehouse(world.home / "warehouse.duckdb")
    report = load_events(api.hub, warehouse, all_arrivals(api.hub, warehouse).new)
    assert (report.rejected, report.accepted) == (0, len(answers) + 2 * 3 * len(READERS))
    world.build("--select", "+fct_exposures", "+fct_recommendation_requests", "+rpt_unmatched_responses")

    shown = {(request, book) for request, (_, items) in answers.items() for book in {each["book_id"] for each in items}}
    found = world.rows("select request_id, book_id, clicks, propensity from marts.fct_exposures")
    assert {(request, book) for request, book, _, _ in found} == shown
    assert len(found) == len(shown)
    assert {(request, book) for request, book, count, _ in found if count} == clicks
    assert {propensity for *_, propensity in found} == {1.0}
    assert world.rows("select count(*) from marts.fct_recommendation_requests") == [(len(answers),)]
    assert world.rows("select count(*) from marts.rpt_unmatched_responses") == [(0,)]


@pytest.mark.slow
def test_clicks_weighted_by_the_logged_propensities_give_the_true_rates_of_every_explored_book(
    serving_world: ServingWorld, run_gateway: Any
) -> None:
    rules = parse_list_rules({"exploration": {"slots": [2], "pool": 8}})
    serving_world.publish(rules)
    api, chance = run_gateway(serving_world), np.random.default_rng(3)
    for number in range(1_200):
        api.recommended(f"newcomer-{number}", k=3)
    api.gateway.spool.stop()
    events = [json.loads(line) for line in landed_lines(api.hub)]
    explored = [each for event in events for each in event["properties"]["items"] if each["position"] == 2]
    shown = np.array([each["book_id"] for each in explored])
    propensity = np.array([each["propensity"] for each in explored])
    pool = sorted(set(shown.tolist()))
    assert set(propensity.tolist()) == {1 / len(pool)}
    assert stats.chisquare([np.sum(shown == book) for book in pool]).pvalue > 0.001
    true_rate = dict(zip(pool, np.linspace(0.05, 0.6, len(pool)), strict=True))
    clicked = (chance.random(len(shown)) < np.array([true_rate[book] for book in shown])).astype(float)
    for book, rate in true_rate.items():
        policy = Exposures(clicked, propensity, (shown == book).astype(float), np.arange(len(shown)))
        estimate = ips(policy)
        half = (estimate.high - estimate.low) / 2
        assert abs(estimate.value - rate) < 1.6 * half  # of six intervals of 95 % each, all hold
    plain = [each for event in events for each in event["properties"]["items"] if each["position"] != 2]
    assert {each["propensity"] for each in plain} == {1.0}


RULES: dict[str, dict[str, Any]] = {
    "one slot": {"exploration": {"slots": [3], "pool": 26}},
    "two slots": {"exploration": {"slots": [2, 5], "pool": 12}},
    "a slot by caps and promotions": {
        "exploration": {"slots": [4], "pool": 24},
        "reranking": {"diversity": 0.3, "promoted": [{"book_id": "b03", "rank": 1}, {"book_id": "b09", "rank": 14}]},
    },
    "more slots than are left": {"exploration": {"slots": [1, 2], "pool": 1}},
}
NEWCOMERS = 1_500


@pytest.fixture(params=RULES, scope="module")
def recommendations(request: pytest.FixtureRequest, serving_world: ServingWorld) -> Recommendations:
    serving_world.publish(parse_list_rules(RULES[request.param]))
    follower = Follower(serving_world.home, serving_world.registry)
    follower.refresh()
    return Recommendations(lambda: follower.served, RecentEventsInMemory(), lambda what: None)


@pytest.mark.slow
def test_every_book_is_at_every_rank_as_often_as_its_propensity_says(recommendations: Recommendations) -> None:
    found: Counter[tuple[int, str]] = Counter()
    logged: dict[tuple[int, str], set[float]] = {}
    for number in range(NEWCOMERS):
        items = recommendations.for_user(f"newcomer-{number}", Query(k=30)).items
        assert len({each.book_id for each in items}) == len(items)
        for each in items:
            found[each.rank, each.book_id] += 1
            logged.setdefault((each.rank, each.book_id), set()).add(round(each.propensity, 12))
    propensity = {cell: values.pop() for cell, values in logged.items() if len(values) == 1}
    assert len(propensity) == len(logged), "one probability for a book at a rank"
    for cell, expected in propensity.items():
        error = np.sqrt(expected * (1 - expected) / NEWCOMERS)
        assert abs(found[cell] / NEWCOMERS - expected) < 5 * error + 1e-9, (cell, expected, found[cell] / NEWCOMERS)
    total = {rank: sum(value for (at, _), value in propensity.items() if at == rank) for rank, _ in propensity}
    assert min(total.values()) > 0.97  # nearly all that may be shown was seen
    assert max(total.values()) < 1 + 1e-9


def drawn(answer: Answer) -> list[tuple[int, str]]:
    return [(each.rank, each.book_id) for each in answer.items if each.propensity < 1]


def test_an_answer_names_its_draw_which_pages_share_and_an_event_renews(serving_world: ServingWorld) -> None:
    serving_world.publish(parse_list_rules(RULES["two slots"]))
    follower, recent = Follower(serving_world.home, serving_world.registry), RecentEventsInMemory()
    follower.refresh()
    live = Recommendations(lambda: follower.served, recent, lambda what: None)
    first, again = live.for_user("newcomer", Query(k=4)), live.for_user("newcomer", Query(k=20))
    assert first.draw_id == again.draw_id != ""
    assert live.for_user("newcomer", Query(k=4, offset=4)).draw_id == first.draw_id
    assert drawn(again)[: len(drawn(first))] == drawn(first)
    assert live.for_user("newcomer", Query(k=1)).draw_id == "", "nothing was left to chance"
    assert live.for_user("newcomer", Query(k=4), salt="home").draw_id != first.draw_id
    recent.add("newcomer", [BookEvent("m1", "Book Finished", first.items[0].book_id, "2026-11-22T10:00:00")])
    assert live.for_user("newcomer", Query(k=4)).draw_id not in ("", first.draw_id)
