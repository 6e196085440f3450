"""Whatever fails, waits or lies about in the hub: what landed is loaded in the end, and asked for no more often than that takes."""

import datetime as dt
import gzip
import itertools
import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.alerts import failure_alert
from recsys_platform.defs.automation.conditions import NIGHTLY, ON_CHANGE
from recsys_platform.defs.automation.load_requests import RUN_KEY, Cursor, fetch_request, pause_after
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.run import with_downstream
from recsys_platform.defs.automation.triggers import triggers
from recsys_platform.defs.ingestion.raw import raw_engagement_events
from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.hub.object_store import Hub, HubObject
from recsys_platform.ingestion.arrivals import all_arrivals
from recsys_platform.ingestion.loading import load_events
from recsys_platform.transform.dbt import PARSED, cached_manifest, target_folder
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.dbt_world import World

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
MINUTE, HOUR = dt.timedelta(minutes=1), dt.timedelta(hours=1)


class Platform:
    """The landing sensor over a hub, a warehouse and an instance of Dagster, by a clock that a test moves on."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.hub, self.warehouse = FolderHub(home / "hub"), DuckDBWarehouse(home / "warehouse.duckdb", lock_wait=0.1)
        self.instance, self.now, self.cursor, self.landed = instance, NOW, None, 0
        built = triggers(load_settings({"RECSYS_HOME": str(home)}), clock=lambda: self.now)
        self.sensor = next(item for item in built.sensors if item.name == "new_landing_objects")
        self.parts = {"hub": self.hub, "warehouse": self.warehouse}
        defs = dg.Definitions(assets=[raw_engagement_events], sensors=[self.sensor], resources=self.parts)
        self.repository = defs.get_repository_def()
        self.skipped = ""

    def land(self, day: dt.date, name: str | None = None) -> str:
        self.landed += 1
        record = {"messageId": f"m{self.landed}", "timestamp": f"{day}T04:00:00Z", "userId": "u"}
        record |= {"type": "track", "event": "Book Viewed", "properties": {"book_id": f"b{self.landed}"}}
        key = landing_key("segment", dt.datetime.combine(day, dt.time(5)), name or f"{self.landed}.gz")
        self.hub.put(key, gzip.compress(json.dumps(record).encode()))
        return key

    def tick(self, later: dt.timedelta = MINUTE) -> list[dg.RunRequest]:
        """The loads that the sensor asks for after some time."""
        self.now += later
        given = {"instance": self.instance, "cursor": self.cursor, "resources": self.parts}
        with dg.build_sensor_context(repository_def=self.repository, **given) as context:
            result = self.sensor.evaluate_tick(context)
        self.cursor, self.skipped = result.cursor or self.cursor, result.skip_message or ""
        return list(result.run_requests or [])

    def end(self, request: dg.RunRequest, *, failed: bool = False) -> None:
        """What Dagster keeps of a requested run: a load that is made, or one that failed."""
        tags = {**request.tags, RUN_KEY: request.run_key}
        if failed:
            self.instance.add_run(self._run(request, dg.DagsterRunStatus.FAILURE))
            return
        given = {"partition_key": request.partition_key} if request.partition_key else {}
        assert dg.materialize(
            [raw_engagement_events], instance=self.instance, tags=tags, resources=self.parts, **given
        ).success

    def load(self, request: dg.RunRequest, hub: Hub) -> bool:
        """Make a requested load from a hub; whether it ended well."""
        tags, parts = {**request.tags, RUN_KEY: request.run_key}, {**self.parts, "hub": hub}
        given = {"partition_key": request.partition_key, "tags": tags, "resources": parts, "raise_on_error": False}
        return dg.materialize([raw_engagement_events], instance=self.instance, **given).success

    def start(self, request: dg.RunRequest) -> dg.DagsterRun:
        return self.instance.add_run(self._run(request, dg.DagsterRunStatus.STARTED))

    def _run(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        tags = {**request.tags, RUN_KEY: request.run_key}
        return dg.DagsterRun(
            job_name="__ASSET_JOB", status=status, tags=tags, asset_selection=frozenset({raw_engagement_events.key})
        )

    @property
    def waiting(self) -> int:
        return len(all_arrivals(self.hub, self.warehouse).new)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def platform(tmp_path, warehouse, instance) -> Platform:
    return Platform(tmp_path, instance)


def days_before(count: int) -> list[dt.date]:
    return [NOW.date() - dt.timedelta(days=n) for n in range(count)]


@pytest.mark.slow
def test_a_failed_load_is_asked_for_again_with_growing_pauses_until_it_succeeds(platform):
    platform.land(NOW.date())
    asked = []
    for _ in range(200):
        for request in platform.tick():
            asked.append(platform.now)
            platform.end(request, failed=True)
    pauses = [(later - earlier) // MINUTE for earlier, later in itertools.pairwise(asked)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    [request] = platform.tick(HOUR)
    platform.end(request)
    assert platform.waiting == 0
    assert platform.tick(HOUR) == []


def test_every_request_has_a_run_key_of_its_own(platform):
    platform.land(NOW.date())
    requests = [request for _ in range(5) for request in platform.tick(HOUR)]
    assert len({request.run_key for request in requests}) == 5


def test_a_load_that_was_never_started_is_asked_for_again(platform):
    platform.land(NOW.date())
    assert len(platform.tick()) == 1
    assert len(platform.tick()) == 1


def test_nothing_is_asked_for_while_a_run_loads_the_day_and_at_once_for_what_came_meanwhile(platform):
    platform.land(NOW.date())
    [request] = platform.tick()
    run = platform.start(request)
    platform.land(NOW.date())
    assert platform.tick() == []
    assert "in progress" in platform.skipped
    load_events(platform.hub, platform.warehouse, all_arrivals(platform.hub, platform.warehouse).new[:1])
    platform.instance.delete_run(run.run_id)
    platform.instance.add_run(platform._run(request, dg.DagsterRunStatus.SUCCESS))
    assert [again.partition_key for again in platform.tick()] == ["2026-11-20"]


def test_a_run_that_was_made_and_never_starts_blocks_no_day_for_ever(platform):
    platform.land(NOW.date())
    [request] = platform.tick()
    platform.instance.add_run(platform._run(request, dg.DagsterRunStatus.NOT_STARTED))
    platform.now = dt.datetime.now(dt.UTC)
    assert platform.tick() == []
    assert len(platform.tick(HOUR)) == 1


@pytest.mark.slow
def test_any_number_of_days_with_gaps_is_one_run_and_halves_find_the_day_that_fails(platform):
    days = days_before(400)[::5]
    for day in days:
        platform.land(day)
    [request] = platform.tick()
    runs, rounds = [request], 0
    while runs and rounds < 60:  # the load of one day fails, whichever run it is in
        for run in runs:
            first, last = run.tags.get("recsys/load_from"), run.tags.get("recsys/load_to")
            first = first or run.partition_key or run.tags["dagster/asset_partition_range_start"]
            last = last or run.partition_key or run.tags["dagster/asset_partition_range_end"]
            platform.end(run, failed=first <= days[40].isoformat() <= last)
        runs, rounds = platform.tick(HOUR), rounds + 1
        if platform.waiting == 1:
            break
    assert platform.waiting == 1
    assert rounds <= 7


@pytest.mark.slow
def test_only_yesterday_and_today_are_listed_and_once_an_hour_everything(platform):
    assert platform.tick() == []
    platform.land(days_before(3)[2])
    assert [platform.tick() for _ in range(50)] == [[]] * 50
    platform.land(days_before(2)[1])
    assert [request.partition_key for request in platform.tick()] == ["2026-11-19"]
    assert "2026-11-18" in [request.partition_key for request in platform.tick(HOUR)]


STRANGE = [
    "engagement_events/source=segment/dt=2026-11-20/a.gz",
    "engagement_events/source=segment/2026/11/20/a.gz",
    "engagement_events/source=segment/2026/11/20/05/deeper/a.gz",
    "engagement_events/source=segment/2026/13/20/05/a.gz",
    "engagement_events/source=mixpanel/2026/11/20/05/a.gz",
    "engagement_events/processing-failed/2026/11/20/05/a.gz",
    "engagement_events/source=segment/dummy-object.txt",
    "engagement_events/source=segment/1999/12/31/23/a.gz",
    "engagement_events/README.md",
    "engagement_events/segment-logs/abc/1700000000000/a.gz",
]


@pytest.mark.parametrize("key", STRANGE)
def test_a_strange_key_is_warned_of_and_the_rest_loads(platform, key):
    platform.hub.put(key, b"whatever this is")
    platform.land(NOW.date())
    [request] = platform.tick()
    platform.end(request)
    assert platform.waiting == 0
    assert platform.tick(HOUR) == []
    assert f"first {key}: it is not loaded" in platform.skipped


def test_an_object_of_a_day_to_come_waits_for_its_day_and_is_named(platform):
    early = platform.land(dt.date(2130, 1, 1))
    platform.land(NOW.date())
    assert [request.partition_key for request in platform.tick()] == ["2026-11-20"]
    [sentence] = all_arrivals(platform.hub, platform.warehouse).warnings()
    assert f"in a landing hour of a day to come, first {early}" in sentence


@pytest.mark.parametrize(
    "marker", ["engagement_events/source=segment/2026_$folder$", "engagement_events/source=segment/2026/11_$folder$"]
)
def test_an_object_that_only_stands_for_a_folder_is_nothing(platform, marker):
    platform.hub.put(marker, b"")
    platform.land(NOW.date())
    assert all_arrivals(platform.hub, platform.warehouse).warnings() == []


def test_the_fetch_of_the_day_is_asked_for_again_until_it_succeeds(instance):
    statuses, asked = [dg.DagsterRunStatus.FAILURE] * 4 + [dg.DagsterRunStatus.SUCCESS], []
    now = dt.datetime(2026, 11, 20, 2, tzinfo=dt.UTC)
    while now.day == 20:
        answer = fetch_request(instance, "fetch_attributes", now)
        if isinstance(answer, dg.RunRequest):
            asked.append(now.strftime("%H:%M"))
            tags = {**answer.tags, "dagster/partition": answer.partition_key, RUN_KEY: answer.run_key}
            instance.add_run(dg.DagsterRun(job_name="fetch_attributes", status=statuses[len(asked) - 1], tags=tags))
        now += dt.timedelta(minutes=10)
    assert asked == ["02:00", "02:10", "02:30", "03:10", "04:30"]


@pytest.mark.parametrize("text", [None, "", "2026-11-20T05:00:00+00:00", "[]", "7", '{"asked": 3}'])
def test_a_cursor_of_an_earlier_version_starts_anew(text):
    assert Cursor.parse(text) == Cursor()


def test_pauses_never_pass_an_hour():
    assert [pause_after(n) // MINUTE for n in (0, 1, 7, 1000)] == [0, 1, 60, 60]


class Chain:
    """`lower` depends on `upper` and follows a condition; a test says what happens while `lower` is made."""

    def __init__(self, condition, instance: dg.DagsterInstance) -> None:
        self.meanwhile = lambda: None

        @dg.asset
        def upper() -> None: ...

        @dg.asset(deps=[upper], automation_condition=condition)
        def lower() -> None:
            self.meanwhile()

        self.defs, self.instance, self.cursor = dg.Definitions(assets=[upper, lower]), instance, None
        self.upper, self.lower = upper, lower
        self.at = dt.datetime(2026, 11, 20, 2, 46, 10, tzinfo=dt.UTC)  # not on a quarter of an hour, which counts twice
        self.make(upper, lower)
        assert self.tick() == 0

    def tick(self, later: dt.timedelta = MINUTE / 2) -> int:
        """How many runs are asked for after some time."""
        self.at += later
        result = dg.evaluate_automation_conditions(
            self.defs, self.instance, cursor=self.cursor, evaluation_time=self.at
        )
        self.cursor = result.cursor
        return result.total_requested

    def make(self, *assets) -> None:
        keys = [asset.key for asset in assets]
        job = self.defs.resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False)

    def wake(self) -> None:
        """What the condition waits for happens."""
        self.make(self.upper)
        self.at = self.at.replace(hour=3, minute=0) if self.at.hour < 3 else self.at
        assert self.tick() == 1


def broken() -> None:
    raise dg.Failure("broken", allow_retries=False)


@pytest.fixture
def chain(instance) -> Chain:
    return Chain(ON_CHANGE, instance)


def test_news_that_come_while_the_asset_is_made_are_asked_for_once_it_is(chain):
    chain.wake()
    chain.meanwhile = lambda: (chain.make(chain.upper), in_between.append(chain.tick()))
    in_between: list[int] = []
    chain.make(chain.lower)
    assert in_between == [0]
    assert [chain.tick() for _ in range(3)] == [1, 0, 0]


def test_news_that_come_between_a_request_and_the_end_of_its_run_are_asked_for(chain):
    chain.wake()
    chain.meanwhile = lambda: chain.make(chain.upper)
    chain.make(chain.lower)
    assert [chain.tick() for _ in range(3)] == [1, 0, 0]


def test_news_that_come_in_the_tick_after_the_run_are_asked_for_once(chain):
    chain.wake()
    chain.make(chain.lower)
    assert chain.tick() == 0
    chain.wake()
    chain.make(chain.lower)
    assert [chain.tick() for _ in range(3)] == [0, 0, 0]


def test_what_one_run_makes_together_is_not_asked_for_again(chain):
    chain.make(chain.upper, chain.lower)
    assert [chain.tick() for _ in range(3)] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("condition", [ON_CHANGE, NIGHTLY])
def test_a_failed_run_is_asked_for_at_once_and_then_every_quarter_of_an_hour(condition, instance):
    chain = Chain(condition, instance)
    chain.wake()
    chain.meanwhile = broken
    asked = []
    chain.make(chain.lower)
    for minute in range(60):
        if chain.tick(MINUTE):
            asked.append(minute)
            chain.make(chain.lower)
    assert asked == [0, 13, 28, 43, 58]
    chain.meanwhile = lambda: None
    assert chain.tick(MINUTE * 15) == 1
    chain.make(chain.lower)
    assert [chain.tick(MINUTE * 15) for _ in range(5)] == [0] * 5


def test_a_night_is_not_lost_when_three_o_clock_passes_while_the_asset_is_made(instance):
    chain = Chain(NIGHTLY, instance)
    chain.at = chain.at.replace(minute=59)
    in_between: list[int] = []
    chain.meanwhile = lambda: in_between.append(chain.tick(MINUTE * 3))
    chain.make(chain.lower)
    assert in_between == [0]
    assert [chain.tick() for _ in range(3)] == [1, 0, 0]


def test_one_run_makes_all_that_becomes_older_by_it():
    """A dimension is stale; the build makes the facts beside it again, so what is made of these follows in the same run."""
    spec = {
        "marts/dim": [],
        "marts/fct": [],
        "curated/fct": ["marts/fct"],
        "hub/catalogue": ["curated/fct"],
        "training/a": [],
    }
    assets = [
        dg.AssetsDefinition(specs=[dg.AssetSpec(name.split("/"), deps=[dep.split("/") for dep in deps])])
        for name, deps in spec.items()
    ]
    outline = outline_of(dg.Definitions(assets=assets))
    keys = {name: dg.AssetKey(name.split("/")) for name in spec}
    found = with_downstream(outline, {keys["marts/dim"]}, list(keys.values()))
    assert found == set(keys.values()) - {keys["training/a"]}


class SilentHub(FolderHub):
    """A hub that does not answer."""

    def objects(self, prefix: str) -> list[HubObject]:
        raise HubError("The hub does not answer.")


class Failures:
    """The sensor that tells people of failed runs, and how often it should have told."""

    def __init__(self, slack, instance, home: Path) -> None:
        self.slack, self.instance, self.known, self.expected = slack, instance, set(), 0
        settings = load_settings({"RECSYS_HOME": str(home), "RECSYS_ALERT_WEBHOOK": slack.url})
        self.sensor, self.cursor = failure_alert(dg.DefaultSensorStatus.RUNNING, settings), None
        self.tick()

    def tick(self) -> None:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            self.cursor = self.sensor.evaluate_tick(context).cursor or self.cursor

    def note(self, cause: str | None) -> None:
        """A run ended, well or for a cause: of each cause people are told once until a run ends well."""
        self.expected += bool(cause) and cause not in self.known
        self.known = self.known | {cause} if cause else set()
        self.tick()
        assert len(self.slack.heard) == self.expected


@pytest.mark.slow
def test_two_hundred_ticks_of_trouble_lose_nothing_and_each_failure_is_told_once(platform, slack, tmp_path, held):
    """Loads fail, runs last for some ticks, the warehouse is held, objects land meanwhile, strangers lie about."""
    chance, under_way, failures = random.Random(7), [], Failures(slack, platform.instance, tmp_path)
    with ExitStack() as holding:
        for number in range(200):
            if number == 60:
                holding.enter_context(held(platform.warehouse.path))
            if number == 75:
                holding.close()
            if number < 150 and chance.random() < 0.3:
                platform.land(chance.choice(days_before(6)))
            if chance.random() < 0.05:
                platform.hub.put(f"engagement_events/processing-failed/{number}/a.gz", b"x")
            under_way += [(number + chance.randrange(4), request) for request in platform.tick()]
            for until, request in [item for item in under_way if item[0] <= number]:
                under_way.remove((until, request))
                is_silent = number < 150 and chance.random() < 0.4
                is_loaded = platform.load(request, SilentHub(platform.hub.root) if is_silent else platform.hub)
                failures.note(None if is_loaded else "silent" if is_silent else "held")
    assert failures.expected > 5
    assert platform.waiting == 0
    marts = World(tmp_path, cached_manifest(target_folder(tmp_path) / PARSED, "local")).build()
    assert marts.rows("select count(*) from marts.fct_events") == [(platform.landed,)]
    assert marts.rows("select sum(accepted), sum(distinct_events) from marts.rpt_event_conservation") == [
        (platform.landed, platform.landed)
    ]
