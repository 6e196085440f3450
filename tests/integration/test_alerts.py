"""A run that fails is told to people, once, in few words and without secrets."""

import datetime as dt
import logging
import time
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.events import JobFailureData
from pydantic import SecretStr

from recsys_platform.common.errors import HubError
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation import alerts
from recsys_platform.defs.automation.alerts import failure_alert, keep_unsent, send_unsent
from recsys_platform.defs.automation.check_status import completed_checks
from recsys_platform.defs.automation.problems import problems_alert
from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.notifications.alerts import Alert, FailedRun, first_line, run_failure_alert
from recsys_platform.notifications.channels import AlertError, Webhook, notify
from recsys_platform.notifications.redaction import redact_secrets
from tests.support.slack import KEY


@pytest.fixture
def settings(slack, tmp_path) -> Settings:
    named = {"HOME": str(tmp_path), "ALERT_WEBHOOK": slack.url, "UI_URL": "https://dagster.example.com/"}
    return load_settings({f"RECSYS_{name}": value for name, value in named.items()})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.op
def open_hub() -> None:
    raise HubError("Cannot open s3://hub?X-Amz-Signature=abc with password=hunter2 today.\nAnd more.")


@dg.job
def broken() -> None:
    open_hub()


def ticks(sensor, instance, runs):
    """What a sensor says: of the tick that it starts with, and of the one after some runs have ended."""
    with dg.build_sensor_context(instance=instance) as context:
        before = sensor.evaluate_tick(context)
    runs()
    with dg.build_sensor_context(instance=instance, cursor=before.cursor) as context:
        return sensor.evaluate_tick(context)


def fail(instance):
    return broken.execute_in_process(instance=instance, raise_on_error=False)


def test_a_failed_run_is_told_with_job_step_error_and_link(slack, settings, instance):
    sensor = failure_alert(dg.DefaultSensorStatus.RUNNING, settings)
    ticks(sensor, instance, lambda: fail(instance))
    [run] = instance.get_runs()
    assert slack.heard == [
        "broken failed at open_hub.\n"
        "HubError: Cannot open s3://hub?*** with password=*** today.\n"
        f"Run {run.run_id}: https://dagster.example.com/runs/{run.run_id}"
    ]


def test_the_platforms_own_sensor_tells_of_a_job_that_nobody_listed(slack, settings, instance):
    sensor = next(item for item in build_defs(settings).sensors if item.name == "failed_runs")
    ticks(sensor, instance, lambda: fail(instance))
    assert len(slack.heard) == 1


def test_a_run_that_succeeds_is_not_told(slack, settings, instance):
    @dg.job
    def sound() -> None: ...

    sensor = failure_alert(dg.DefaultSensorStatus.RUNNING, settings)
    ticks(sensor, instance, lambda: sound.execute_in_process(instance=instance))
    assert slack.heard == []


def test_without_a_channel_the_tick_says_that_nobody_was_told(instance, tmp_path):
    sensor = failure_alert(dg.DefaultSensorStatus.RUNNING, load_settings({"RECSYS_HOME": str(tmp_path)}))
    told = ticks(sensor, instance, lambda: fail(instance))
    assert "no alert was sent" in told.skip_message


def test_a_channel_that_is_closed_fails_the_tick_without_naming_its_address(slack, settings, instance):
    slack.answers = [404]
    sensor = failure_alert(dg.DefaultSensorStatus.RUNNING, settings)
    [reaction] = ticks(sensor, instance, lambda: fail(instance)).dagster_run_reactions
    assert "The webhook in RECSYS_ALERT_WEBHOOK answered 404." in reaction.error.message
    assert KEY not in reaction.error.to_string()


@pytest.mark.parametrize(
    ("reason", "tag", "again"), [("lost its worker", "true", "; it will be retried"), ("x", "", "")]
)
def test_a_run_that_died_outside_of_steps_is_told_with_what_dagster_saw(slack, settings, instance, reason, tag, again):
    run = instance.create_run_for_job(broken, tags={"dagster/will_retry": tag} if tag else {})
    event = instance.report_run_failed(run, f"{reason}\nlogs", JobFailureData(error=None))
    context = dg.build_run_status_sensor_context("failed_runs", event, instance, run)
    failure_alert(dg.DefaultSensorStatus.RUNNING, settings)(context)
    assert slack.heard[0].splitlines()[:2] == [f"broken failed{again}.", reason]


def test_a_hiccup_of_the_webhook_will_retry(slack):
    slack.answers = [503]
    Webhook(SecretStr(slack.url)).send(Alert("", "once"))
    assert slack.heard == ["once", "once"]


def test_a_webhook_that_is_not_there_is_told_without_its_address():
    with pytest.raises(AlertError, match=r"^The webhook in RECSYS_ALERT_WEBHOOK did not answer \(ConnectError\)\.$"):
        Webhook(SecretStr(f"http://127.0.0.1:9/{KEY}")).send(Alert("", "nothing"))


def test_a_webhook_with_an_address_that_is_none_is_told_without_it():
    with pytest.raises(AlertError, match=r"^The webhook in RECSYS_ALERT_WEBHOOK is not a valid URL\.$"):
        Webhook(SecretStr(f"https://hooks.example.com:port/{KEY}")).send(Alert("", "nothing"))


def test_no_log_line_tells_the_address_of_the_webhook(slack, caplog):
    caplog.set_level(logging.DEBUG)
    slack.answers = [503]
    Webhook(SecretStr(slack.url)).send(Alert("", "quiet"))
    assert "key-of-the-channel" not in "".join(str(vars(record)) for record in caplog.records)


def test_a_closed_channel_does_not_keep_the_others_from_hearing(slack):
    closed, open_one = Webhook(SecretStr(f"http://127.0.0.1:9/{KEY}")), Webhook(SecretStr(slack.url))
    with pytest.raises(AlertError):
        notify(Alert("", "heard"), [closed, open_one])
    assert slack.heard == ["heard"]


def test_an_error_cannot_call_the_whole_channel(slack):
    Webhook(SecretStr(slack.url)).send(Alert("", "<!channel> & all"))
    assert slack.heard == ["&lt;!channel&gt; &amp; all"]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://dagster:p@ss/word@db:5432/dagster is down", "postgresql://***@db:5432/dagster is down"),
        # pragma: allowlist nextline secret
        ("https://hooks.slack.com/services/T0/B0/abc failed", "https://hooks.slack.com/*** failed"),
        ("GET https://host/books?api_key=abc#x: 403", "GET https://host/books?*** 403"),
        ("Authorization: Bearer abcdef.ghi-jkl", "Authorization: Bearer ***"),
        ('{"password": "a b", "user": "x"}', '{"password": ***, "user": "x"}'),  # pragma: allowlist secret
        # pragma: allowlist nextline secret
        ("SNOWFLAKE_PASSWORD='a b' and DAGSTER_TOKEN=x,y;z", "SNOWFLAKE_PASSWORD=*** and DAGSTER_TOKEN=***"),
        (r'secret: "a\"b" c', "secret: *** c"),  # pragma: allowlist secret
        ("aws_secret_access_key = wJalr/x+y", "aws_secret_access_key = ***"),
        ("key AKIAIOSFODNN7EXAMPLE is unknown", "key *** is unknown"),  # pragma: allowlist secret
        ("jwt eyJhbGciOi.eyJzdWIi.c2ln expired", "jwt *** expired"),
        ("dagster:hunter2@db refused", "***@db refused"),
        ("ann@example.com has no id", "[email] has no id"),
        ("salt-of-the-tests-01 leaked", "*** leaked"),
    ],
)
def test_what_is_or_looks_like_a_secret_is_hidden(text, hidden):
    assert redact_secrets(text, load_settings({"RECSYS_PII_SALT": "salt-of-the-tests-01"})) == hidden


def test_a_private_key_is_hidden_line_by_line():
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nshort==\n-----END PRIVATE KEY-----\n"  # pragma: allowlist secret
    settings = load_settings({"RECSYS_SNOWFLAKE_PRIVATE_KEY": key, "RECSYS_SNOWFLAKE_PASSPHRASE": "words of the key"})
    assert redact_secrets(f"cannot read {key}", settings) == "cannot read ***"
    assert redact_secrets("no key: MIIEvQIBADANBgkqhkiG, words of the key", settings) == "no key: ***, ***"


@pytest.mark.parametrize(
    "text",
    [
        "Cannot read s3://hub/engagement_events/source=segment/2026/11/20/05/a.gz: AWS answered AccessDenied (no).",
        "RECSYS_PII_SALT is not valid: give it at least 16 characters.",
        "Check every_object_is_whole of raw/engagement_events failed: 3 rows.",
        "/srv/warehouse.duckdb is held by another process at 05:00:00",
    ],
)
def test_what_is_no_secret_is_told_as_it_is(text):
    assert redact_secrets(text, load_settings({})) == text


def test_the_first_line_of_an_error_is_told_and_the_next_where_it_only_announces_that():
    settings = load_settings({})
    assert first_line("\nHubError: one.\ntwo", settings) == "HubError: one."
    assert first_line("1 blocking check failed:\n raw/x: c\n", settings) == "1 blocking check failed: raw/x: c"
    assert first_line("", settings) == ""
    assert len(first_line("x" * 1000, settings)) == 301


def test_without_a_ui_there_is_no_link():
    assert run_failure_alert(FailedRun("refresh", "r1"), load_settings({})) == Alert(
        "recsys: refresh failed", "refresh failed.\nRun r1"
    )


def sound_after(instance, fails: list[bool]):
    """A job that fails as long as a test says so."""

    @dg.op
    def load() -> None:
        if fails:
            raise HubError(f"Cannot open the warehouse: process {len(fails)} holds it.")

    @dg.job
    def loading() -> None:
        load()

    return lambda: loading.execute_in_process(instance=instance, raise_on_error=False)


def test_what_fails_again_for_the_same_reason_is_told_once_until_it_succeeds(slack, settings, instance):
    sensor, fails = failure_alert(dg.DefaultSensorStatus.RUNNING, settings), [True]
    run = sound_after(instance, fails)
    for _ in range(3):
        ticks(sensor, instance, run)
        fails.append(True)
    assert len(slack.heard) == 1
    fails.clear()
    run()
    fails.append(True)
    ticks(sensor, instance, run)
    assert len(slack.heard) == 2


def test_a_success_of_the_whole_job_ends_the_failure_of_a_part_of_it(slack, settings, instance):
    sensor, fails = failure_alert(dg.DefaultSensorStatus.RUNNING, settings), []

    @dg.asset
    def events() -> None:
        if fails:
            raise HubError("Cannot open the warehouse.")

    job = dg.Definitions(assets=[events], jobs=[dg.define_asset_job("daily")]).resolve_job_def("daily")

    def run(**selection):
        return job.execute_in_process(instance=instance, raise_on_error=False, **selection)

    for _ in range(2):
        fails.append(True)
        ticks(sensor, instance, lambda: run(asset_selection=[events.key]))
        fails.clear()
        run()
    assert len(slack.heard) == 2


@pytest.mark.parametrize("severity", ["warn", "error"])
def test_a_blocking_check_that_fails_its_run_is_told_once_in_its_own_words(
    slack, settings, tmp_path, instance, severity
):
    settings = settings.model_copy(update={"alert_severity": severity})
    watched = Watched(tmp_path, settings, instance, blocking=True)
    watched.severity = dg.AssetCheckSeverity.ERROR
    sensor = failure_alert(dg.DefaultSensorStatus.RUNNING, settings)
    ticks(sensor, instance, lambda: watched.make(failing=True))
    watched.tick()
    [told] = slack.heard
    assert "Check fields of marts failed: a field went." in told


class Watched:
    """An asset with a check and an age limit, a hub, and the sensor that tells of problems."""

    def __init__(self, home, settings, instance, *, blocking=False) -> None:
        self.failing, self.severity, self.instance = [], dg.AssetCheckSeverity.WARN, instance
        self.hub, self.now, self.cursor = FolderHub(home / "hub"), dt.datetime.now(dt.UTC), None
        policy = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36))

        @dg.asset(freshness_policy=policy)
        def marts() -> None: ...

        @dg.asset_check(asset=marts, blocking=blocking)
        def fields() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=not self.failing, severity=self.severity, description="a field went")

        self.sensor = problems_alert(dg.DefaultSensorStatus.RUNNING, settings, lambda: self.now)
        self.assets = [marts, fields]
        defs = dg.Definitions(assets=[marts], asset_checks=[fields], sensors=[self.sensor], resources={"hub": self.hub})
        self.repository = defs.get_repository_def()

    def make(self, *, failing: bool = False) -> None:
        self.failing[:] = [True] * failing
        dg.materialize(self.assets, instance=self.instance, raise_on_error=False)

    def tick(self) -> None:
        given = {"instance": self.instance, "cursor": self.cursor, "resources": {"hub": self.hub}}
        with dg.build_sensor_context(repository_def=self.repository, **given) as context:
            self.sensor.evaluate_tick(context)
            self.cursor = context.cursor


@pytest.fixture
def watched(tmp_path, settings, instance) -> Watched:
    return Watched(tmp_path, settings, instance)


def test_a_failed_check_is_told_once_and_again_after_it_had_passed(slack, watched):
    for failing in (True, True, False, True):
        watched.make(failing=failing)
        watched.tick()
        watched.tick()
    assert [text.splitlines()[0] for text in slack.heard] == ["Check fields of marts failed: a field went."] * 2


def test_a_failure_is_not_over_while_the_check_is_only_planned_again(slack, watched):
    """Dagster plans the checks of a run when it creates the run, which may then be queued for long."""
    watched.make(failing=True)
    watched.tick()
    planned = dg.Definitions(
        assets=watched.assets[:1], asset_checks=watched.assets[1:], jobs=[dg.define_asset_job("all")]
    )
    watched.instance.create_run_for_job(planned.resolve_job_def("all"))
    key = dg.AssetCheckKey(dg.AssetKey("marts"), "fields")
    [newest] = watched.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert newest.status.value == "PLANNED"
    watched.tick()
    assert completed_checks(watched.instance, [key])[key].status.value == "FAILED"
    watched.make(failing=True)
    watched.tick()
    assert len(slack.heard) == 1


class Channels:
    """A channel that is away, or not, and what it got."""

    def __init__(self) -> None:
        self.is_away, self.heard = False, []

    def send(self, alert: Alert) -> None:
        if self.is_away:
            raise AlertError("it is away")
        self.heard.append(alert.subject)


def test_an_alert_that_no_channel_took_is_sent_when_one_is_back(instance):
    channel = Channels()
    for subject in ("first", "second"):
        keep_unsent(instance, Alert(subject, "text"))
    channel.is_away = True
    with pytest.raises(AlertError):
        send_unsent(instance, [channel])
    channel.is_away = False
    assert (send_unsent(instance, [channel]), send_unsent(instance, [channel])) == (2, 0)
    assert channel.heard == ["first", "second"]


def test_a_channel_that_fails_gives_another_no_alert_twice(slack, watched, monkeypatch):
    away, there = Channels(), Channels()
    away.is_away = True
    monkeypatch.setattr("recsys_platform.defs.automation.problems.channels_of", lambda _: [away, there])
    again = Watched(
        watched.hub.root.parent, load_settings({"RECSYS_HOME": str(watched.hub.root.parent)}), watched.instance
    )
    again.make(failing=True)
    for _ in range(3):
        again.tick()
    assert len(there.heard) == 1


def test_a_hub_that_cannot_be_read_hides_no_failed_check(slack, watched, monkeypatch):
    watched.make(failing=True)

    def fail(*_: object) -> None:
        raise HubError("The hub is away.")

    monkeypatch.setattr("recsys_platform.defs.automation.problems.silence_of_trackers", fail)
    watched.tick()
    assert [text.splitlines()[0] for text in slack.heard] == ["Check fields of marts failed: a field went."]


def test_a_success_counts_however_many_runs_of_the_job_came_after_it(instance, monkeypatch):
    """All automated runs are of one job: a page of the newest ones holds the work of an hour."""
    monkeypatch.setattr(alerts, "_PAGE", 2)

    @dg.op
    def work() -> None: ...

    @dg.job
    def automated() -> None:
        work()

    before = time.time() - 1
    made = [automated.execute_in_process(instance=instance).run_id for _ in range(5)]
    found = [each.dagster_run.run_id for each in alerts._succeeded_since(instance, "automated", before)]
    assert sorted(found) == sorted(made)
    assert list(alerts._succeeded_since(instance, "automated", time.time() + 60)) == []


def test_a_warning_is_not_told_where_only_errors_are_asked_for(slack, settings, tmp_path, instance):
    watched = Watched(tmp_path, settings.model_copy(update={"alert_severity": "error"}), instance)
    watched.make(failing=True)
    watched.tick()
    assert slack.heard == []
    watched.severity = dg.AssetCheckSeverity.ERROR
    watched.make(failing=True)
    watched.tick()
    assert len(slack.heard) == 1


def test_an_asset_that_is_too_old_is_told_once(slack, watched):
    watched.make()
    for hours in (30, 10, 10, 10):
        watched.now += dt.timedelta(hours=hours)
        watched.tick()
    assert [text.splitlines()[0] for text in slack.heard] == ["marts is 40 hours old, and may be 36."]


def test_a_tracker_that_falls_silent_is_told_once_and_again_after_it_spoke(slack, watched):
    for arrival in (watched.now, watched.now + dt.timedelta(hours=60)):
        watched.now = arrival
        watched.hub.put(landing_key("segment", arrival, "a.gz"), b"x")
        watched.hub.put(landing_key("segment", dt.datetime(2130, 1, 1), "early.gz"), b"x")
        for hours in (1, 23, 2, 5):
            watched.now += dt.timedelta(hours=hours)
            watched.tick()
    assert len(slack.heard) == 2
    assert slack.heard[0].startswith("Nothing of segment has landed since ")
