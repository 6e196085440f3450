"""A simulated world keeps its own rules, and what lands is what such trackers and Firehose would write."""

import datetime as dt
import gzip
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.common.errors import InputError
from recsys_platform.hub.layout import arrival_of, is_landing_key, source_of
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub
from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.ingestion.framing import split_records
from recsys_platform.simulation.simulate import continue_simulation, simulate
from recsys_platform.simulation.staged_write import finish_staged, staged
from recsys_platform.simulation.truth import load_spec
from tests.support.simulated import END, Simulated, run

Landed = tuple[str, dt.datetime, dict[str, Any]]  # source, hour of arrival, record


def keys(hub: Hub) -> list[str]:
    return [each.key for each in hub.objects("engagement_events/")]


def contents(hub: Hub) -> dict[str, bytes]:
    return {key: hub.get(key) for key in keys(hub)}


def copied(made: Simulated, folder: Path) -> Simulated:
    """The same world in a folder of its own."""
    shutil.copytree(made.truth_dir.parent, folder, dirs_exist_ok=True)
    return replace(made, hub=FolderHub(folder / "hub"), truth_dir=folder / "truth")


def landed(hub: Hub) -> Iterator[Landed]:
    for key in keys(hub):
        for piece in split_records(hub.get(key)):
            if piece.reason is None:
                yield source_of(key), arrival_of(key), json.loads(piece.text)


@pytest.fixture(scope="session")
def segment(simulated: Simulated) -> list[tuple[dt.datetime, dict[str, Any]]]:
    return [(arrival, record) for source, arrival, record in landed(simulated.hub) if source == "segment"]


@pytest.fixture(scope="session")
def books(simulated: Simulated) -> dict[str, dict[str, Any]]:
    return {
        book["book_id"]: book for book in pq.read_table(simulated.truth_dir / "book_attributes.parquet").to_pylist()
    }


def test_every_key_follows_the_layout_and_nothing_arrives_after_the_last_day(simulated: Simulated) -> None:
    found = keys(simulated.hub)
    assert all(is_landing_key(key) for key in found)
    assert {source_of(key) for key in found} == {"segment", "pinpoint", "matomo"}
    assert max(arrival_of(key).date() for key in found) == END


def test_the_summary_counts_what_landed(simulated: Simulated) -> None:
    summary = simulated.summary
    pieces = [piece for key in keys(simulated.hub) for piece in split_records(simulated.hub.get(key))]
    assert (summary.objects, summary.records) == (len(keys(simulated.hub)), len(pieces))
    assert summary.events + summary.duplicates == summary.records
    assert summary.rejected >= sum(piece.reason is not None for piece in pieces) > 0


def holds(record: dict[str, Any], path: str) -> bool:
    value: Any = record
    for key in path.removeprefix("$.").split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value not in (None, "")


def test_the_load_will_reject_exactly_the_records_that_the_summary_says(simulated: Simulated) -> None:
    rejected = 0
    for key in keys(simulated.hub):
        needed = ENVELOPE[source_of(key)]  # type: ignore[index]
        for piece in split_records(simulated.hub.get(key)):
            record = {} if piece.reason else json.loads(piece.text)
            rejected += not all(any(holds(record, path) for path in each.paths) for each in needed)
    assert rejected == simulated.summary.rejected


def test_about_a_third_of_the_objects_have_no_newlines(simulated: Simulated) -> None:
    found = [b"\n" in gzip.decompress(data) for data in contents(simulated.hub).values()]
    assert 0.5 < sum(found) / len(found) < 0.8


def test_after_the_migration_only_one_tracker_speaks(simulated: Simulated) -> None:
    times = [
        int(record["cdt"]) for source, _, record in landed(simulated.hub) if source == "matomo" and "cdt" in record
    ]
    migration = dt.datetime(2026, 11, 1, tzinfo=dt.UTC) + dt.timedelta(days=8)
    assert max(times) < migration.timestamp() <= max(times) + 86_400


def test_duplicates_come_word_for_word_in_another_object(simulated: Simulated) -> None:
    places = defaultdict(list)
    for key in keys(simulated.hub):
        for piece in split_records(simulated.hub.get(key)):
            if piece.reason is None and "messageId" in piece.text:
                places[piece.text].append(key)
    twice = [found for found in places.values() if len(found) > 1]
    assert twice
    assert all(len(set(found)) == len(found) for found in twice)


def test_message_ids_are_unique_to_a_record(segment: list[tuple[dt.datetime, dict[str, Any]]]) -> None:
    texts = defaultdict(set)
    for _, record in segment:
        if "messageId" in record:
            texts[record["messageId"]].add(json.dumps(record))
    assert all(len(each) == 1 for each in texts.values())


def test_some_records_are_hours_late_and_none_arrives_before_it_happens(
    segment: list[tuple[dt.datetime, dict[str, Any]]],
) -> None:
    waits = []
    for arrival, record in segment:
        if "timestamp" in record:
            happened = dt.datetime.fromisoformat(record["timestamp"]).replace(tzinfo=None)
            waits.append(arrival + dt.timedelta(hours=1) - happened)
    assert min(waits) > dt.timedelta()
    assert 0.003 < sum(wait > dt.timedelta(hours=3) for wait in waits) / len(waits) < 0.05


def test_segment_time_is_corrected_for_the_devices_clock(segment: list[tuple[dt.datetime, dict[str, Any]]]) -> None:
    names = ("timestamp", "receivedAt", "sentAt", "originalTimestamp")
    for _, record in segment:
        if all(name in record for name in names):
            happened, received, sent, original = (dt.datetime.fromisoformat(record[name]) for name in names)
            assert happened == received - (sent - original)


def test_nobody_finishes_a_book_twice_and_books_are_read_only_after_publication(
    simulated: Simulated, segment: list[tuple[dt.datetime, dict[str, Any]]], books: dict[str, dict[str, Any]]
) -> None:
    distinct = {record.get("messageId"): record for _, record in segment if record.get("type") == "track"}.values()
    of_book = [record for record in distinct if record["properties"].get("book_id") and record.get("timestamp")]
    finished = Counter(
        (each["userId"], each["properties"]["book_id"]) for each in of_book if each["event"] == "Book Finished"
    )
    assert finished
    assert max(finished.values()) == 1
    assert all(each["timestamp"] >= books[each["properties"]["book_id"]]["published_at"] for each in of_book)


def test_people_look_around_unknown_and_are_linked_when_they_sign_up(
    simulated: Simulated, segment: list[tuple[dt.datetime, dict[str, Any]]]
) -> None:
    users = {
        user["user_id"]: user for user in pq.read_table(simulated.truth_dir / "user_attributes.parquet").to_pylist()
    }
    unknown = {record["anonymousId"] for _, record in segment if "userId" in record and record["userId"] is None}
    linked = {record["anonymousId"]: record for _, record in segment if record.get("type") == "identify"}
    assert unknown & set(linked)
    link = next(iter(linked.values()))
    assert link["traits"].keys() == {"email", "plan"}
    assert link["userId"] in users
    for _, record in segment:
        if record.get("userId") and "timestamp" in record:
            assert record["timestamp"] >= users[record["userId"]]["created_at"]


def test_each_tracker_writes_its_own_dialect(simulated: Simulated) -> None:
    found = list(landed(simulated.hub))
    chapter = next(
        record
        for source, _, record in found
        if source == "pinpoint" and record.get("event_type") == "chapter_completed"
    )
    assert chapter["attributes"].keys() == {"book_id"}
    assert chapter["metrics"].keys() == {"chapter", "chapters"}
    step = next(record for source, _, record in found if source == "matomo" and record.get("e_a") == "Completed")
    assert step["e_c"] == "Chapter"
    assert int(step["e_v"]) <= int(step["dimension1"])
    search = next(record for source, _, record in found if source == "matomo" and "search" in record)
    assert "e_c" not in search
    assert all(isinstance(value, str) for value in search.values())


def test_readers_keep_to_their_language(
    segment: list[tuple[dt.datetime, dict[str, Any]]], books: dict[str, dict[str, Any]]
) -> None:
    started = [
        record for _, record in segment if record.get("event") == "Book Started" and "book_id" in record["properties"]
    ]
    own = sum(
        record["context"]["locale"][:2] == books[record["properties"]["book_id"]]["language"] for record in started
    )
    assert own / len(started) > 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(simulated: Simulated, tmp_path: Path) -> None:
    assert contents(run(tmp_path / "same").hub) == contents(simulated.hub)
    assert contents(run(tmp_path / "other", seed=6).hub) != contents(simulated.hub)


def test_a_world_that_goes_on_adds_a_day_and_changes_none(simulated: Simulated, tmp_path: Path) -> None:
    before = contents(simulated.hub)
    next_day = END + dt.timedelta(days=1)
    longer = contents(run(tmp_path / "longer", days=21, end=next_day).hub)
    assert before.items() <= longer.items()
    new = longer.keys() - before.keys()
    assert {arrival_of(key).date() for key in new} == {next_day}

    again = copied(simulated, tmp_path / "again")
    added = continue_simulation(again.hub, truth_dir=again.truth_dir, days=1)
    assert contents(again.hub) == longer
    assert (added.objects, added.start, added.end) == (len(new), next_day, next_day)


@pytest.mark.slow
@given(days=st.lists(st.integers(1, 17), min_size=2, max_size=4), seed=st.integers(0, 99), size=st.integers(1, 25))
@settings(max_examples=8, derandomize=True)
def test_a_world_made_in_parts_is_the_world_made_at_once(days: list[int], seed: int, size: int) -> None:
    with TemporaryDirectory() as folder:
        first, total = END - dt.timedelta(days=60), sum(days)
        sizes = {"readers": 3 * size, "books": size, "seed": seed, "horizon": 20}

        def simulated_days(name: str, count: int) -> Simulated:
            hub, truth = FolderHub(Path(folder) / name / "hub"), Path(folder) / name / "truth"
            end = first + dt.timedelta(days=count - 1)
            return Simulated(hub, truth, simulate(hub, **sizes, days=count, end=end, truth_dir=truth))

        whole, parts = simulated_days("whole", total), simulated_days("parts", days[0])
        for more in days[1:]:
            continue_simulation(parts.hub, truth_dir=parts.truth_dir, days=more)
        assert contents(parts.hub) == contents(whole.hub)
        for file in ("readers", "books", "user_attributes", "book_attributes"):
            tables = (pq.read_table(made.truth_dir / f"{file}.parquet") for made in (whole, parts))
            assert next(tables).equals(next(tables))


@pytest.mark.slow
def test_no_message_id_is_used_again_after_a_world_went_on(tmp_path: Path) -> None:
    made = run(tmp_path, days=13)
    for more in (1, 4, 16):
        continue_simulation(made.hub, truth_dir=made.truth_dir, days=more)
    texts = defaultdict(set)
    for source, _, record in landed(made.hub):
        if source == "segment" and "messageId" in record:
            texts[record["messageId"]].add(json.dumps(record))
    assert texts
    assert all(len(each) == 1 for each in texts.values())


class Interrupted(BaseException):
    """As a KeyboardInterrupt, which pytest would take for its own."""


def interrupted_on(day: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done == day:
            raise Interrupted

    return progress


KILLED_ON_THE_THIRD_DAY = """
import datetime, os, pathlib, signal, sys
from recsys_platform.hub.local import FolderHub
from recsys_platform.simulation.simulate import simulate

def progress(done, total):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

folder, end = pathlib.Path(sys.argv[1]), datetime.date.fromisoformat(sys.argv[2])
simulate(
    FolderHub(folder / "hub"), readers=50, books=20, days=9, seed=1, end=end, truth_dir=folder / "truth", progress=progress
)
"""


def test_a_simulation_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        simulate(
            FolderHub(tmp_path / "hub"), readers=50, books=20, days=9, seed=1, end=END, truth_dir=tmp_path / "truth",
            progress=interrupted_on(3),
        )  # fmt: skip
    assert [path for path in tmp_path.rglob("*") if path.suffix != ".lock"] == []


def test_the_world_after_a_killed_simulation_is_one_world(simulated: Simulated, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED_ON_THE_THIRD_DAY, tmp_path, str(END)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert keys(FolderHub(tmp_path / "hub")) == []
    assert not (tmp_path / "truth").exists()
    assert contents(run(tmp_path).hub) == contents(simulated.hub)
    assert {path.name for path in tmp_path.iterdir()} - {".simulating.lock"} == {"hub", "truth"}


def test_days_that_are_interrupted_leave_the_world_as_it_was(simulated: Simulated, tmp_path: Path) -> None:
    made = copied(simulated, tmp_path)
    before, spec = contents(made.hub), (made.truth_dir / "world.json").read_bytes()
    with pytest.raises(Interrupted):
        continue_simulation(made.hub, truth_dir=made.truth_dir, days=3, progress=interrupted_on(22))
    assert (contents(made.hub), (made.truth_dir / "world.json").read_bytes()) == (before, spec)
    assert continue_simulation(made.hub, truth_dir=made.truth_dir, days=1).objects > 0


def test_what_was_complete_when_it_was_killed_is_moved_by_the_next_command(
    simulated: Simulated, tmp_path: Path
) -> None:
    made = copied(simulated, tmp_path)
    whole = contents(made.hub)
    stage = tmp_path / ".simulating"
    stage.mkdir()
    (tmp_path / "truth").rename(stage / "truth")
    (stage / "complete").touch()
    moved = keys(made.hub)[::2]
    for key in moved:
        FolderHub(stage / "hub").put(key, made.hub.get(key))
        made.hub.remove(key)
    finish_staged(made.hub, made.truth_dir)
    assert contents(made.hub) == whole
    assert load_spec(made.truth_dir)[1] == 20
    assert not stage.exists()


def test_two_simulations_into_one_world_do_not_mix(tmp_path: Path) -> None:
    with staged(FolderHub(tmp_path / "hub"), tmp_path / "truth"), pytest.raises(InputError, match="Another process"):
        run(tmp_path)


def test_progress_is_reported_by_days(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate(
        FolderHub(tmp_path), readers=1, books=1, days=3, seed=0, end=END, truth_dir=tmp_path / "truth",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("size", [{"readers": 0}, {"books": 0}, {"days": 0}, {"seed": -1}])
def test_an_impossible_size_is_refused_by_name(tmp_path: Path, size: dict[str, int]) -> None:
    arguments = {"readers": 5, "books": 5, "days": 1, "seed": 1} | size
    with pytest.raises(InputError, match=next(iter(size))):
        simulate(FolderHub(tmp_path), **arguments, end=END, truth_dir=tmp_path)


def test_there_is_no_going_on_without_a_world(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No simulated world"):
        continue_simulation(FolderHub(tmp_path), truth_dir=tmp_path)
