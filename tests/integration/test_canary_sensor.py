"""The sensor of the canary: a step a minute, what the UI shows of it, one alert a rollback; what a person decided stays."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from recsys_platform.cli import app as cli
from recsys_platform.config.factories import hub_of, registry_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.serving.canary import CANARY_KEY, canary_sensor
from recsys_platform.defs.training import assets
from recsys_platform.hub.layout import landing_key
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION
from recsys_platform.serving.answer_counts import COUNTED, STREAM
from recsys_platform.serving.rollout.controller import rollout_of

START = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
NOW = START.replace(tzinfo=None)


@pytest.fixture
def settings(slack: Any, tmp_path: Path) -> Settings:
    """A world with two recipes, and a plan that asks for little."""
    found = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_ALERT_WEBHOOK": slack.url})
    registry = registry_of(found)
    for alias, recipe in ((PRODUCTION, "item_knn"), (CHALLENGER, "blend")):
        facts = Provenance(NOW, "monday", "0.1", params={"recipe": recipe}, catalogue_hash="books")
        registry.set_alias(alias, registry.log(recipe, {"a": np.array([1])}, facts), why="a test")
    found.config_folder.mkdir()
    plan = "stages: [10, 50, 100]\nleast_requests: 100\nleast_minutes: 5\ntolerated_losses: {}\n"
    (found.config_folder / "canary.yaml").write_text(plan, encoding="utf-8")
    return found


class Ticks:
    """The sensor, a tick at a time, with its cursor and what it recorded."""

    def __init__(self, settings: Settings) -> None:
        self.now, self._cursor = START, None
        self._sensor = canary_sensor(dg.DefaultSensorStatus.RUNNING, settings, lambda: self.now)

    def after(self, minutes: float) -> tuple[str, list[dict[str, Any]]]:
        self.now += dt.timedelta(minutes=minutes)
        with (
            dg.DagsterInstance.ephemeral() as instance,
            dg.build_sensor_context(instance=instance, cursor=self._cursor) as context,
        ):
            data = self._sensor.evaluate_tick(context)
        self._cursor = data.cursor
        assert {each.asset_key for each in data.asset_events} <= {CANARY_KEY}
        return str(data.skip_message), [
            {name: each.value for name, each in event.metadata.items()} for event in data.asset_events
        ]


@pytest.fixture
def ticks(settings: Settings) -> Ticks:
    return Ticks(settings)


def land(settings: Settings, experiment: str, at: dt.datetime, errors: int = 0) -> None:
    """Counts of both groups, as a gateway lands them: 200 requests each."""
    items = [
        {"experiment": experiment, "variant": "canary", "source": "live", "answers": 200 - errors, "errors": 0},
        {"experiment": experiment, "variant": "canary", "source": "published", "answers": errors, "errors": errors},
        {"experiment": experiment, "variant": "baseline", "source": "live", "answers": 200, "errors": 0},
    ]
    counted = [each | {"within_100_ms": each["answers"]} for each in items]
    event = {"event": COUNTED, "messageId": f"{at}", "timestamp": at.isoformat(), "properties": {"items": counted}}
    key = landing_key("segment", at, f"{STREAM}-1-{at:%H%M%S}.gz")
    hub_of(settings).put(key, json.dumps(event).encode() + b"\nnot json: Answers Counted\n")


@pytest.mark.slow
def test_a_good_canary_climbs_by_ticks_alone_and_each_step_is_recorded_with_its_plot(
    settings: Settings, ticks: Ticks
) -> None:
    assert ticks.after(0) == ("There is no canary.", [])
    record = rollout_of(settings).start("challenger", because="better lists", who="ann", now=START)
    said, [event] = ticks.after(1)
    assert said == "blend-v2, 10 %: held: 0 of 100 requests by the canary"
    assert (event["percent"], event["baseline_percent"], event["status"]) == (10, 10, "running")
    assert ticks.after(1)[1] == []  # nothing but figures may have changed
    for percent in (50, 100):
        land(settings, record.experiment, ticks.now)
        said, [event] = ticks.after(6)
        assert (event["percent"], event["changed_by"]) == (percent, "canary")
        assert "data:image/png;base64," in event["plot"]
        assert "| canary | 200 | 0.00% | 0.00% |" in event["groups"]
        assert "better lists" in event["steps"]
    land(settings, record.experiment, ticks.now)
    said, [event] = ticks.after(6)
    assert (event["status"], event["percent"]) == ("complete", 0)
    assert registry_of(settings).version_of(PRODUCTION) == record.version
    assert ticks.after(1)[1] == []


def test_a_canary_that_fails_is_rolled_back_within_minutes_and_told_once(
    settings: Settings, ticks: Ticks, slack: Any
) -> None:
    record = rollout_of(settings).start("challenger", because="better lists", who="ann", now=START)
    land(settings, record.experiment, ticks.now, errors=60)
    said, [event] = ticks.after(1)
    assert (event["status"], event["percent"]) == ("rolled back", 0)
    assert "errors in 30.0% of the requests, above the hard limit of 10.0%" in said
    assert ticks.after(1)[1] == ticks.after(60)[1] == []
    assert slack.heard == [
        "The canary of blend-v2 was rolled back.\n"
        "rolled back: errors in 30.0% of the requests, above the hard limit of 10.0%\n"
        "It stays so until a person releases it: `recsys canary`."
    ]
    rollout_of(settings).release("a cold cache", who="ann", now=ticks.now)
    assert ticks.after(1)[1][0]["percent"] == 10


@pytest.mark.slow
def test_what_a_person_decided_stays_through_ticks_and_is_recorded(
    settings: Settings, ticks: Ticks, slack: Any
) -> None:
    rollout = rollout_of(settings)
    record = rollout.start("challenger", because="better lists", who="ann", now=START)
    rollout.pin("holidays", who="ann", now=START)
    _, [event] = ticks.after(10)
    assert (event["status"], event["percent"], event["changed_by"], event["reason"]) == (
        "pinned",
        10,
        "ann",
        "holidays",
    )
    for _ in range(3):
        assert ticks.after(10) == ("blend-v2, 10 %: holidays", [])
    assert slack.heard == []
    land(settings, record.experiment, ticks.now, errors=60)
    said, [event] = ticks.after(1)
    why = "pinned, so not rolled back: errors in 30.0% of the requests, above the hard limit of 10.0%"
    assert said == f"blend-v2, 10 %: {why}"
    assert (event["status"], event["percent"], event["changed_by"], event["reason"]) == ("pinned", 10, "canary", why)
    assert [ticks.after(10)[1] for _ in range(3)] == [[], [], []]
    assert slack.heard == [
        "The canary of blend-v2 is broken and keeps its visitors, because a person pinned it.\n"
        f"{why}\n"
        "`recsys canary stop` takes all visitors from it, `recsys canary release` lets the tests decide."
    ]
    rollout.stop("bad covers", who="bob", now=ticks.now)
    assert ticks.after(10)[1][0]["status"] == "stopped"
    assert ticks.after(10)[1] == []
    assert registry_of(settings).info(record.version).rolled_back


def test_a_recipe_that_a_person_promotes_after_its_rollback_is_not_taken_out_again(
    settings: Settings, ticks: Ticks
) -> None:
    registry, rollout = registry_of(settings), rollout_of(settings)
    record = rollout.start("challenger", because="better lists", who="ann", now=START)
    rollout.stop("bad covers", who="bob", now=START)
    registry.mark_rolled_back(record.version, rolled_back=False)  # as `recsys promote` does
    ticks.after(1)
    (rollout.history.folder / "newest").unlink()  # another machine
    ticks.after(1)
    assert not registry.info(record.version).rolled_back


def test_a_canary_that_waits_since_production_was_moved_is_told_once(
    settings: Settings, ticks: Ticks, slack: Any
) -> None:
    registry = registry_of(settings)
    rollout_of(settings).start("challenger", because="better lists", who="ann", now=START)
    facts = Provenance(NOW, "monday", "0.1", params={"recipe": "ease"}, catalogue_hash="books")
    registry.set_alias(PRODUCTION, registry.log("ease", {"a": np.array([1])}, facts), why="a person")
    for _ in range(3):
        assert ticks.after(1)[0].startswith("blend-v2, 10 %: held: production is another recipe, ease-v3")
    assert [text.splitlines()[0] for text in slack.heard] == ["The canary of blend-v2 waits for a person."]


def test_the_gate_starts_a_canary_unless_one_is_open_or_was_taken_out(settings: Settings) -> None:
    version = str(registry_of(settings).version_of(CHALLENGER))
    assert assets._start_canary(settings, version, "NDCG of blend is better.") == "The canary of blend-v2 has started."
    record = rollout_of(settings).status()
    assert record
    assert (record.who, record.reason, record.percent) == ("gate", "NDCG of blend is better.", 10)
    assert assets._start_canary(settings, version, "") == "No canary was started: another one is open."
    rollout_of(settings).stop("bad covers")
    assert assets._start_canary(settings, version, "").startswith(
        "No canary was started: The canary of blend-v2 is stopped"
    )


def test_the_alert_that_cannot_be_sent_is_sent_by_a_later_tick(settings: Settings, ticks: Ticks, slack: Any) -> None:
    record = rollout_of(settings).start("challenger", because="better lists", who="ann", now=START)
    land(settings, record.experiment, ticks.now, errors=60)
    slack.answers = [403]
    assert "answered 403" in ticks.after(1)[0]
    ticks.after(1)
    ticks.after(1)
    assert len([text for text in slack.heard if "was rolled back" in text]) == 2


def test_a_step_by_a_scheduler_of_ones_own_sends_the_alert_too(
    settings: Settings, slack: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = dt.datetime.now(dt.UTC)
    record = rollout_of(settings).start("challenger", because="better lists", now=now - dt.timedelta(minutes=2))
    land(settings, record.experiment, now - dt.timedelta(minutes=1), errors=60)
    for name in ("HOME", "ALERT_WEBHOOK"):
        monkeypatch.setenv(f"RECSYS_{name}", {"HOME": str(settings.home), "ALERT_WEBHOOK": slack.url}[name])
    monkeypatch.setattr("sys.argv", ["recsys", "canary", "step"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "blend-v2 is rolled back, 0 % of the visitors" in capsys.readouterr().out
    assert len(slack.heard) == 1
