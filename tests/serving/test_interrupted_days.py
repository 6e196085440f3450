"""A day of simulated readers lands when it is over, once, however often it was begun."""

import datetime as dt
import json
import shutil
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recsys_platform.closed_loop.api import asks_in_process
from recsys_platform.closed_loop.what_if import NO_LIMITS
from recsys_platform.common.clock import SIMULATED_DAYS, SIMULATED_TIME
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.serving.answer_counts import COUNTED
from recsys_platform.serving.gateway.handlers import VIEWED
from recsys_platform.serving.gateway.server import gateway_of, key_store_of, with_simulated_clock
from recsys_platform.serving.gateway.simulated_clock import DailySpool
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.simulation.reader_app import Ask, Response
from recsys_platform.simulation.visit_truth import load_visits
from recsys_platform.simulation.visiting import simulate_visits
from tests.support.serving_world import landed_lines
from tests.support.visited_world import HABITS, make_visited_world

DAYS = 2


class KilledError(Exception):
    """The process of the readers ended."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The home of a world that nobody has visited, and a key for an app."""
    home = tmp_path_factory.mktemp("world")
    return home, make_visited_world(home, readers=30, books=40, seed=2)[2]


def copied(world: tuple[Path, str], home: Path) -> Settings:
    shutil.copytree(world[0], home)
    return load_settings({"RECSYS_HOME": str(home), "RECSYS_API_LIMITS": NO_LIMITS})


def new_gateway(settings: Settings, key: str) -> tuple[Gateway, Ask]:
    gateway = gateway_of(settings)
    ask = asks_in_process(with_simulated_clock(gateway), key)
    gateway.follower.refresh()
    return gateway, ask


def killed_after(ask: Ask, requests: int, *, day: int) -> Ask:
    """Ends the readers after some requests of a day, counted from 0."""
    begun = Counter[str]()

    def limited(method: str, path: str, headers: Mapping[str, str], content: Any) -> Response:
        if path.startswith(SIMULATED_DAYS):
            begun["days"] += 1
        elif begun["days"] > day:
            begun["requests"] += 1
        if begun["requests"] > requests:
            raise KilledError
        return ask(method, path, headers, content)

    return limited


def visit(settings: Settings, ask: Ask, days: int) -> None:
    simulate_visits(ask, truth_dir=settings.truth_root, days=days, habits=HABITS, threads=1)


def visited(settings: Settings, key: str, *, killed_on: int | None = None, is_api_killed: bool = False) -> pa.Table:
    """What readers were shown on some days. `killed_on`: the day in which they ended and began again."""
    gateway, ask = new_gateway(settings, key)
    if killed_on is not None:
        with pytest.raises(KilledError):
            visit(settings, killed_after(ask, 25, day=killed_on), DAYS)
        if is_api_killed:  # nothing of it is closed
            gateway, ask = new_gateway(settings, key)
    visit(settings, ask, DAYS - (killed_on or 0))
    gateway.spool.stop()
    assert gateway.counts
    gateway.counts.stop()
    return load_visits(settings.truth_root)


def landed_events(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in landed_lines(hub_of(settings))]


def events_by_name(settings: Settings) -> dict[str, int]:
    return dict(Counter(each["event"] for each in landed_events(settings)))


def shown_to(shown: pa.Table) -> list[tuple[Any, ...]]:
    return [tuple(each.values()) for each in shown.drop_columns(["request_id"]).to_pylist()]


def answers_counted(events: list[dict[str, Any]]) -> int:
    return sum(item["answers"] for each in events if each["event"] == COUNTED for item in each["properties"]["items"])


@pytest.mark.parametrize(("day", "is_api_killed"), [(0, True), (1, True), (1, False)])
def test_a_day_that_was_interrupted_lands_once(
    day: int, is_api_killed: bool, world: tuple[Path, str], tmp_path: Path
) -> None:
    settings = copied(world, tmp_path / "home")
    shown = visited(settings, world[1], killed_on=day, is_api_killed=is_api_killed)
    events = landed_events(settings)
    answers = [each["properties"] for each in events if each["event"] == VIEWED]
    assert len({each["request_id"] for each in answers}) == len(answers)
    assert {each["request_id"] for each in answers if each["items"]} == set(shown["request_id"].to_pylist())
    clicks = [each["properties"] for each in events if each["event"] == "Recommendation Clicked"]
    clicked = {(each["request_id"], each["book_id"]) for each in clicks}  # an app may post one twice
    assert len(clicked) == sum(shown["is_clicked"].to_pylist()) > 10
    assert answers_counted(events) == len(answers)


def test_readers_who_were_interrupted_on_their_first_day_do_what_they_would_have_done(
    world: tuple[Path, str], tmp_path: Path
) -> None:
    interrupted, whole = copied(world, tmp_path / "interrupted"), copied(world, tmp_path / "whole")
    found = visited(interrupted, world[1], killed_on=0, is_api_killed=True)
    assert shown_to(found) == shown_to(visited(whole, world[1]))
    assert events_by_name(interrupted) == events_by_name(whole)


def test_what_is_read_on_is_posted_later_though_the_readers_began_again_in_between(
    world: tuple[Path, str], tmp_path: Path
) -> None:
    one_by_one, at_once = copied(world, tmp_path / "one by one"), copied(world, tmp_path / "at once")
    gateway, ask = new_gateway(one_by_one, world[1])
    for _ in range(DAYS):
        visit(one_by_one, ask, 1)
    gateway.spool.stop()
    visited(at_once, world[1])
    names = events_by_name(one_by_one)
    assert names["Book Finished"] > 0
    assert names == {name: count for name, count in events_by_name(at_once).items() if name != COUNTED}


def test_only_an_app_begins_a_day(world: tuple[Path, str], tmp_path: Path) -> None:
    settings = copied(world, tmp_path / "home")
    _, ask = new_gateway(settings, world[1])
    noon = {SIMULATED_TIME: "2026-11-03T12:00:00+00:00"}
    analyst = key_store_of(settings).create("analyst", roles=("analyst",))[1]
    wrong = {"unknown": 401, analyst: 403}
    statuses = {
        name: ask("POST", f"{SIMULATED_DAYS}/2026-11-03", noon | {"authorization": f"Bearer {name}"}, None).status
        for name in wrong
    }
    assert statuses == wrong
    assert ask("POST", f"{SIMULATED_DAYS}/tomorrow", noon, None).status == 422
    assert ask("POST", f"{SIMULATED_DAYS}/2026-11-03", noon, None).status == 200


def test_events_that_are_written_while_a_day_begins_are_all_kept(tmp_path: Path) -> None:
    """The folder of a day goes when the next one begins; a writer must find no folder that is gone, and lose no file in it."""
    spool = DailySpool(tmp_path / "spool", deliver=lambda *_: None)  # type: ignore[arg-type]
    spool.folder.mkdir()
    written, is_over = list[int](), threading.Event()

    def write() -> None:
        while not is_over.is_set():
            if spool.append({"n": len(written)}):
                written.append(len(written))

    writer = threading.Thread(target=write)
    writer.start()
    first = dt.date(2026, 11, 1)
    for number in range(60):
        spool.begin_day(first + dt.timedelta(days=number))
    is_over.set()
    writer.join()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = {json.loads(line)["n"] for path in files for line in path.read_bytes().splitlines()}
    assert found == set(written)
    assert spool.figures.dropped == 0
    assert len(written) > 60
