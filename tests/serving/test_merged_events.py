"""What a reader did counts once, in the snapshot or beside it, under whatever id and name it was posted."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.hub.local import FolderHub
from recsys_platform.recommender.data import training_data
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.serving.recent_events import BookEvent, events_to_merge, with_events
from recsys_platform.serving.signals import FINISHED, RATED, signals_of
from recsys_platform.serving.snapshot import Profile, Publication, open_snapshot, write_snapshot
from recsys_platform.transform.dbt import ROOT
from tests.support.list_world import marts_of_world
from tests.support.serving_world import Running, ServingWorld, event, make_world

Start = Callable[..., Running]
SIGNALS = signals_of(ROOT)
SALT = "a salt of at least 16 characters"  # pragma: allowlist secret
LOADED_TO = dt.datetime(2026, 11, 22, 12)

ACTIONS = [FINISHED, "Book Saved", "Book Removed", "Recommendation Dismissed", "Rated 1", "Rated 3", "Rated 5"]


def numbered(actions: list[tuple[str, str]]) -> list[BookEvent]:
    """Events in the order of time."""
    return [
        BookEvent(
            f"m{at}",
            RATED if action.startswith("Rated") else action,
            book,
            f"{at:03d}",
            float(action[-1]) if action.startswith("Rated") else None,
        )
        for at, (action, book) in enumerate(actions)
    ]


def sets_of(profile: Profile) -> tuple[set[str], ...]:
    return set(profile.history), set(profile.finished), set(profile.out)


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abc")), max_size=12), st.data())
def test_whichever_events_a_snapshot_has_the_profile_is_that_of_all(
    actions: list[tuple[str, str]], data: st.DataObject
) -> None:
    events = numbered(actions)
    loaded = [event for event in events if data.draw(st.booleans())]  # late ones are missing anywhere
    of_snapshot = with_events(Profile(), loaded, SIGNALS)
    known = {event.message_id for event in loaded}
    merged = with_events(of_snapshot, events_to_merge(events, known), SIGNALS)
    assert sets_of(merged) == sets_of(with_events(Profile(), events, SIGNALS))


@pytest.mark.parametrize("loaded", [(2,), (1, 2), (0, 2)])
def test_a_book_that_was_removed_before_it_was_rated_is_not_liked_whatever_came_late(loaded: tuple[int, ...]) -> None:
    """A rating of three stars finishes a book and likes it no more; what finishes it comes after what took it out."""
    events = numbered([("Book Saved", "b"), ("Book Removed", "b"), ("Rated 3", "b")])
    of_snapshot = with_events(Profile(), [events[n] for n in loaded], SIGNALS)
    merged = with_events(of_snapshot, events_to_merge(events, {f"m{n}" for n in loaded}), SIGNALS)
    assert sets_of(merged) == (set(), {"b"}, {"b"})


def test_an_event_of_the_snapshot_does_not_undo_what_another_tracker_told_since() -> None:
    removed = BookEvent("m1", "Book Removed", "a", "001", received=50)
    saved_on_the_web = Profile(history=("a", "b"))
    assert events_to_merge([removed], {"m1"}) == []
    assert events_to_merge([removed], set(), since=100) == []  # received before the ids of the snapshot begin
    assert events_to_merge([removed], set(), since=50) == [removed]
    assert with_events(saved_on_the_web, [], SIGNALS).history == ("a", "b")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    """A world whose warehouse has the tables that dbt makes of posted events."""
    made = make_world(tmp_path_factory.mktemp("loaded"))
    with made.warehouse.connect() as con:
        con.execute("create schema if not exists marts")
        con.execute("create schema if not exists intermediate")
        con.execute("create table intermediate.int_user_aliases (previous_id varchar, user_id varchar)")
        con.execute(
            "create table marts.fct_events (event_id varchar, source varchar, loaded_at timestamp, "
            "user_id varchar, book_id varchar, event_name varchar)"
        )
        con.execute("create table marts.fct_experiment_assignments (user_id varchar, unit_id varchar)")
    made.publish(parse_list_rules({}))
    return made


def load(world: ServingWorld, *rows: tuple[Any, ...]) -> None:
    columns = "event_id, source, loaded_at, user_id, book_id, event_name"
    with world.warehouse.connect() as con:
        con.executemany(f"insert into marts.fct_events ({columns}) values (?, 'segment', ?, ?, ?, ?)", rows)


def books(answer: Any) -> list[str]:
    return [each["book_id"] for each in answer["items"]]


def test_a_snapshot_with_an_event_has_the_last_word_on_it_and_one_without_does_not(
    world: ServingWorld, run_gateway: Start
) -> None:
    api = run_gateway(world)
    first, second, third = books(api.recommended("u01", k=3))
    api.post(*(event(FINISHED, book, key=f"k-{book}") for book in (first, second, third)))
    assert not {first, second, third} & set(books(api.recommended("u01")))
    hour = dt.timedelta(hours=1)
    load(
        world,
        (f"k-{first}", LOADED_TO - hour, "u01", first, FINISHED),
        (
            f"k-{second}",
            LOADED_TO + hour,
            "u01",
            second,
            FINISHED,
        ),  # the warehouse is newer than the marts that are read
    )
    world.publish(parse_list_rules({}), LOADED_TO)
    api.gateway.follower.refresh()
    shown = books(api.recommended("u01", k=20))
    assert first in shown  # these marts say so: they know the event
    assert not {second, third} & set(shown)
    snapshot = api.gateway.follower.served.snapshot
    assert snapshot is not None
    assert snapshot.manifest["events"] == {
        "loaded_to": LOADED_TO.replace(tzinfo=dt.UTC).timestamp(),
        "since": (LOADED_TO - dt.timedelta(days=7)).replace(tzinfo=dt.UTC).timestamp(),
        "ids": 1,
    }


def test_another_id_of_a_reader_is_that_reader(world: ServingWorld, run_gateway: Start) -> None:
    address = "ann@example.com"
    hashed = Pseudonyms(SALT).of(address)
    with world.warehouse.connect() as con:
        aliases = [("phone-7", "u02"), (hashed, "u03"), ("u04", "u05")]
        con.executemany("insert into intermediate.int_user_aliases values (?, ?)", aliases)
    world.publish(parse_list_rules({}), LOADED_TO)
    api = run_gateway(world, pseudonyms=Pseudonyms(SALT))
    assert api.recommended("phone-7", k=8)["items"][0]["book_id"] == books(api.recommended("u02", k=8))[0]
    assert books(api.recommended(address, k=8)) == books(api.recommended("u03", k=8))
    told = api.client.get(f"/v1/recommendations/{api.recommended(address)['request_id']}/explanation").json()
    assert told["user_id"] == hashed
    # The marts had not joined it yet when they were read: what it did is still its own.
    assert books(api.recommended("u04", k=8)) != books(api.recommended("u05", k=8))
    read = books(api.recommended("u03"))[0]
    api.post(event(FINISHED, read, user=address, key="as-address"))
    assert read not in books(api.recommended("u03"))
    assert read not in books(api.recommended(address))
    shelves = api.client.get("/v1/users/phone-7/home").json()["shelves"]
    assert books(shelves[0]) == books(api.recommended("u02", k=10))


def test_what_came_in_under_another_id_before_it_was_joined_is_not_lost(
    world: ServingWorld, run_gateway: Start
) -> None:
    with world.warehouse.connect() as con:
        con.execute("delete from intermediate.int_user_aliases")
    world.publish(parse_list_rules({}), LOADED_TO)
    api = run_gateway(world)
    read = books(api.recommended("u06"))[0]
    api.post(event(FINISHED, read, user="tablet-1", key="before"))
    with world.warehouse.connect() as con:
        con.execute("insert into intermediate.int_user_aliases values ('tablet-1', 'u06')")
    world.publish(parse_list_rules({}), LOADED_TO)
    api.gateway.follower.refresh()
    assert read not in books(api.recommended("tablet-1"))
    assert read not in books(api.recommended("u06"))


def test_a_snapshot_without_names_of_events_has_those_of_the_package(tmp_path: Path) -> None:
    made = make_world(tmp_path)
    folder = write_snapshot(
        made.home / "snapshots",
        publication=Publication("test", {}),
        marts=made.marts,
        data=dataset_from_marts(made.marts),
        rules=parse_list_rules({}),
        lists={},
        signals=msgspec.structs.replace(SIGNALS, names={}),
    )
    assert open_snapshot(folder).signals == SIGNALS


NAMES = {
    "a name of the marts": ({"type": "track", "event": FINISHED}, True),
    "no type, as of old trackers": ({"type": None, "event": FINISHED}, True),
    "a type in capitals": ({"type": "Track", "event": FINISHED}, True),
    "a name of another tracker": ({"type": "track", "event": "book_finished"}, False),
    "a page of that name": ({"type": "page", "event": FINISHED}, False),
}


@pytest.mark.parametrize("what", NAMES)
def test_an_event_has_the_name_that_the_marts_give_it(
    serving_world: ServingWorld, run_gateway: Start, what: str
) -> None:
    given, counts = NAMES[what]
    api = run_gateway(serving_world)
    book = books(api.recommended("u01"))[0]
    assert api.post(event(FINISHED, book) | given).json()["accepted"] == 1
    assert (book not in books(api.recommended("u01"))) == counts


@pytest.mark.parametrize("name", ["Signed In", "Logged In", "User Logged In", "User Signed In"])
def test_a_sign_in_of_any_name_gives_the_device_to_the_reader(
    serving_world: ServingWorld, run_gateway: Start, name: str
) -> None:
    api = run_gateway(serving_world)
    book = books(api.recommended("u07"))[0]
    api.post(event(FINISHED, book, user=None, device="phone", key="m1"))
    assert book in books(api.recommended("u07"))
    api.post({**event(name, book, user="u07", device="phone", key="m2"), "properties": {}})
    assert book not in books(api.recommended("u07"))


def test_an_alias_joins_a_device_or_another_id_at_once(serving_world: ServingWorld, run_gateway: Start) -> None:
    api = run_gateway(serving_world)
    first, second = books(api.recommended("u08"))[:2]
    api.post(event(FINISHED, first, user=None, device="tablet", key="m1"))
    api.post(event(FINISHED, second, user="old-id", key="m2"))
    alias = {"type": "alias", "userId": "u08", "timestamp": "2026-11-22T10:01:00Z"}
    api.post({**alias, "messageId": "m3", "previousId": "tablet"}, {**alias, "messageId": "m4", "previousId": "old-id"})
    assert not {first, second} & set(books(api.recommended("u08")))
    assert second not in books(api.recommended("old-id"))


def test_a_rating_of_half_a_star_counts_as_in_the_marts() -> None:
    assert [SIGNALS.weight_of(RATED, stars) for stars in (1.5, 2.5, 4.5)] == [-3, 1, 5]


def test_a_dismissal_that_the_marts_refuse_changes_nothing(serving_world: ServingWorld, run_gateway: Start) -> None:
    api = run_gateway(serving_world)
    book = books(api.recommended("u09"))[0]
    api.post(event("Recommendation Dismissed", book, user="u09", key="without-request"))
    assert book in books(api.recommended("u09"))


def test_a_training_snapshot_tells_up_to_which_load_it_was_built(tmp_path: Path) -> None:
    hub, day, marts = FolderHub(tmp_path / "hub"), dt.date(2026, 11, 22), marts_of_world()
    training_data.write_snapshot(hub, day, marts)
    assert training_data.loaded_to(training_data.latest_snapshot(hub)) is None  # one of an earlier version
    training_data.write_snapshot(hub, day, training_data.with_loaded_to(marts, LOADED_TO))
    assert training_data.loaded_to(training_data.latest_snapshot(hub)) == LOADED_TO
