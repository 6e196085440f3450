"""A canary on real gateways: its visitors, its counts, its end; what a person decides holds."""

import datetime as dt
import gzip
import json
import shutil
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.experiments.canary import CanaryPlan, Observation, Status, Traffic, Trouble
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.serving.answer_counts import COUNTED, STREAM, AnswerCounts
from recsys_platform.serving.exposures import EventSpool, to_hub
from recsys_platform.serving.following import Follower
from recsys_platform.serving.rollout.controller import Rollout, rollout_of, trouble_of
from recsys_platform.serving.rollout.observing import LandedCounts
from recsys_platform.serving.rollout.plan_file import parse_plan
from recsys_platform.serving.rollout.record import (
    BASELINE,
    CANARY,
    CanaryRecord,
    parse_canary,
    record_text,
    with_new_name,
)
from recsys_platform.serving.rollout.store import ChangedMeanwhileError, FileState
from recsys_platform.serving.routing import Route
from recsys_platform.serving.routing_files import CanaryFile, routing_of
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.commands import said_by
from tests.support.experiment_worlds import FIRST, TABLES, Row, event, insertions, request
from tests.support.serving_world import NOW, ServingWorld, make_world

START = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
VISITORS = [f"u{number}" for number in range(20_000)]
EVENTS = {"errors": 0, "slow": 0}
GOOD = Observation(Traffic(5_000, EVENTS), Traffic(5_000, EVENTS))
BAD = Observation(Traffic(100, {"errors": 50, "slow": 0}), Traffic(100, EVENTS))
QUICK = CanaryPlan(stages=(1, 10, 50, 100), least_minutes=0, tolerated_losses={})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ServingWorld:
    made = make_world(tmp_path_factory.mktemp("world"))
    made.publish(parse_list_rules({}))
    made.registry.set_alias(CHALLENGER, made.versions["als"], why="a test")
    return made


@pytest.fixture
def world(made: ServingWorld, tmp_path: Path) -> ServingWorld:
    """A copy of one world, since each test moves its aliases."""
    home = tmp_path / "world"
    shutil.copytree(made.home.parent, home)
    warehouse = DuckDBWarehouse(home / made.warehouse.path.name)
    return replace(made, home=home / made.home.name, registry=Registry(home / "models"), warehouse=warehouse)


@pytest.fixture
def settings(world: ServingWorld) -> Settings:
    return load_settings({"RECSYS_HOME": str(world.home.parent)})


@pytest.fixture
def rollout(settings: Settings) -> Rollout:
    return replace(rollout_of(settings), plan=QUICK, observe=lambda record, now: GOOD)


def seeing(rollout: Rollout, seen: Observation) -> Rollout:
    return replace(rollout, observe=lambda record, now: seen)


def stepped(rollout: Rollout, seen: Observation) -> CanaryRecord:
    after = seeing(rollout, seen).step(START).after
    assert after
    return after


def groups_of(record: CanaryRecord) -> Counter[str | None]:
    return Counter(record.variant_of(visitor) for visitor in VISITORS)


def test_a_larger_share_keeps_all_readers_of_the_canary_in(rollout: Rollout) -> None:
    record = rollout.start("challenger", because="better lists", now=START)
    assert (record.percent, record.baseline_percent, record.version) == (1, 1, rollout.registry.version_of(CHALLENGER))
    members: set[str] = set()
    for _ in range(2):
        record = rollout.status() or record
        now_in = {visitor for visitor in VISITORS if record.variant_of(visitor) == CANARY}
        assert members < now_in
        assert groups_of(record)[BASELINE] == pytest.approx(len(VISITORS) * record.percent / 100, rel=0.2)
        members = now_in
        rollout.step(START)


def test_a_good_canary_climbs_goes_into_production_and_leaves_no_route(rollout: Rollout, settings: Settings) -> None:
    started = rollout.start("challenger", because="better lists", now=START)
    shares = [rollout.step(START).after for _ in range(4)]
    assert [each.percent for each in shares if each] == [10, 50, 100, 0]
    assert rollout.registry.version_of(PRODUCTION) == started.version
    assert rollout.registry.version_of(CHALLENGER) is None
    change = rollout.registry.history()[0 if rollout.registry.history()[0].alias == PRODUCTION else 1]
    assert (change.who, change.why) == ("canary", f"{started.experiment} is complete.")
    routing = routing_of(settings)
    routing.refresh()
    assert (routing.models(), routing.route("u1", "home")) == ((PRODUCTION,), Route())
    steps = rollout.history.steps()
    assert steps["percent"].tolist() == [1, 10, 50, 100, 0]
    assert (steps["changed_by"].iloc[1], steps["status"].iloc[-1]) == ("canary", "complete")


def test_what_was_rolled_back_stays_so_for_every_canary_and_the_gate_until_a_person_releases_it(
    rollout: Rollout,
) -> None:
    started = rollout.start("challenger", because="better lists", now=START)
    done = seeing(rollout, BAD).step(START)
    assert done.is_change
    assert done.after
    assert (done.after.percent, done.after.status) == (0, Status.ROLLED_BACK)
    assert [rollout.step(START).after, rollout.step(START).is_change] == [done.after, False]
    assert rollout.registry.info(started.version).rolled_back
    with pytest.raises(RecsysError, match="is rolled back: `recsys canary release"):
        rollout.start("challenger", because="again", now=START)
    released = rollout.release("the cache was cold", who="ann", now=START)
    assert (released.percent, released.status, released.who) == (1, Status.RUNNING, "ann")
    assert released.experiment == f"{started.experiment}__2"
    assert not rollout.registry.info(started.version).rolled_back


def test_what_a_person_decides_holds_through_all_ticks(rollout: Rollout) -> None:
    rollout.start("challenger", because="better lists", now=START)
    pinned = rollout.pin("holidays", who="ann", now=START)
    assert seeing(rollout, GOOD).step(START).after == pinned
    for _ in range(2):
        broken = stepped(rollout, BAD)
        assert (broken.percent, broken.status, broken.number) == (1, Status.PINNED, pinned.number + 1)
        assert broken.news.startswith("pinned, so not rolled back: errors in ")
        assert trouble_of(broken) is Trouble.BROKEN_BUT_PINNED
    stopped = rollout.stop("bad covers", who="bob", now=START)
    assert (rollout.step(START).after, stopped.percent) == (stopped, 0)
    with pytest.raises(InputError, match="stopped: only a running one can be pinned"):
        rollout.pin("no")


def test_a_pinned_canary_tells_each_breakage_and_recovery_once_and_keeps_the_persons_reason(rollout: Rollout) -> None:
    rollout.start("challenger", because="better lists", now=START)
    rollout.pin("holidays", who="ann", now=START)
    wrong = replace(GOOD, wrong_answers=9)
    seen = (GOOD, BAD, wrong, BAD, GOOD, GOOD, wrong, BAD, GOOD)
    found = [stepped(rollout, each) for each in seen]
    assert [each.number - found[0].number for each in found] == [0, 1, 1, 1, 2, 2, 3, 3, 4]
    assert [trouble_of(each) is Trouble.BROKEN_BUT_PINNED for each in found] == [each is not GOOD for each in seen]
    assert {(each.reason, each.percent, each.status) for each in found} == {("holidays", 1, Status.PINNED)}
    reasons = [each.split(":")[0] for each in rollout.history.steps()["reason"]]
    assert reasons[1:] == ["holidays", *["pinned, so not rolled back", "recovered"] * 2]
    stepped(rollout, BAD)
    assert (rollout.release("back", now=START).news, trouble_of(stepped(rollout, GOOD))) == ("back", None)


def test_without_data_it_holds(rollout: Rollout) -> None:
    def fails(record: CanaryRecord, now: dt.datetime) -> Observation:
        raise RecsysError("the hub is away")

    rollout.start("challenger", because="better lists", now=START)
    for observe in (fails, lambda record, now: Observation()):
        held = replace(rollout, observe=observe).step(START + dt.timedelta(days=1)).after
        assert held
        assert (held.percent, held.status) == (1, Status.RUNNING)
        assert held.reason in ("held: there are no data", "held: 0 of 1000 requests by the canary")


def test_a_person_is_not_overwritten_by_a_step_that_began_before(rollout: Rollout) -> None:
    rollout.start("challenger", because="better lists", now=START)

    def decides_meanwhile(record: CanaryRecord, now: dt.datetime) -> Observation:
        rollout.stop("wait", who="ann", now=START)
        return GOOD

    after = replace(rollout, observe=decides_meanwhile).step(START).after
    assert after
    assert (after.status, after.who) == (Status.STOPPED, "ann")
    assert rollout.status() == after


@pytest.mark.parametrize(("decision", "status"), [("stop", Status.STOPPED), ("pin", Status.PINNED)])
def test_a_person_who_decides_during_the_last_step_keeps_the_model_out_of_production(
    rollout: Rollout, decision: str, status: Status
) -> None:
    rollout.start("challenger", because="better lists", now=START)
    production = rollout.registry.version_of(PRODUCTION)
    assert [rollout.step(START).after for _ in range(3)][-1].percent == 100  # type: ignore[union-attr]

    def decides_meanwhile(record: CanaryRecord, now: dt.datetime) -> Observation:
        getattr(rollout, decision)("wait", who="ann", now=START)
        return GOOD

    for each in (replace(rollout, observe=decides_meanwhile), rollout):
        after = each.step(START).after
        assert after
        assert (after.status, after.who, each.registry.version_of(PRODUCTION)) == (status, "ann", production)


def test_a_promotion_that_fails_is_repeated(rollout: Rollout, tmp_path: Path) -> None:
    started = rollout.start("challenger", because="better lists", now=START)
    for _ in range(3):
        rollout.step(START)
    production, folder = rollout.registry.version_of(PRODUCTION), rollout.registry.folder(started.version)
    assert folder.is_relative_to(tmp_path)
    folder.rename(tmp_path / "away")
    for _ in range(2):
        held = rollout.step(START).after
        assert held
        assert (held.status, held.percent, held.reason[:6]) == (Status.RUNNING, 100, "held: ")
        assert rollout.registry.version_of(PRODUCTION) == production
    assert len(rollout.history.steps()) == 5
    (tmp_path / "away").rename(folder)
    assert rollout.step(START).after.status is Status.COMPLETE  # type: ignore[union-attr]
    assert rollout.registry.version_of(PRODUCTION) == started.version


def test_a_step_that_was_killed_before_the_promotion_is_finished_by_the_next(rollout: Rollout) -> None:
    started = rollout.start("challenger", because="better lists", now=START)
    passed = replace(started, status=Status.COMPLETE, percent=100, baseline_percent=0, number=2, revision=2)
    rollout.store.write(passed, started)
    with pytest.raises(RecsysError, match="is going into production: run `recsys canary step`"):
        rollout.stop("wait")
    after = rollout.step(START).after
    assert after
    assert (after.status, after.percent, rollout.status()) == (Status.COMPLETE, 0, after)
    assert rollout.registry.version_of(PRODUCTION) == started.version
    assert rollout.history.steps()["percent"].tolist() == [1, 0]


def test_a_pinned_canary_goes_on_with_the_newest_version_of_its_recipe(rollout: Rollout, world: ServingWorld) -> None:
    """After a new book gateways have no older version; the share and the person's decision stay."""
    loaded = world.registry.load(rollout.start("challenger", because="better lists", now=START).version)
    pinned = rollout.pin("holidays", who="ann", now=START)
    given = {"params": loaded.manifest["params"], "catalogue_hash": loaded.info.catalogue_hash}
    newer = world.registry.log("als", loaded.arrays, Provenance(NOW, "data of another day", "0.1", **given))
    after = seeing(rollout, GOOD).step(START).after
    assert after
    assert (after.version, after.status, after.percent, after.reason) == (newer, Status.PINNED, 1, pinned.reason)
    assert not seeing(rollout, GOOD).step(START).is_change


def test_newer_versions_of_the_recipe_take_the_place_of_older_ones(rollout: Rollout, world: ServingWorld) -> None:
    loaded = world.registry.load(world.versions["als"])
    rollout.start(loaded.info.version, because="better lists", now=START)
    given = {"params": loaded.manifest["params"], "catalogue_hash": loaded.info.catalogue_hash}
    newer = world.registry.log("als", loaded.arrays, Provenance(NOW, "data of the next day", "0.1", **given))
    world.registry.log("als", loaded.arrays, Provenance(NOW, "another catalog", "0.1", params=given["params"]))
    done = seeing(rollout, Observation()).step(START)
    assert done.after
    assert (done.after.version, done.after.label, done.after.percent) == (newer, f"als-v{newer}", 1)
    assert done.is_change
    assert rollout.history.steps()["version"].tolist() == [loaded.info.version, newer]


def test_production_that_a_person_moved_makes_it_wait(rollout: Rollout, world: ServingWorld) -> None:
    rollout.start("challenger", because="better lists", now=START)
    world.registry.set_alias(PRODUCTION, world.versions["popularity"], why="a person")
    after = rollout.step(START).after
    assert after
    assert after.percent == 1
    assert after.reason.startswith("held: production is another recipe, popularity-v")
    assert trouble_of(after) is Trouble.HELD
    assert trouble_of(stepped(rollout, BAD)) is Trouble.ROLLED_BACK  # hard limits need no baseline


def test_nothing_that_is_wrong_with_the_history_keeps_a_person_from_stopping(rollout: Rollout) -> None:
    history = replace(rollout.history, may_write=lambda: False)
    rollout = replace(rollout, history=history)
    record = rollout.start("challenger", because="better lists", now=START)
    waiting = history.folder / "waiting.jsonl"
    with waiting.open("ab") as file:
        file.write(b'{"step_id": "canary\xff')  # torn
    assert rollout.pin("holidays", now=START).status is Status.PINNED
    assert history.steps()["status"].tolist() == ["running", "pinned"]
    waiting.unlink()
    waiting.mkdir()
    assert rollout.stop("bad covers", now=START).status is Status.STOPPED
    assert rollout.registry.info(record.version).rolled_back
    waiting.rmdir()
    rollout.step(START)
    assert history.steps()["status"].tolist() == ["stopped"]


def test_steps_that_are_kept_at_once_all_wait(rollout: Rollout) -> None:
    history = replace(rollout.history, may_write=lambda: False)
    record = rollout.start("challenger", because="better lists", now=START)
    later = [replace(record, number=number) for number in range(2, 10)]
    threads = [threading.Thread(target=history.keep, args=[each]) for each in later]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(history.steps()) == 9


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("production", "is in production already"),
        ("99", "There is no model version 99"),
    ],
)
def test_what_cannot_be_a_canary_is_told_in_a_sentence(rollout: Rollout, model: str, sentence: str) -> None:
    with pytest.raises(RecsysError, match=sentence):
        rollout.start(model, because="no")


def test_there_is_one_canary_at_a_time(rollout: Rollout, world: ServingWorld) -> None:
    rollout.start("challenger", because="better lists", now=START)
    with pytest.raises(RecsysError, match=r"The canary of als-v\d+ is running: stop it"):
        rollout.start(world.versions["ease"], because="no")
    rollout.stop("over", now=START)
    assert rollout.start(world.versions["ease"], because="the next", now=START).label.startswith("ease")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([], "must be a mapping"),
        ({"stage": 1}, "there is no stage"),
        ({"stages": [5, 1]}, "must be rising percents"),
        ({"alpha": "much"}, "alpha: "),
        ({"tolerated_losses": {"clicky": 0.1}}, "tolerated_losses: there is no clicky; known are ctr"),
        ({"slow_over_ms": 7}, "slow_over_ms must be one of 10"),
    ],
)
def test_a_mistake_in_a_plan_is_told_in_a_sentence(content: Any, sentence: str) -> None:
    with pytest.raises(RecsysError, match=sentence):
        parse_plan(content)


def test_a_plan_has_defaults(settings: Settings) -> None:
    assert parse_plan(None) == rollout_of(settings).plan == CanaryPlan()
    assert parse_plan({"stages": [10, 100], "hard_limits": {}}).stages == (10, 100)


def test_a_state_that_cannot_be_read_is_told_in_a_sentence(settings: Settings, rollout: Rollout) -> None:
    record = rollout.start("challenger", because="better lists", now=START)
    assert parse_canary(None) is None
    path = CanaryFile(settings).path
    path.write_text(record_text(record).replace('"percent": 1', '"percent": 200'), encoding="utf-8")
    routing = routing_of(settings)
    routing.refresh()
    assert "percent: input should be less than or equal to 100" in (routing.error or "")
    with pytest.raises(RecsysError, match="percent"):
        rollout.status()


def test_of_two_who_write_at_once_one_wins(settings: Settings, rollout: Rollout) -> None:
    record = rollout.start("challenger", because="better lists", now=START)
    state, outcomes = FileState(CanaryFile(settings)), []

    def write() -> None:
        try:
            state.write(replace(record, revision=record.revision + 1), record)
            outcomes.append("written")
        except ChangedMeanwhileError:
            outcomes.append("changed")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["changed"] * 3 + ["written"]


@pytest.fixture
def counted(tmp_path: Path) -> AnswerCounts:
    (tmp_path / "counts").mkdir()
    return AnswerCounts(EventSpool(tmp_path / "counts", to_hub(FolderHub(tmp_path / "hub"), STREAM)))


def test_answers_are_counted_by_minute_and_group_and_land_once(counted: AnswerCounts, tmp_path: Path) -> None:
    route, other = Route("17", "canary_x", CANARY), Route(PRODUCTION, "canary_x", BASELINE)
    for number in range(100):
        at = START + dt.timedelta(seconds=number)
        counted.add(route, "published" if number % 10 == 0 else "live", at, 0.15, is_error=number % 10 == 0)
        counted.add(other, "live", at, 0.004, is_error=False)
    counted.flush()
    counted.spool.flush()
    landed = LandedCounts(FolderHub(tmp_path / "hub"))
    now = dt.datetime.now(dt.UTC)
    for key in list(landed.hub.objects("engagement_events/")):
        content = landed.hub.get(key.key)
        landed.hub.put(f"engagement_events/source=segment/2026/11/22/12/{STREAM}-again.gz", content)
        landed.hub.put(f"engagement_events/source=segment/2026/11/22/12/{STREAM}-twice.gz", content)
    found = [each.counts for each in landed.since(START, now)]
    assert sum(each["answers"] for each in found) == 200
    assert sum(each["errors"] for each in found) == 10
    later = [each.counts for each in landed.since(START + dt.timedelta(seconds=1), now)]
    assert sum(each["answers"] for each in later) == 80
    slow = [each["answers"] - each["within_100_ms"] for each in found if each["variant"] == CANARY]
    assert sum(slow) == 100


def test_where_the_platform_has_a_salt_only_counts_that_are_signed_with_it_are_believed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub = FolderHub(tmp_path / "hub")
    (tmp_path / "spool").mkdir()
    counts = AnswerCounts(EventSpool(tmp_path / "spool", to_hub(hub, STREAM), now=lambda: START), salt="a salt")
    counts.add(Route("canary_x", CANARY), "live", START, 0.02, is_error=False)
    counts.flush()
    counts.spool.flush()
    [item] = hub.objects("engagement_events/")
    [event] = [json.loads(line) for line in gzip.decompress(hub.get(item.key)).splitlines()]
    said = event["properties"]
    worse = [said["items"][0] | {"errors": 50, "answers": 50}]
    forged = [
        event | {"messageId": "unsigned", "properties": {"items": said["items"]}},
        event | {"messageId": "of another one"},
        event | {"properties": said | {"items": worse}},
        event | {"timestamp": (START + dt.timedelta(minutes=1)).isoformat()},
        event | {"properties": said | {"signature": ["x"]}},
        event | {"properties": said | {"signature": "ü"}},
        event | {"properties": 7},
    ]
    put_counts(hub, START, "forged", b"".join(json.dumps(each).encode() + b"\n" for each in forged))

    def answers(salt: str | None) -> int:
        return sum(each.counts["answers"] for each in LandedCounts(hub, salt=salt).since(START, START))

    assert answers("a salt") == 1
    assert "7 events of answer counts in " in caplog.text
    assert answers("another salt") == 0
    assert "give gateways and Dagster the same RECSYS_PII_SALT" in caplog.text
    assert answers(None) > 1  # of a world of one machine, where nobody else writes


LONG_AGO = START - dt.timedelta(hours=30)
GROUP = {"experiment": "canary_x", "variant": CANARY, "source": "live", "answers": 5, "errors": 1, "within_100_ms": 4}


def counts_event(name: str, at: str = LONG_AGO.isoformat(), items: Any = (GROUP,)) -> bytes:
    return (
        json.dumps({"event": COUNTED, "messageId": name, "timestamp": at, "properties": {"items": items}}).encode()
        + b"\n"
    )


def put_counts(hub: Hub, at: dt.datetime, name: str, content: bytes) -> None:
    hub.put(f"engagement_events/source=segment/{at:%Y/%m/%d/%H}/{STREAM}-{name}", content)


def test_counts_that_are_damaged_or_not_valid_are_skipped_and_the_rest_is_read(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    strange = [
        counts_event("no mappings", items=["x", 3, None, {"experiment": [], "variant": CANARY, "source": "live"}]),
        counts_event("no list", items=7),
        counts_event("no zone", at=f"{LONG_AGO:%Y-%m-%dT%H:%M:%S}"),
        counts_event("no text").replace(b'"no text"', b"[1]"),
        b'["Answers Counted"]\n',
        b'{"event": "Answers Counted", "deep": ' + b"[" * 100_000 + b"\n",
    ]
    put_counts(hub, LONG_AGO, "strange", b"".join(strange))
    members = gzip.compress(counts_event("first")) + gzip.compress(counts_event("second"))
    put_counts(hub, LONG_AGO, "members.gz", members)
    put_counts(hub, LONG_AGO, "damaged.gz", gzip.compress(counts_event("third"))[:-4])
    put_counts(hub, LONG_AGO, "junk.gz", b"\x1f\x8bjunk")
    put_counts(hub, LONG_AGO, "twice", counts_event("fourth") * 2)
    for now in (LONG_AGO + dt.timedelta(minutes=1), START):  # while the hour lasts, and as a sum
        found = [each.counts for each in LandedCounts(hub).since(LONG_AGO, now)]
        assert sum(each["errors"] for each in found) == 4


class ListedHub(FolderHub):
    """Notes each folder that is listed."""

    listed: ClassVar[list[str]] = []

    def objects(self, prefix: str) -> list[HubObject]:
        self.listed.append(prefix)
        return super().objects(prefix)


def test_hours_that_are_over_are_listed_once_and_their_sums_are_kept(tmp_path: Path) -> None:
    hub = ListedHub(tmp_path / "hub")
    for hour in range(30):
        at = LONG_AGO + dt.timedelta(hours=hour)
        put_counts(hub, at, "one", counts_event(f"{hour}", at=at.isoformat()))
    put_counts(hub, START - dt.timedelta(hours=1), "again", counts_event("3"))
    landed = LandedCounts(hub)
    for minute in range(3):
        hub.listed.clear()
        found = list(landed.since(LONG_AGO, START + dt.timedelta(minutes=minute)))
        assert sum(each.counts["answers"] for each in found) == 30 * 5
        assert (len(hub.listed) < 6) == (minute > 0)
    assert len(found) < 5
    later = landed.since(LONG_AGO + dt.timedelta(hours=10), START)
    assert sum(each.counts["answers"] for each in later) == 20 * 5


def test_no_canary_gets_the_name_of_an_earlier_one(rollout: Rollout, world: ServingWorld) -> None:
    names = []
    for alias in ("als", "ease", "als"):
        names.append(rollout.start(world.versions[alias], because="a trial", now=START).experiment)
        rollout.stop("over", now=START)
    names.append(rollout.release("again", now=START).experiment)
    assert names[2:] == [f"{names[0]}__2", f"{names[0]}__3"]


def test_the_name_of_a_canary_is_never_too_long(rollout: Rollout) -> None:
    record = replace(rollout.start("challenger", because="better lists", now=START), experiment=f"canary_{'x' * 56}")
    taken: set[str] = set()
    for _ in range(11):
        record = with_new_name(record, taken)
        assert record.experiment not in taken
        taken.add(record.experiment)
    assert max(map(len, taken)) == 63


def land_counts(settings: Settings, experiment: str, at: dt.datetime) -> None:
    """Two thousand quick answers of each group."""
    (settings.serving_root / "counts").mkdir(exist_ok=True)
    counts = AnswerCounts(
        EventSpool(settings.serving_root / "counts", to_hub(hub_of(settings), STREAM), now=lambda: at)
    )
    for variant in (CANARY, BASELINE):
        for _ in range(2_000):
            counts.add(Route("any", experiment, variant), "live", at, 0.002, is_error=False)
    counts.flush()
    counts.spool.flush()


def seen_in_marts(experiment: str, clicked: int) -> list[Row]:
    """120 readers of each group on two days: of ten books those of the baseline click three or four, and half of all finish one."""
    days, rows = (START.date() - FIRST.date()).days, []
    for number in range(240):
        variant, books = ((CANARY, clicked), (BASELINE, 3))[number % 2]
        shown = {"books": 10, "clicked": books + number % 4 // 2, "variant": variant, "experiment": experiment}
        rows += [request(f"u{number}", days + day, **shown) for day in range(2)]
        rows += [event(f"u{number}", days, "Book Finished")] if number % 8 < 4 else []
    return rows


@pytest.mark.parametrize(
    ("clicked", "status", "percent", "reason"),
    [(3, Status.RUNNING, 5, "advanced to 5 %"), (1, Status.ROLLED_BACK, 0, "rolled back: ctr is -")],
)
def test_a_model_with_poor_lists_is_rolled_back_at_the_first_share_and_a_good_one_goes_on(
    settings: Settings, clicked: int, status: Status, percent: int, reason: str
) -> None:
    rollout = rollout_of(settings)
    record = rollout.start("challenger", because="better lists", now=START)
    with DuckDBWarehouse(settings.warehouse_path).connect() as con:
        for statement in (*TABLES, *insertions(seen_in_marts(record.experiment, clicked))):
            con.execute(statement)
    land_counts(settings, record.experiment, START + dt.timedelta(minutes=20))
    done = rollout.step(START + dt.timedelta(minutes=40))
    assert done.observation
    assert (done.observation.canary.requests, done.observation.baseline.requests) == (2_000, 2_000)
    assert int(done.observation.canary.readers["ctr"].n) == 120
    assert done.after
    assert (done.after.status, done.after.percent) == (status, percent)
    assert done.after.reason.startswith(reason)


class FailingModel:
    """A model that breaks for every reader."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("a bad model")


def test_a_model_that_fails_is_rolled_back_on_a_running_gateway_by_what_landed(
    world: ServingWorld, settings: Settings, run_gateway: Any, tmp_path: Path
) -> None:
    """Few requests: readers of the canary ask ten times; all others are answered by production, as before."""
    hub = FolderHub(settings.home / "hub")
    counts = AnswerCounts(EventSpool(tmp_path / "counts", to_hub(hub, STREAM), flush_seconds=0.1))
    follower = Follower(world.home, world.registry, routing_of(settings))
    api = run_gateway(world, follower=follower, counts=counts)
    follower.stop()  # its thread would load the model again, in the place of the one that fails
    plan = replace(QUICK, stages=(20, 50, 100), hard_limit_requests=5)
    rollout = replace(rollout_of(settings), plan=plan)
    rollout = replace(rollout, observe=replace(rollout.observe.__self__, plan=plan).observe)  # type: ignore[attr-defined]
    record = rollout.start("challenger", because="better lists", now=START)
    follower.refresh()
    served = follower.served.models[record.version]
    object.__setattr__(served, "live", FailingModel())
    readers = [f"u{number:02d}" for number in range(14)]
    answers = {reader: [api.recommended(reader, k=2 + turn) for turn in range(5)] for reader in readers}
    shown = {each["variant"] for of_reader in answers.values() for each in of_reader}
    assert shown == {CANARY, BASELINE, PRODUCTION}
    for reader, of_reader in answers.items():
        assert {each["variant"] for each in of_reader} == {record.variant_of(reader) or PRODUCTION}
        is_canary = record.variant_of(reader) == CANARY
        assert {each["source"] for each in of_reader} == ({"published"} if is_canary else {"live"})
    counts.flush()
    counts.spool.flush()
    seen = rollout.look()
    members = sum(record.variant_of(reader) == CANARY for reader in readers)
    assert seen
    assert seen.canary.events["errors"] == seen.canary.requests == 5 * members
    assert seen.baseline.events["errors"] == 0
    done = rollout.step()
    assert done.after
    assert done.after.status is Status.ROLLED_BACK
    follower.refresh()
    assert {api.recommended(reader, k=9)["variant"] for reader in readers} == {PRODUCTION}


def test_commands_start_look_at_pin_stop_and_release_a_canary(world: ServingWorld) -> None:
    home = world.home.parent
    assert said_by("canary", home=home) == (
        0,
        "There is no canary: `recsys canary start challenger` begins one.",
    )
    label = world.registry.info(world.versions["als"]).label
    code, said = said_by("canary", "start", "challenger", "--reason", "better lists", home=home)
    assert (code, f"{label} is running, 1 % of the visitors, 1 % as baseline better lists (" in said) == (0, True)
    assert "is pinned" in said_by("canary", "pin", "--reason", "holidays", home=home)[1]
    assert "is pinned" in said_by("canary", "step", home=home)[1]
    assert "is running, 1 %" in said_by("canary", "release", "--reason", "back", home=home)[1]
    assert "held: 0 of 1000 requests by the canary" in said_by("canary", "step", home=home)[1]
    assert "is stopped, 0 %" in said_by("canary", "stop", "--reason", "bad covers", home=home)[1]
    code, said = said_by("canary", home=home)
    assert (code, all(each in said for each in ("better lists", "holidays", "back", "bad covers", "requests"))) == (
        0,
        True,
    )
    code, said = said_by("canary", "start", world.versions["als"], "--reason", "again", home=home)
    assert (code, said.startswith(f"error: The canary of {label} is stopped: `recsys canary release")) == (1, True)
