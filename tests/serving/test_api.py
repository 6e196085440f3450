"""The recommendation API, called over HTTP as an app calls it."""

import datetime as dt
import gzip
import json
import os
import shutil
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.hub.layout import is_landing_key
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.promotion import promote
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving import recommending
from recsys_platform.serving.exposures import EventSpool
from recsys_platform.serving.following import Follower
from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.keys import KeyStore
from tests.support.pace import wait_until
from tests.support.serving_world import Running, ServingWorld, event, make_world

Start = Callable[..., Running]


def books(answer: Any) -> list[str]:
    return [each["book_id"] for each in answer["items"]]


@pytest.fixture
def api(serving_world: ServingWorld, run_gateway: Start) -> Running:
    return run_gateway(serving_world)


def test_a_reader_gets_a_live_list_with_attributes_reasons_and_the_request_id(api: Running) -> None:
    found = api.recommended("u01", k=5)
    assert (found["source"], found["model"], found["variant"]) == ("live", "item_knn", "production")
    assert [each["rank"] for each in found["items"]] == [1, 2, 3, 4, 5]
    first = found["items"][0]
    assert first["book"]["title"] == f"Title of {first['book_id']}"
    assert {each["request_id"] for each in found["items"]} == {found["request_id"]}
    assert first["reason"] == "matches your reading"


def test_the_list_is_the_published_one_while_nothing_happened(api: Running, serving_world: ServingWorld) -> None:
    sql = """select book_id from published.user_recommendations
             where user_id = 'u01' and model = 'item_knn' order by rank"""
    published = serving_world.warehouse.frame(sql)["book_id"].to_pylist()
    trained = set(books(api.recommended("u01", k=8)))
    assert len(trained & set(published)) >= 6  # folded in and trained differ a little at the end of a list


def test_an_event_changes_the_next_list_at_once(api: Running) -> None:
    before = api.recommended("u01", k=8)
    first = books(before)[0]
    done = api.post(event("Book Finished", first))
    assert done.status_code == 202
    assert done.json()["accepted"] == 1
    after = api.recommended("u01", k=8)
    assert first not in books(after)
    assert any(each["because_book_id"] == first for each in after["items"]) or books(after) != books(before)[1:]


def test_a_dismissed_book_is_gone_and_another_readers_list_stays(api: Running) -> None:
    other, book = api.recommended("u02"), books(api.recommended("u03"))[0]
    api.post(event("Recommendation Dismissed", book, user="u03", request_id="r"))
    assert book not in books(api.recommended("u03"))
    assert books(api.recommended("u02")) == books(other)


def test_a_guests_events_move_to_the_account_at_sign_in(api: Running) -> None:
    liked = books(api.recommended("u04"))[0]
    api.post(event("Book Finished", liked, user=None, device="phone"))
    assert liked in books(api.recommended("u04"))
    sign_in = {"type": "identify", "messageId": "m2", "userId": "u04", "anonymousId": "phone"}
    api.post({**sign_in, "timestamp": "2026-11-22T10:01:00Z"})
    assert liked not in books(api.recommended("u04"))


def test_a_guest_is_answered_by_the_events_of_the_request(api: Running) -> None:
    plain = api.client.post("/v1/recommendations", json={"k": 5}).json()
    read = books(plain)[0]
    found = api.client.post(
        "/v1/recommendations", json={"k": 5, "events": [{"event": "Book Finished", "book_id": read}]}
    )
    assert found.json()["source"] == "live"
    assert read not in books(found.json())


def test_unknown_readers_and_books_and_pages_past_the_end_have_useful_answers(api: Running) -> None:
    assert api.recommended("nobody", k=3)["source"] == "live"
    assert len(books(api.recommended("nobody", k=3))) == 3
    assert books(api.recommended("u01", offset=1000)) == []
    assert api.client.get("/v1/books/nothing/similar").status_code == 404
    ranked = api.client.post("/v1/rank", json={"user_id": "u01", "book_ids": ["b01", "nothing", "b02"]}).json()
    assert (sorted(books(ranked)), ranked["unknown"]) == (["b01", "b02"], ["nothing"])


def test_filters_hold(api: Running) -> None:
    found = books(api.recommended("u01", k=20, categories="War"))
    assert found
    assert {int(book[1:]) % 3 for book in found} == {0}
    assert not set(found[:2]) & set(books(api.recommended("u01", k=20, exclude=",".join(found[:2]))))


def test_a_page_begins_where_the_last_one_ended(api: Running) -> None:
    assert books(api.recommended("u01", k=4)) + books(api.recommended("u01", k=4, offset=4)) == books(
        api.recommended("u01", k=8)
    )


def test_no_book_is_on_two_shelves_of_a_home_page(api: Running) -> None:
    shelves = api.client.get("/v1/users/u01/home", params={"k": 6}).json()["shelves"]
    assert shelves[0]["name"] == "for_you"
    told = api.client.get("/metrics").text
    live = sum(each["source"] == "live" for each in shelves)
    assert f'recsys_answers_total{{asked="model",fallback="no",source="live"}} {live}.0' in told
    shown = [book for each in shelves for book in books(each)]
    assert len(shown) == len(set(shown)) > 6


def test_a_list_that_did_not_change_is_answered_by_304_until_an_event(api: Running) -> None:
    first = api.client.get("/v1/users/u05/recommendations")
    same = {"if-none-match": first.headers["etag"]}
    assert api.client.get("/v1/users/u05/recommendations", headers=same).status_code == 304
    weak = {"if-none-match": f'"other",W/{first.headers["etag"]}'}  # as behind a proxy that compresses
    assert api.client.get("/v1/users/u05/recommendations", headers=weak).status_code == 304
    api.post(event("Book Finished", books(first.json())[0], user="u05"))
    assert api.client.get("/v1/users/u05/recommendations", headers=same).status_code == 200


def landed(hub: Any) -> list[dict[str, Any]]:
    keys = [item.key for item in hub.objects("engagement_events/")]
    assert all(map(is_landing_key, keys))
    return [json.loads(line) for key in keys for line in gzip.decompress(hub.get(key)).splitlines()]


def test_every_answer_lands_as_one_exposure_with_its_propensities(api: Running) -> None:
    asked = [api.recommended("u01", k=3, surface="shelf")["request_id"] for _ in range(3)]
    tag = api.client.get("/v1/users/u06/recommendations").headers["etag"]
    api.client.get("/v1/users/u06/recommendations", headers={"if-none-match": tag})
    wait_until(lambda: len(landed(api.hub)) == 5)
    events = {each["properties"]["request_id"]: each for each in landed(api.hub)}
    assert set(asked) < set(events)
    shown = events[asked[0]]
    assert (shown["event"], shown["userId"], shown["properties"]["surface"]) == (
        "Recommendations Viewed",
        "u01",
        "shelf",
    )
    assert [each["propensity"] for each in shown["properties"]["items"]] == [1.0, 1.0, 1.0]
    told = api.client.get(f"/v1/recommendations/{asked[0]}/explanation").json()
    assert [each["book_id"] for each in told["items"]] == [each["book_id"] for each in shown["properties"]["items"]]


def test_an_answer_of_304_is_an_exposure_under_the_id_of_its_header(api: Running) -> None:
    first = api.client.get("/v1/users/u06/recommendations")
    again = api.client.get("/v1/users/u06/recommendations", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    wait_until(lambda: len(landed(api.hub)) == 2)
    ids = [first.json()["request_id"], again.headers["x-request-id"]]
    assert sorted(each["properties"]["request_id"] for each in landed(api.hub)) == sorted(ids)


VIEWERS = {"a reader": {"user_id": "newcomer"}, "a guest": {"anonymous_id": "phone"}, "nobody": {}}


@pytest.mark.parametrize("path", ["/v1/popular", "/v1/books/b03/similar"])
def test_popular_and_similar_books_are_an_exposure_if_a_reader_or_guest_is_named(api: Running, path: str) -> None:
    shown = {who: api.client.get(path, params=named).json()["request_id"] for who, named in VIEWERS.items()}
    wait_until(lambda: len(landed(api.hub)) == 2)
    exposures = {each["properties"]["request_id"]: each for each in landed(api.hub)}
    assert exposures[shown["a reader"]]["userId"] == "newcomer"
    assert exposures[shown["a guest"]]["anonymousId"] == "phone"
    assert shown["nobody"] not in exposures


def test_popular_books_for_a_reader_are_without_finished_ones(api: Running) -> None:
    first = books(api.client.get("/v1/popular", params={"user_id": "u01", "k": 4}).json())[0]
    api.post(event("Book Finished", first))
    assert first not in books(api.client.get("/v1/popular", params={"user_id": "u01", "k": 20}).json())
    assert first in books(api.client.get("/v1/popular", params={"k": 20}).json())


def test_an_invalid_event_is_answered_with_its_reason_and_does_not_land(api: Running) -> None:
    good, bad = event("Book Saved", "b01"), {"type": "track", "event": "Book Saved"}
    found = api.post(good, bad).json()
    assert [each["reason"] for each in found["events"]] == [None, "no message id"]
    wait_until(lambda: len(landed(api.hub)) == 1)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_no_endpoint_is_open_by_forgetting(api: Running, endpoint: Any) -> None:
    path = endpoint.path.replace("{user_id}", "u01").replace("{book_id}", "b01").replace("{request_id}", "r")
    found = httpx.request(endpoint.method, api.url + path, json={})
    assert found.status_code == 401 if endpoint.roles is not None else found.status_code in (200, 503)


PROBLEMS = {
    "a wrong key": ({"authorization": "Bearer rk_local_000000000000_" + "x" * 32}, {}, 401),
    "no key": ({"authorization": ""}, {}, 401),
    "k of 0": ({}, {"k": 0}, 422),
    "k that is no number": ({}, {"k": "many"}, 422),
    "an unknown parameter": ({}, {"kk": 3}, 422),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_is_told_in_the_form_of_rfc_9457(api: Running, case: str) -> None:
    headers, params, status = PROBLEMS[case]
    found = api.client.get("/v1/users/u01/recommendations", headers=headers, params=params)
    assert found.status_code == found.json()["status"] == status
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["type"].startswith("urn:recsys:problem:")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/none", 404), ("GET", "/v1/popular/", 404), ("HEAD", "/v1/popular", 405)]
)
def test_what_is_no_endpoint_is_a_problem_and_no_redirect(api: Running, method: str, path: str, status: int) -> None:
    found = api.client.request(method, path, headers={"host": "evil.example"})
    assert (found.status_code, found.headers["content-type"]) == (status, "application/problem+json")
    assert "location" not in found.headers
    assert method == "HEAD" or found.json()["request_id"] == found.headers["x-request-id"] != ""


def test_a_list_of_the_cache_counts_what_was_asked_for(api: Running) -> None:
    without = ",".join(f"b{number:05d}" for number in range(500))
    for exclude in ("", without):
        before = api.gateway.lists.bytes
        assert api.recommended("u04", k=1, exclude=exclude)["items"]
        grown = api.gateway.lists.bytes - before
    assert grown > len(without)


def test_a_body_that_is_too_large_or_no_json_is_refused(api: Running) -> None:
    assert api.client.post("/v1/events", content=b"x" * 1_000_001).status_code == 413
    assert api.client.post("/v1/events", content=b"{" * 10_000).status_code == 422
    assert api.client.post("/v1/recommendations", content=b'{"k": "\xff"}').status_code == 422
    assert api.client.post("/v1/events", json={"batch": []}).status_code == 422


def test_a_tier_has_its_limit_and_says_when_to_come_back(api: Running) -> None:
    keys: KeyStore = api.gateway.access.keys
    headers = {"authorization": f"Bearer {keys.create('free', tier='free')[1]}"}
    found = [api.client.get("/v1/popular", headers=headers) for _ in range(30)]
    refused = [each for each in found if each.status_code == 429]
    assert 5 <= len(refused) <= 10
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].headers["ratelimit"].startswith('"free";r=0')


RECOMMENDED, EVENTS = "/v1/users/u01/recommendations", "/v1/events"
STATUSES: dict[int, tuple[str, str, dict[str, Any]]] = {
    200: ("GET", RECOMMENDED, {}),
    202: ("POST", EVENTS, {"json": event("Book Opened", "b00")}),
    304: ("GET", RECOMMENDED, {}),
    403: ("GET", "/v1/recommendations/r1/explanation", {}),
    404: ("GET", "/v1/books/no_book/similar", {}),
    413: ("POST", EVENTS, {"content": b"x" * 1_000_001}),
    422: ("GET", RECOMMENDED, {"params": {"k": 0}}),
    429: ("GET", RECOMMENDED, {}),
}


@pytest.mark.parametrize("status", STATUSES)
def test_every_answer_to_a_caller_has_the_rate_limit_fields(api: Running, status: int) -> None:
    key = api.gateway.access.keys.create("a caller", roles=["reader"], tier="free")[1]
    headers = {"authorization": f"Bearer {key}"}
    method, path, more = STATUSES[status]
    if status == 304:
        headers["if-none-match"] = api.client.get(path).headers["etag"]
    found = api.client.request(method, path, headers=headers, **more)
    while status == 429 and found.status_code == 200:
        found = api.client.request(method, path, headers=headers, **more)
    assert found.status_code == status
    left = 0 if status == 429 else 19
    assert found.headers["ratelimit"].startswith(f'"free";r={left};')
    assert found.headers["ratelimit-policy"] == '"free";q=20;w=4'


def test_a_role_may_do_what_its_endpoints_allow(api: Running) -> None:
    keys: KeyStore = api.gateway.access.keys
    headers = {"authorization": f"Bearer {keys.create('analyst', roles=('analyst',))[1]}"}
    assert api.client.get("/v1/popular", headers=headers).status_code == 403
    assert api.client.get("/v1/recommendations/none/explanation", headers=headers).status_code == 404


def test_a_source_that_breaks_is_replaced_by_the_next(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    served = api.gateway.follower.served
    monkeypatch.setattr(served.models[PRODUCTION].live, "recommend", None)  # whatever breaks in a model
    found = api.recommended("u07")
    assert found["source"] == "published"
    assert api.recommended("nobody")["source"] == "popular"
    assert b'recsys_failures_total{what="source"} 2.0' in api.client.get("/metrics").content


def test_a_stream_that_refuses_events_is_named_while_readers_are_answered(
    serving_world: ServingWorld, run_gateway: Start, tmp_path: Path
) -> None:
    def refuse(content: bytes, arrival: dt.datetime) -> None:
        raise HubError("the stream refuses.")

    api = run_gateway(serving_world, spool=EventSpool(tmp_path / "refused", refuse, flush_seconds=0.05))
    api.recommended("u01")
    until = time.monotonic() + 30
    while "MB of events" not in str(api.client.get("/readyz").json()["detail"]) and time.monotonic() < until:
        time.sleep(0.02)
    state = api.client.get("/readyz")
    assert (state.status_code, state.json()["status"]) == (200, "ready")
    assert state.json()["detail"].endswith("MB of events wait for landing: the stream refuses.")
    assert b'recsys_destination_waiting{destination="landing",what="files"} 1.0' in api.client.get("/metrics").content


@pytest.fixture(scope="module")
def changing_world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world whose lists and models the tests change."""
    made = make_world(tmp_path_factory.mktemp("changing"))
    made.publish(parse_list_rules({}))
    return made


def test_a_promotion_a_rollback_and_new_rules_reach_readers_within_seconds(
    changing_world: ServingWorld, run_gateway: Start
) -> None:
    api, world = run_gateway(changing_world), changing_world
    assert api.recommended("u01")["model"] == "item_knn"
    books_of_today = dataset_from_marts(world.marts).catalogue_hash
    promote(world.registry, world.versions["als"], alias=PRODUCTION, why="a trial", catalogue_hash=books_of_today)
    wait_until(lambda: api.recommended("u01")["model"] == "als")
    promote(world.registry, world.versions["item_knn"], alias=PRODUCTION, why="back", catalogue_hash=books_of_today)
    wait_until(lambda: api.recommended("u01")["model"] == "item_knn")
    first = books(api.recommended("u01"))[0]
    world.publish(parse_list_rules({"exclude": [first]}))
    wait_until(lambda: first not in books(api.recommended("u01")))
    assert len(list((world.home / "snapshots").glob("*/manifest.json"))) == 2


def artifact_folder(world: ServingWorld, name: str) -> Path:
    info = world.registry.info(world.versions[name])
    return world.home / "artifacts" / f"{info.label}-{info.content[:12]}"


def test_a_damaged_artifact_is_written_again_from_the_registry(
    changing_world: ServingWorld, run_gateway: Start
) -> None:
    world = changing_world
    world.registry.set_alias(PRODUCTION, world.versions["item_knn"], why="a start")
    api, folder = run_gateway(world), artifact_folder(world, "ease")
    folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text('{"format": 1}')
    world.registry.set_alias(PRODUCTION, world.versions["ease"], why="a damaged one")
    wait_until(lambda: api.recommended("u01")["model"] == "ease")
    world.registry.set_alias(PRODUCTION, world.versions["item_knn"], why="as it was")
    wait_until(lambda: api.recommended("u01")["model"] == "item_knn")


def test_a_version_that_cannot_be_used_is_refused_and_the_old_one_goes_on_and_a_new_gateway_has_the_lists(
    changing_world: ServingWorld, run_gateway: Start
) -> None:
    api, world = run_gateway(changing_world), changing_world
    assert api.recommended("u01")["model"] == "item_knn"
    shutil.rmtree(artifact_folder(world, "popularity"), ignore_errors=True)
    (kept,) = world.registry.folder(world.versions["popularity"]).glob("table.npy")
    content = kept.read_bytes()
    kept.write_bytes(b"damaged")
    try:
        world.registry.set_alias(PRODUCTION, world.versions["popularity"], why="a damaged one")
        wait_until(lambda: api.gateway.follower.error is not None)
        assert api.recommended("u01")["model"] == "item_knn"
        assert "was changed" in api.client.get("/readyz").json()["detail"]
        another = run_gateway(world, "another")
        assert another.recommended("u01")["source"] == "published"
        assert another.recommended("nobody")["source"] == "popular"
    finally:
        kept.write_bytes(content)
        world.registry.set_alias(PRODUCTION, world.versions["item_knn"], why="as it was")


def test_without_a_snapshot_the_gateway_says_that_it_is_not_ready(
    changing_world: ServingWorld, run_gateway: Start
) -> None:
    home, changing_world.home = changing_world.home, changing_world.home / "nowhere"
    try:
        api = run_gateway(changing_world)
        assert api.client.get("/readyz").status_code == 503
        assert api.client.get("/healthz").status_code == 200
        assert api.recommended("u01")["source"] == "none"
    finally:
        changing_world.home = home


def test_without_a_snapshot_every_valid_request_is_answered(run_gateway: Start, changing_world: ServingWorld) -> None:
    api = run_gateway(changing_world, follower=Follower(changing_world.home / "nowhere", changing_world.registry))
    get, post = api.client.get, api.client.post
    answers = [
        *(
            get("/v1/users/u01/recommendations"),
            get("/v1/popular"),
            get("/v1/books/b01/similar"),
            get("/v1/users/u01/home"),
        ),
        *(post("/v1/recommendations", json={}), post("/v1/rank", json={"user_id": "u01", "book_ids": ["b01"]})),
    ]
    assert {each.status_code for each in answers} == {200}
    assert {each.json().get("source", "none") for each in answers} == {"none"}
    assert api.post(event("Book Finished", "b01")).status_code == 202


def test_books_are_ranked_by_the_lists_when_no_model_answers(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = api.gateway.follower.served.snapshot
    assert snapshot
    published = [each.book_id for each in snapshot.listed("published", "u01") or []]
    given = {"user_id": "u01", "book_ids": ["b39", "nothing", *reversed(published[:3])]}

    def broken(*_: Any) -> Any:
        raise RuntimeError("a model that breaks")

    monkeypatch.setattr(recommending, "ranked_answer", broken)
    found = api.client.post("/v1/rank", json=given).json()
    assert [each["book_id"] for each in found["items"]][:3] == published[:3]
    assert (found["source"], found["unknown"]) == ("published", ["nothing"])
    stranger = api.client.post("/v1/rank", json=given | {"user_id": "nobody"}).json()
    assert (stranger["source"], len(stranger["items"])) == ("popular", len(found["items"]))


def wait_for_snapshot(api: Running, name: str) -> None:
    wait_until(lambda: api.client.get("/readyz").json()["snapshot"] == name)


@pytest.mark.slow
def test_a_damaged_snapshot_stops_no_promotion_and_a_new_gateway_takes_the_one_before(
    changing_world: ServingWorld, run_gateway: Start
) -> None:
    world, api = changing_world, run_gateway(changing_world)
    before = api.gateway.follower.served.snapshot
    newest = world.publish(
        parse_list_rules({"exploration": {"slots": [2], "pool": 12}})
    )  # the same again is no new one
    assert newest != before.folder
    os.truncate(newest / "data.mdb", 1000)
    wait_until(lambda: "data.mdb was changed" in (api.gateway.follower.error or ""))
    world.registry.set_alias(PRODUCTION, world.versions["ease"], why="a promotion")
    wait_until(lambda: api.recommended("u01")["model"] == "ease")
    assert api.gateway.follower.served.snapshot is before
    another = run_gateway(world, "another")
    assert another.recommended("u01")["source"] == "live"
    assert another.client.get("/readyz").status_code == 200
    world.registry.set_alias(PRODUCTION, world.versions["item_knn"], why="as it was")
    for rules in ({"exploration": {"slots": [3], "pool": 12}}, {}):
        wait_for_snapshot(api, world.publish(parse_list_rules(rules)).name)


def test_a_batch_of_a_guest_who_signs_in_belongs_to_the_account_and_so_does_the_device_until_the_sign_out(
    api: Running,
) -> None:
    first, second, third = books(api.recommended("u08"))[:3]
    at = {"timestamp": "2026-11-22T10:01:00Z", "anonymousId": "tablet"}
    sign_in = {"type": "identify", "messageId": "s1", "userId": "u08", **at}
    read = [event("Book Finished", book, user=None, device="tablet", key=book) for book in (first, second, third)]
    api.post(read[0], sign_in, read[1])
    assert not {first, second} & set(books(api.recommended("u08")))
    api.post({"type": "track", "event": "Signed Out", "messageId": "s2", "userId": "u08", **at}, read[2])
    assert third in books(api.recommended("u08"))


def test_pages_of_a_list_with_exploration_share_no_book(changing_world: ServingWorld, run_gateway: Start) -> None:
    changing_world.publish(parse_list_rules({"exploration": {"slots": [2, 4], "pool": 12}}))
    api = run_gateway(changing_world)
    for reader in ("u01", "u02", "nobody"):
        pages = [books(api.recommended(reader, k=4, offset=offset)) for offset in (0, 4, 8)]
        shown = list(chain.from_iterable(pages))
        assert shown == books(api.recommended(reader, k=12))
        assert len(set(shown)) == len(shown)


def test_a_language_that_is_asked_for_is_the_only_one(api: Running, serving_world: ServingWorld) -> None:
    languages = dict(
        zip(*(serving_world.marts["dim_books"][name].to_pylist() for name in ("book_id", "language")), strict=True)
    )
    for asked in ("de", "DE", "de-AT"):
        for reader in ("u01", "nobody"):
            found = books(api.recommended(reader, language=asked))
            assert found
            assert {languages[book] for book in found} == {"de"}


ODD_EVENTS = {
    "a user that is a placeholder": {"userId": "undefined"},
    "a time that is none": {"timestamp": "yesterday"},
    "a book id that is too long": {"properties": {"book_id": "b" * 501}},
    "a user with NUL": {"userId": "a\0b"},
}


@pytest.mark.parametrize("what", ODD_EVENTS)
def test_an_event_that_the_marts_would_refuse_is_rejected_and_changes_nothing(api: Running, what: str) -> None:
    before = api.recommended("u09")
    found = api.post(event("Book Finished", books(before)[0], user="u09") | ODD_EVENTS[what]).json()
    assert (found["accepted"], found["rejected"]) == (0, 1)
    assert books(api.recommended("u09")) == books(before)


def test_a_rating_of_any_size_is_answered(api: Running) -> None:
    for number, rating in enumerate([10**400, "5", "many", 9, None, True, [5]]):
        found = api.post(event("Book Rated", "b01", user="u10", key=f"r{number}", rating=rating))
        assert found.status_code == 202
