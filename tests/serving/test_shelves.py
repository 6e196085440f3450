"""The shelves of a home page follow their file, share no book, and never fail the page."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys_platform.config.settings import load_settings
from recsys_platform.config.world_files import copy_defaults
from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.versions import CHALLENGER
from recsys_platform.serving.errors import BackendError
from recsys_platform.serving.exposures import EventSpool, to_hub
from recsys_platform.serving.following import SNAPSHOTS, Follower
from recsys_platform.serving.gateway.access import Access
from recsys_platform.serving.gateway.handlers import guest_key
from recsys_platform.serving.gateway.home import home_of_reader
from recsys_platform.serving.gateway.keys import KeyStore
from recsys_platform.serving.gateway.schemas import HomeQuery
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.recent_events import BookEvent, RecentEventsInMemory
from recsys_platform.serving.recommending import InProcess
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.routing_files import routing_of
from recsys_platform.serving.shelves import ShelvesError, default_shelves, parse_shelves
from recsys_platform.serving.signals import signals_of
from recsys_platform.serving.snapshot import ListedBook, Publication, write_snapshot
from recsys_platform.transform.dbt import ROOT
from tests.support.pace import patience
from tests.support.serving_world import Running, ServingWorld, event, make_world

Start = Callable[..., Running]
PLAIN = {"source": "model", "title": "For you"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world with a challenger, whose books were published at known times."""
    made = make_world(tmp_path_factory.mktemp("shelves"))
    books = made.marts["dim_books"]
    times = [f"2026-01-{1 + number % 28:02d}" for number in range(len(books))]
    made.marts["dim_books"] = books.append_column("published_at", [times])
    made.registry.set_alias(CHALLENGER, made.versions["als"], why="a test")
    ids = books["book_id"].to_pylist()
    ranked = [ListedBook(book, 1.0) for book in ids]
    write_snapshot(
        made.home / SNAPSHOTS,
        publication=Publication("test", dict.fromkeys(("published", "similar", "popular"), "item_knn-v2")),
        marts=made.marts,
        data=dataset_from_marts(made.marts),
        rules=parse_list_rules({}),
        lists={"similar": [(book, ranked[::-1]) for book in ids], "popular": [("all", ranked)]},
        signals=signals_of(ROOT),
    )
    return made


def routing_to(content: Any) -> Routing:
    return Routing(read_shelves=lambda: parse_shelves(content))


def following(world: ServingWorld, content: Any) -> Follower:
    return Follower(world.home, world.registry, routing_to(content))


def shelves_at(api: Running, user: str = "u01", **params: Any) -> dict[str, Any]:
    found = api.client.get(f"/v1/users/{user}/home", params=params)
    assert found.status_code == 200, found.text
    return {each["name"]: each for each in found.json()["shelves"]}


def books(shelf: Any) -> list[str]:
    return [each["book_id"] for each in shelf["items"]]


def test_each_shelf_has_its_source_model_size_title_and_an_exposure_of_its_own(
    world: ServingWorld, run_gateway: Start
) -> None:
    content = {
        "popular": {"source": "popular", "title": "Popular", "categories": ["War"], "size": 1},
        "because": {"source": "because_finished", "title": "After {book}", "size": 2},
        "for_you": PLAIN | {"size": 3},
        "second": {**PLAIN, "model": CHALLENGER, "title": {"en": "Read on", "de": "Weiterlesen"}, "size": 4},
        "new": {"source": "new", "title": "New", "size": 2},
        "too_few": {**PLAIN, "size": 50, "least": 45},
    }
    api = run_gateway(world, follower=following(world, content))
    found = shelves_at(api, k=50)
    assert list(found) == ["popular", "because", "for_you", "second", "new"]
    assert [len(books(found[name])) for name in ("for_you", "second", "new")] == [3, 4, 2]
    assert [found[name]["model_version"].rpartition("-v")[0] for name in ("for_you", "second")] == ["item_knn", "als"]
    assert [found[name]["variant"] for name in ("for_you", "second")] == ["production", CHALLENGER]
    assert found["because"]["title"].startswith("After Title of b")
    assert {int(book[1:]) % 3 for book in books(found["popular"])} == {0}
    assert shelves_at(api, language="de")["second"]["title"] == "Weiterlesen"
    assert parse_shelves(content)[3].title_in("fr") == "Read on"
    ids = {each["items"][0]["request_id"] for each in found.values()}
    assert len(ids) == len(found)
    for request_id in ids:
        assert api.client.get(f"/v1/recommendations/{request_id}/explanation").status_code == 200


def test_new_books_are_those_published_last_without_what_the_reader_finished(
    world: ServingWorld, run_gateway: Start
) -> None:
    api = run_gateway(world, follower=following(world, {"new": {"source": "new", "title": "New"}}))
    before = books(shelves_at(api, "somebody")["new"])
    catalog = world.marts["dim_books"].to_pandas().set_index("book_id")
    dates = [catalog.loc[book, "published_at"] for book in before]
    assert dates == sorted(dates, reverse=True)
    assert dates[0] == catalog[catalog["is_available"]]["published_at"].max()
    api.post(event("Book Finished", before[0], user="somebody"))
    assert before[0] not in books(shelves_at(api, "somebody")["new"])


def test_a_shelf_is_for_the_readers_that_its_condition_names(world: ServingWorld, run_gateway: Start) -> None:
    content = {
        "again": {**PLAIN, "when": "with_history", "size": 2},
        "start": {**PLAIN, "when": "without_history", "size": 2},
        "own": {"source": "popular", "title": "In your language", "language": "own", "size": 2},
    }
    api = run_gateway(world, follower=following(world, content))
    assert "again" in shelves_at(api, "u01")
    assert list(shelves_at(api, "nobody")) == ["start"]
    spoken = {name: profile.language for name, profile in api.gateway.follower.served.snapshot.first_profiles(20)}  # type: ignore[union-attr]
    reader = next(name for name, language in spoken.items() if language in ("en", "de"))
    assert {each["book"]["language"] for each in shelves_at(api, reader)["own"]["items"]} == {spoken[reader]}


@pytest.fixture(scope="module")
def gateway(world: ServingWorld, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A gateway that is called without HTTP."""
    folder = tmp_path_factory.mktemp("gateway")
    made = Gateway(
        follower=following(world, {"for_you": PLAIN}),
        recent=RecentEventsInMemory(),
        spool=EventSpool(folder / "spool", to_hub(FolderHub(folder / "hub"))),
        access=Access(KeyStore(folder / "keys", "local")),
    )
    made.follower.refresh()
    return made


class Remote(InProcess):
    """Models that are asked as if they were elsewhere."""


RULES = st.fixed_dictionaries(
    {"source": st.sampled_from(["model", "because_finished", "popular", "new"]), "title": st.just("A shelf")},
    optional={
        "size": st.integers(1, 12),
        "categories": st.sampled_from([[], ["art"], ["war"]]),
        "language": st.sampled_from(["any", "own"]),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rules=st.lists(RULES, min_size=1, max_size=6),
    models=st.lists(st.sampled_from(["production", CHALLENGER, "999"]), min_size=6, max_size=6),
    reader=st.sampled_from(["u00", "u01", "u05", "u13", "nobody", guest_key("phone")]),
    done=st.lists(
        st.tuples(st.sampled_from(["Book Finished", "Recommendation Dismissed"]), st.integers(0, 39)), max_size=6
    ),
    k=st.integers(1, 20),
    is_remote=st.booleans(),
)
def test_no_book_is_on_two_shelves_and_none_that_is_out_is_on_any(
    gateway: Gateway, rules: Any, models: Any, reader: str, done: Any, k: int, is_remote: bool
) -> None:
    content = {
        f"shelf_{at}": rule | ({"model": models[at]} if rule["source"] == "model" else {})
        for at, rule in enumerate(rules)
    }
    gateway.follower.routing._shelves.value = parse_shelves(content)
    gateway.backend = Remote() if is_remote else None
    gateway.recent = gateway.recommendations._recent = RecentEventsInMemory()
    acts = [BookEvent(f"m{at}", name, f"b{book:02d}", f"{at:03d}") for at, (name, book) in enumerate(done)]
    gateway.recent.add(reader, acts)
    out = set(gateway.recommendations.profile(reader).out)
    assert {each.book_id for each in acts if each.name == "Book Finished"} <= out
    found = home_of_reader(gateway, reader, HomeQuery(k=k), "r").shelves
    shown = [item.book_id for shelf in found for item in shelf.items]
    assert len(shown) == len(set(shown))
    assert not out & set(shown)
    for shelf in found:
        assert 0 < len(shelf.items) <= content[shelf.name].get("size", k)
        assert [item.rank for item in shelf.items] == list(range(1, len(shelf.items) + 1))


class Together(Remote):
    """Models that answer when as many are asked at the same time as are expected."""

    def __init__(self, expected: int) -> None:
        self.barrier = threading.Barrier(expected)

    def recommend(self, *given: Any) -> Any:
        try:
            self.barrier.wait(timeout=20)
        except threading.BrokenBarrierError as error:
            raise BackendError("asked one after another") from error
        return super().recommend(*given)


def test_models_elsewhere_are_asked_at_the_same_time(
    world: ServingWorld, run_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_platform.serving.gateway.home.SECONDS", 30)
    content = {f"shelf_{at}": PLAIN | {"size": 3} for at in range(4)}
    api = run_gateway(world, follower=following(world, content), backend=Together(4))
    found = shelves_at(api)
    assert [each["source"] for each in found.values()] == ["live"] * 4
    assert len({book for each in found.values() for book in books(each)}) == 12


class Hanging(Remote):
    """The challenger is not heard of until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def recommend(self, *given: Any) -> Any:
        if given[1] == CHALLENGER:
            self.over.wait(timeout=60)
        return super().recommend(*given)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    made = Hanging()
    yield made
    made.over.set()


def test_a_model_that_hangs_does_not_hold_up_the_page(
    world: ServingWorld, run_gateway: Start, hanging: Hanging
) -> None:
    content = {"for_you": PLAIN | {"size": 3}, "second": {**PLAIN, "model": CHALLENGER, "size": 3}}
    api = run_gateway(world, follower=following(world, content), backend=hanging)
    started = time.monotonic()
    found = shelves_at(api)
    assert time.monotonic() - started < 3 * patience()
    assert len(books(found["second"])) == 3
    assert found["second"]["source"] in ("published", "popular")
    assert not set(books(found["for_you"])) & set(books(found["second"]))
    assert b'recsys_failures_total{what="shelf"}' in api.client.get("/metrics").content


def test_a_shelf_that_breaks_is_left_out_and_the_others_are_shown(
    world: ServingWorld, run_gateway: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"new": {"source": "new", "title": "New"}, "for_you": PLAIN}
    api = run_gateway(world, follower=following(world, content))
    monkeypatch.setattr(api.gateway.recommendations, "newest", None)
    assert list(shelves_at(api)) == ["for_you"]


WRONG = {
    "a list": ([], "must be a mapping"),
    "nothing": (None, "must be a mapping"),
    "no title": ({"a": {"source": "model"}}, "a needs a `source` and a `title`"),
    "an unknown source": ({"a": {"source": "magic", "title": "A"}}, "a, source: input should be 'model'"),
    "an unknown name": ({"a": PLAIN | {"length": 3}}, "a, length: unexpected keyword argument"),
    "a size of nothing": ({"a": PLAIN | {"size": 0}}, "a, size: input should be greater than or equal to 1"),
    "a title that is none": ({"a": PLAIN | {"title": {"en": ""}}}, "a, title.en: string should have at least 1"),
    "a name with blanks": ({"a b": PLAIN}, "should match pattern"),
    "a model of popular books": ({"a": {"source": "popular", "title": "A", "model": "17"}}, "names a model"),
    "a book in a title": ({"a": PLAIN | {"title": "After {book}"}}, "in its title"),
    "fewer than its least": ({"a": PLAIN | {"size": 2, "least": 3}}, "needs at least 3 books and holds 2"),
    "for nobody": (
        {"a": {"source": "because_finished", "title": "A", "when": "without_history"}},
        "is for readers without history",
    ),
    "a version as a number": ({"a": PLAIN | {"model": 17}}, "a, model: input should be a valid string"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_told_in_one_sentence(what: str) -> None:
    content, said = WRONG[what]
    with pytest.raises(ShelvesError, match=said):
        parse_shelves(content, where="shelves.yaml")


def test_the_file_of_a_world_is_read_again_and_the_last_valid_one_stays(tmp_path: Path) -> None:
    world = load_settings({"RECSYS_HOME": str(tmp_path)})
    routing, path = routing_of(world), world.config_folder / "shelves.yaml"
    copy_defaults(world)
    routing.refresh()
    assert (routing.shelves, routing.shadow, routing.error) == (default_shelves(), None, None)
    path.write_text("best: {source: popular, title: Best}")
    routing.refresh()
    assert [each.name for each in routing.shelves] == ["best"]
    path.write_text("best: {source: popular, title: Best")
    routing.refresh()
    assert [each.name for each in routing.shelves] == ["best"]
    assert "shelves.yaml" in (routing.error or "")
    path.write_text("best: {source: new, title: Best}")
    routing.refresh()
    assert (routing.shelves[0].source, routing.error) == ("new", None)
