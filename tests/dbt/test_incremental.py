"""Many small loads, out of order and with repetitions, give the tables that one build of everything gives."""

import itertools
import json
import random
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.dbt_world import PROJECT, Rows, World, failures
from tests.support.random_events import readers_and_devices, with_repetitions

BATCHES = 6
SEEDS = (0, 1)
# Names of people, devices, records and lists: each seed has its own.
NAMES = re.compile(r'"(u\d|old|d\d|m\d+|r\d)"')
# What later builds of a table depend on. The other tables are made anew by each build, so that only the last one shows.
INCREMENTAL = [
    "--select",
    "+config.materialized:incremental",
    "--exclude",
    "stg_attributes__books+",
    "stg_attributes__users+",
]
Record = dict[str, Any]


def shuffled(seed: int) -> list[tuple[str, Record]]:
    """The records of a seed in shuffled order, some of them repeated."""
    chance = random.Random(seed)
    records = with_repetitions(chance, list(readers_and_devices(chance, 160)))
    chance.shuffle(records)
    return [(tracker, json.loads(NAMES.sub(rf'"\1 of {seed}"', json.dumps(record)))) for tracker, record in records]


def load_in_batches(world: World, after: Callable[[], object]) -> None:
    """The records of all seeds, a few objects a batch, each object under any of six hours of arrival."""
    chance, people = random.Random(1), [shuffled(seed) for seed in SEEDS]
    for batch in range(BATCHES):
        for records, tracker in itertools.product(people, ("segment", "pinpoint", "matomo")):
            some = [record for which, record in records[batch::BATCHES] if which == tracker]
            if some:
                world.load(tracker, *some, hour=f"2026/11/{chance.randint(14, 16)}/{chance.choice(['03', '17'])}")
        after()


def load_and_build(world: World, *builds: Callable[[], object]) -> dict[str, Rows]:
    """All tables after the batches, each followed by one of these builds, and the last by one of everything."""
    waiting = iter([*builds, world.build])
    load_in_batches(world, after=lambda: next(waiting)())
    return world.tables()


@pytest.fixture(scope="module")
def at_once(new_world: Callable[[], World]) -> dict[str, Rows]:
    """All tables after one build of everything."""
    world = new_world()
    load_in_batches(world, after=lambda: None)
    return world.build().tables()


@pytest.mark.slow
def test_runs_over_shuffled_late_and_repeated_records_give_the_tables_of_one_build_and_of_a_full_refresh(
    world: World, at_once: dict[str, Rows]
) -> None:
    step_by_step = load_and_build(world, *[partial(world.build, *INCREMENTAL)] * 5)
    assert at_once == step_by_step
    whole = world.build("--full-refresh").tables()
    assert {name for name in whole if whole[name] != step_by_step[name]} == set()
    assert len(whole["marts.fct_events"]) > 100 * len(SEEDS)
    assert whole["marts.rpt_conflicting_duplicates"]
    assert whole["intermediate.int_user_aliases"]
    assert len({row[1] for row in whole["marts.fct_exposures"]}) > 1
    assert {row[3] for row in whole["marts.rpt_unmatched_responses"]} == {"no_exposure", "other_visitor"}
    assert world.rows("select distinct is_empty from marts.fct_recommendation_requests order by 1") == [
        (False,),
        (True,),
    ]


@pytest.mark.slow
def test_a_build_that_died_half_way_is_made_good_by_the_next(world: World, at_once: dict[str, Rows]) -> None:
    builds = (
        ["--select", "+int_event_sessions"],
        ["--select", "+fct_events"],
        INCREMENTAL,
        ["--select", "+int_event_deliveries"],
        INCREMENTAL,
    )
    assert load_and_build(world, *(partial(world.build, *some) for some in builds)) == at_once


def build_unremembered(world: Any, model: str) -> None:
    """Build up to a model and lose the note of it: what a build leaves on Snowflake that dies just after the model."""
    before = world.rows(f"select * from ops.model_builds where model = '{model}'")
    world.build("--select", f"+{model}")
    with world.connect() as con:
        con.execute("delete from ops.model_builds where model = ?", [model])
        con.executemany("insert into ops.model_builds values (?, ?, ?)", before) if before else None


@pytest.mark.slow
@pytest.mark.parametrize(
    "models",
    [
        ["stg_segment__events", "int_event_sessions", "int_event_deliveries", "int_event_sessions", "fct_events"],
        ["int_event_deliveries", "fct_events", "stg_pinpoint__events", "fct_sessions", "int_event_sessions"],
        ["int_event_sessions", "int_visitor_days", "fct_interactions", "rpt_invalid_events", "int_event_sessions"],
        [
            "int_recommendation_items",
            "fct_exposures",
            "fct_recommendation_requests",
            "rpt_unmatched_responses",
            "int_recommendation_items",
        ],
    ],
    ids=lambda models: models[0],
)
def test_models_that_were_built_and_not_remembered_are_made_good_by_the_next_build(
    world: World, at_once: dict[str, Rows], models: list[str]
) -> None:
    assert load_and_build(world, *(partial(build_unremembered, world, model) for model in models)) == at_once
    assert world.rows("select model from ops.model_builds group by 1 having count(*) > 1") == []


def refresh_that_dies(world: Any, folder: Path) -> None:
    """A full refresh that stops at `fct_events`, before anything that is made of it."""
    project = shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns("target", "logs"))
    model = project / "models/marts/fct_events.sql"
    model.write_text(model.read_text() + "{{ exceptions.raise_compiler_error('it dies') if execute }}")
    result = World(world.home, None, project).dbt("--no-write-json", "run", "--full-refresh")
    assert [line.partition(":")[0] for line in failures(result)] == ["fct_events"]


@pytest.mark.slow
def test_a_full_refresh_that_died_half_way_is_made_good_by_the_next_build(
    world: World, at_once: dict[str, Rows], tmp_path: Path
) -> None:
    incremental, dies = partial(world.build, *INCREMENTAL), partial(refresh_that_dies, world, tmp_path)
    assert load_and_build(world, *[incremental] * 3, dies, incremental) == at_once


def page(key: str, time: str, *, user: str | None = None, device: str = "d", name: str = "Page Seen") -> Record:
    base = {"type": "track", "event": name, "messageId": key, "userId": user, "anonymousId": device}
    return {**base, "timestamp": f"2026-11-{time}Z", "properties": {}}


def about_a_book(key: str, time: str, name: str) -> Record:
    return {**page(key, time, user="u1", name=name), "properties": {"book_id": "b1"}}


CASES: dict[str, list[list[Record]]] = {
    "a session that loses its end": [
        [page("m1", "20T23:50:00"), page("m2", "20T23:58:00", name="Signed Out"), page("m3", "21T00:05:00")],
        [page("m4", "21T00:20:00", user="u1")],
    ],
    "a late sign-in before a sign-out": [
        [page("m1", "20T10:00:00"), page("m2", "20T11:00:00", name="Signed Out")],
        [page("m3", "20T10:50:00", user="u1")],
    ],
    "a device named like its reader": [
        [page("m1", "20T10:00:00", device="u1")],
        [page("m2", "20T10:05:00", device="u1", user="u1")],
    ],
    "an alias of a device": [
        [page("m1", "20T10:00:00", device="a1")],
        [{"type": "alias", "messageId": "m2", "userId": "u1", "previousId": "a1", "timestamp": "2026-11-20T10:05:00Z"}],
    ],
    "an earlier delivery that is nothing to a book": [
        [about_a_book("m1", "20T10:00:00", "Book Finished")],
        [about_a_book("m1", "20T09:00:00", "Confetti Thrown")],
    ],
}


def apart(case: str, record: Record) -> Record:
    """The record with names that no other case has."""
    names = ("messageId", "userId", "anonymousId", "previousId")
    return record | {name: f"{record[name]} of {case}" for name in names if record.get(name)}


def recommended(
    key: str, name: str, request: str, *books: str, landed: str = "10", reader: str = "u1", at: str = "20T08:00:00"
) -> tuple[str, Record]:
    """A record about an answer of these books, or about the first of them, and the hour in which it landed."""
    said = {"request_id": request, "position": 1, "items": [{"book_id": book} for book in books]}
    where = dict.fromkeys(("surface", "model", "model_version", "experiment", "variant"), "any")
    about = {"book_id": books[0]} if books else {}
    return landed, {**page(key, at, user=reader, name=f"Recommend{name}"), "properties": {**said, **about, **where}}


VIEWED, CLICKED, DISMISSED = "ations Viewed", "ation Clicked", "ation Dismissed"
Landed = list[tuple[str, Record]]


@dataclass(frozen=True)
class Exposed:
    """What lands in two steps, and what comes of it: (request, visitor, book, clicked); (request, visitor, books, clicks);
    (request, visitor, book, reason, clicks, dismissals)."""

    steps: tuple[Landed, Landed]
    exposures: list[tuple[str, str, str, bool]]
    requests: list[tuple[str, str, int, int]]
    unmatched: list[tuple[str, str, str, str, int, int]] = field(default_factory=list)


EXPOSED: dict[str, Exposed] = {
    "a click that comes the day after": Exposed(
        ([recommended("a1", VIEWED, "a", "b1", "b2")], [recommended("a2", CLICKED, "a", "b2", landed="11")]),
        [("a", "u1", "b1", False), ("a", "u1", "b2", True)],
        [("a", "u1", 2, 1)],
    ),
    "a click that comes before what was shown": Exposed(
        ([recommended("b2", CLICKED, "b", "b2")], [recommended("b1", VIEWED, "b", "b1", "b2", landed="11")]),
        [("b", "u1", "b1", False), ("b", "u1", "b2", True)],
        [("b", "u1", 2, 1)],
    ),
    "an earlier delivery says that another request was clicked": Exposed(
        (
            [*(recommended(f"c{n}", VIEWED, f"c{n}", "b1") for n in (1, 2)), recommended("c3", CLICKED, "c1", "b1")],
            [recommended("c3", CLICKED, "c2", "b1", landed="09")],
        ),
        [("c1", "u1", "b1", False), ("c2", "u1", "b1", True)],
        [("c1", "u1", 1, 0), ("c2", "u1", 1, 1)],
    ),
    "an earlier delivery shows another list": Exposed(
        (
            [recommended("d", VIEWED, "d1", "b1", "b2")],
            [recommended("d", VIEWED, "d2", "b2", landed="09")],
        ),
        [("d2", "u1", "b2", False)],
        [("d2", "u1", 1, 0)],
    ),
    "an earlier delivery shows nothing that we know": Exposed(
        ([recommended("e", VIEWED, "e", "b1")], [recommended("e", VIEWED, "e", "", landed="09")]),
        [],
        [("e", "u1", 0, 0)],
    ),
    "a request that shows more when the reader scrolls": Exposed(
        (
            [recommended("f1", VIEWED, "f", "b1", "b2"), recommended("f3", CLICKED, "f", "b3", at="20T08:02:00")],
            [recommended("f2", VIEWED, "f", "b2", "b3", "b4", at="20T08:01:00", landed="11")],
        ),
        [("f", "u1", "b1", False), ("f", "u1", "b2", False), ("f", "u1", "b3", True), ("f", "u1", "b4", False)],
        [("f", "u1", 4, 1)],
    ),
    "a cached answer that two readers see and one clicks": Exposed(
        (
            [recommended("g1", VIEWED, "g", "b1")],
            [recommended("g2", VIEWED, "g", "b1", reader="u2"), recommended("g3", CLICKED, "g", "b1", reader="u2")],
        ),
        [("g", "u1", "b1", False), ("g", "u2", "b1", True)],
        [("g", "u1", 1, 0), ("g", "u2", 1, 1)],
    ),
    "an answer without a book, and one that is empty at first": Exposed(
        (
            [recommended("h1", VIEWED, "h1"), recommended("h2", VIEWED, "h2")],
            [recommended("h3", VIEWED, "h2", "b1", at="20T08:01:00")],
        ),
        [("h2", "u1", "b1", False)],
        [("h1", "u1", 0, 0), ("h2", "u1", 1, 0)],
    ),
    "clicks and dismissals of what was not shown, or to others only": Exposed(
        (
            [
                recommended("i1", CLICKED, "i", "b1"),
                recommended("i2", VIEWED, "j", "b1"),
                recommended("i3", CLICKED, "j", "b1", reader="u2"),
                recommended("i4", CLICKED, "j", "b1", reader="u2", at="20T08:03:00"),
                recommended("i5", DISMISSED, "j", "b9"),
            ],
            [recommended("i6", DISMISSED, "i", "b1", landed="11")],
        ),
        [("j", "u1", "b1", False)],
        [("j", "u1", 1, 0)],
        [
            ("i", "u1", "b1", "no_exposure", 1, 1),
            ("j", "u1", "b9", "no_exposure", 0, 1),
            ("j", "u2", "b1", "other_visitor", 2, 0),
        ],
    ),
    "an exposure that lands after its click was unmatched": Exposed(
        ([recommended("k2", CLICKED, "k", "b1")], [recommended("k1", VIEWED, "k", "b1", landed="11")]),
        [("k", "u1", "b1", True)],
        [("k", "u1", 1, 1)],
    ),
}
IN_MARTS = {
    "exposures": "select request_id, visitor_id, book_id, is_clicked from marts.fct_exposures",
    "requests": "select request_id, visitor_id, books, clicks from marts.fct_recommendation_requests",
    "unmatched": """
        select request_id, visitor_id, book_id, reason, clicks, dismissals from marts.rpt_unmatched_responses""",
}


@pytest.mark.slow  # a build of its own
def test_an_answer_is_empty_if_its_list_was_and_not_if_nobody_can_read_it(world: Any) -> None:
    lists: dict[str, list[Any]] = {
        "bare": [],
        "plain": ["b1", "b2"],
        "odd": [{"book": "b1"}],
        "books": [{"book_id": "b1"}],
    }
    for name, items in lists.items():
        _, shown = recommended(name, VIEWED, name)
        shown["properties"]["items"] = items
        world.load("segment", shown)
    world.build("--select", "+fct_recommendation_requests")
    assert world.rows("select request_id, books, is_empty from marts.fct_recommendation_requests order by 1") == [
        *(("bare", 0, True), ("books", 1, False), ("odd", 0, False), ("plain", 0, False)),
    ]


@pytest.fixture(scope="module")
def stepped(new_world: Callable[[], World]) -> World:
    """All cases, built in two steps; what is loaded later of `CASES` landed earlier."""
    world = new_world()
    for step, hour in enumerate(("10", "09")):
        for case, batches in CASES.items():
            world.load("segment", *(apart(case, record) for record in batches[step]), hour=f"2026/11/21/{hour}")
        for exposed in EXPOSED.values():
            for landed, record in exposed.steps[step]:
                world.load("segment", record, hour=f"2026/11/20/{landed}")
        world.build()
    return world


@pytest.mark.slow
def test_cases_are_the_same_in_steps_and_whole(stepped: World, tmp_path: Path) -> None:
    readers = stepped.rows("select distinct user_id from marts.fct_events where user_id like 'u1 of %' order by 1")
    assert readers == [(f"u1 of {case}",) for case in sorted(CASES)]
    whole = replace(stepped, home=Path(shutil.copytree(stepped.home, tmp_path / "home")))
    assert whole.build("--full-refresh").tables() == stepped.tables()


@pytest.mark.slow
def test_what_was_shown_and_clicked_is_what_the_cases_say(stepped: World) -> None:
    for name, sql in IN_MARTS.items():
        assert stepped.rows(f"{sql} order by all") == [row for case in EXPOSED.values() for row in getattr(case, name)]
    assert stepped.rows("select request_id, is_empty from marts.fct_recommendation_requests where books = 0") == [
        ("e", False),
        ("h1", True),
    ]
    result = stepped.dbt("test", "--select", "fct_exposures", "fct_recommendation_requests", "rpt_unmatched_responses")
    unhappy = {run.node.name.partition("_rpt_")[0]: run.status for run in result.result.results if run.status != "pass"}
    assert {name: str(status) for name, status in unhappy.items() if "relationships" not in name} == {
        "is_rare_among": "warn"
    }


@pytest.mark.slow
def test_a_tracker_that_was_not_staged_is_taken_up_later(world: Any) -> None:
    seen = {"idsite": "1", "_id": "a1", "cdt": "1795250000", "e_c": "Book", "e_a": "Viewed", "e_n": "b1"}
    world.load("matomo", {**seen, "rand": "0"})
    world.load("segment", page("m0", "20T10:00:00"))
    world.build("--select", "+fct_events")
    world.load("matomo", {**seen, "rand": "1"})
    world.load("segment", page("m1", "20T10:00:00"))
    world.build("--select", "stg_segment__events+,+fct_events")
    world.build("--select", "+fct_events")
    assert world.rows("select source, count(*) from marts.fct_events group by 1 order by 1") == [
        ("matomo", 2),
        ("segment", 2),
    ]


@pytest.mark.slow
def test_a_model_built_before_its_parents_is_not_taken_for_new(world: Any) -> None:
    models = ("fct_sessions", "int_visitor_days", "fct_interactions")
    world.load("segment", page("m0", "20T10:00:00"))
    world.build("--select", *(f"+{model}" for model in models))
    world.load("segment", page("m1", "20T10:05:00"))
    world.build("--select", "+int_event_sessions")
    world.build("--select", *models)
    world.build("--select", *(f"+{model}" for model in models))
    assert world.rows("select events from marts.fct_sessions") == [(2,)]
    assert world.rows("select events from intermediate.int_visitor_days") == [(2,)]


@pytest.mark.slow
def test_the_journal_of_sessions_is_not_rebuilt_without_those_that_read_it(world: Any) -> None:
    world.load("segment", page("m0", "20T10:00:00"))
    world.build("--select", "+int_event_sessions")
    result = world.dbt("run", "--select", "int_event_sessions", "--full-refresh")
    assert "cannot be rebuilt without fct_events" in str([run.message for run in result.result.results])
