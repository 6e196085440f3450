"""Lineage of runs reaches a collector: each run and asset, with what it was made from, whatever the collector does meanwhile."""

import datetime as dt
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recsys_platform.common.errors import HubError
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.automation.triggers import triggers
from recsys_platform.monitoring.datasets import dataset_of
from tests.support.pace import patience
from tests.support.recording_server import Received, RecordingServer, recording_server

URL_OF_NOBODY = "http://127.0.0.1:9/"
SECRET = "a-key-of-the-collector"  # noqa: S105  # pragma: allowlist secret


@dg.asset(key=["raw", "engagement_events"])
def events() -> None: ...


@dg.asset(key=["marts", "fct_events"], deps=[events])
def marts() -> dg.MaterializeResult:
    columns = dg.TableSchema([dg.TableColumn("event_id", "varchar")])
    return dg.MaterializeResult(metadata={"dagster/row_count": 7, "dagster/column_schema": columns})


@dg.asset(key=["models", "ease"], deps=[marts])
def model() -> None:
    raise HubError("Cannot open s3://hub with password=hunter2.")


@dg.asset(key=["published", "user_recommendations"], deps=[model])
def lists() -> None: ...


ASSETS = [events, marts, model, lists]


class World:
    """Some assets, an instance, and the sensor as the settings make it."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        # Runs that were updated just now wait for the next tick.
        clock = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=6)  # noqa: E731
        [self.sensor] = [each for each in triggers(settings, clock=clock).sensors or () if each.name == "lineage"]
        self.repository = dg.Definitions(assets=ASSETS).get_repository_def()

    def run(self, *assets: Any) -> str:
        return dg.materialize(list(assets), instance=self.instance, raise_on_error=False).run_id

    def tick(self) -> str:
        given = {"instance": self.instance, "repository_def": self.repository, "cursor": self.cursor}
        with dg.build_sensor_context(**given) as context:
            said = self.sensor.evaluate_tick(context).skip_message
            self.cursor = context.cursor
        return str(said)


@pytest.fixture
def collector() -> Iterator[RecordingServer]:
    with recording_server() as server:
        yield server


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def settings_with(url: str, home: Path) -> Settings:
    named = {"RECSYS_HOME": str(home), "RECSYS_DEPLOYMENT": "recsys-prod", "RECSYS_OPENLINEAGE_URL": url}
    return load_settings(named | {"RECSYS_OPENLINEAGE_KEY": SECRET})


@pytest.fixture
def world(collector: RecordingServer, instance: dg.DagsterInstance, tmp_path: Path) -> World:
    return World(settings_with(collector.url, tmp_path), instance)


def sent(collector: RecordingServer) -> list[dict[str, Any]]:
    assert all(each.path == "/api/v1/lineage" for each in collector.accepted)
    return [each.content for each in collector.accepted]


def told(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["job"]["name"], each["eventType"]) for each in events]


def names(datasets: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in datasets]


def test_a_run_and_its_assets_start_and_complete_with_inputs_and_outputs(
    world: World, collector: RecordingServer, tmp_path: Path
) -> None:
    run_id = world.run(events, marts)
    world.tick()
    found, job = sent(collector), "__ephemeral_asset_job__"
    assert told(found) == [
        (job, "START"),
        ("raw.engagement_events", "START"),
        ("raw.engagement_events", "COMPLETE"),
        ("marts.fct_events", "START"),
        ("marts.fct_events", "COMPLETE"),
        (job, "COMPLETE"),
    ]
    made = found[4]
    assert {each["job"]["namespace"] for each in found} == {"recsys-prod"}
    assert (names(made["inputs"]), names(made["outputs"])) == (["raw.engagement_events"], ["marts.fct_events"])
    assert made["inputs"][0]["namespace"] == f"duckdb://{tmp_path / 'warehouse.duckdb'}"
    assert made["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 7
    assert [each["name"] for each in made["outputs"][0]["facets"]["schema"]["fields"]] == ["event_id"]
    assert made["run"]["facets"]["parent"]["run"]["runId"] == found[0]["run"]["runId"] == run_id
    assert made["run"]["runId"] not in (run_id, found[2]["run"]["runId"])
    assert found[3]["run"]["runId"] == made["run"]["runId"]
    assert found[3]["eventTime"] <= made["eventTime"]
    assert collector.accepted[0].headers["authorization"] == f"Bearer {SECRET}"


def test_an_asset_that_fails_fails_its_run_and_tells_why_without_secrets(
    world: World, collector: RecordingServer
) -> None:
    world.run(*ASSETS)
    world.tick()
    found = sent(collector)
    assert told(found)[-3:] == [("models.ease", "START"), ("models.ease", "FAIL"), ("__ephemeral_asset_job__", "FAIL")]
    for failed in found[-2:]:
        assert failed["run"]["facets"]["errorMessage"]["message"] == "HubError: Cannot open s3://hub with password=***"
    # What did not start has no lineage.
    assert "published.user_recommendations" not in {each["job"]["name"] for each in found}


def test_a_run_is_sent_once(world: World, collector: RecordingServer) -> None:
    world.run(events)
    world.tick()
    assert world.tick() == "0 events."
    world.run(events)
    world.tick()
    assert len(sent(collector)) == 8


def test_what_a_collector_did_not_take_is_sent_later_from_where_it_stopped(
    world: World, collector: RecordingServer
) -> None:
    refused: list[Received] = []

    def refuse_the_third(request: Received) -> tuple[int, bytes, dict[str, str]]:
        if len(collector.accepted) == 2 and not refused:
            refused.append(request)
            return 503, b"", {}
        return 200, b"", {}

    collector.answer = refuse_the_third
    world.run(events, marts)
    said = world.tick()
    assert "The collector in RECSYS_OPENLINEAGE_URL answered 503." in said
    assert SECRET not in said
    world.tick()
    assert len(sent(collector)) == len({json.dumps(each) for each in sent(collector)}) == 6


@pytest.mark.parametrize("code", [400, 413, 422])
def test_an_event_that_is_refused_for_good_is_left_out_and_told(
    world: World, collector: RecordingServer, code: int
) -> None:
    refused: list[bytes] = []

    def refuse_one_kind(request: Received) -> tuple[int, bytes, dict[str, str]]:
        if len(collector.accepted) == 2 and not refused:
            refused.append(b"")
            return code, b"", {}
        return 200, b"", {}

    collector.answer = refuse_one_kind
    world.run(events, marts)
    said = world.tick()
    assert said == "6 events. 1 of them were refused and left out."
    assert len(sent(collector)) == 5
    assert world.tick() == "0 events."


@pytest.mark.parametrize("path", ["/openapi/openlineage", "/openapi/openlineage/"])
def test_a_collector_below_a_path_is_asked_below_it(
    path: str, collector: RecordingServer, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    world = World(settings_with(collector.url.rstrip("/") + path, tmp_path), instance)
    world.run(events)
    world.tick()
    assert {each.path for each in collector.accepted} == {"/openapi/openlineage/api/v1/lineage"}


def test_a_redirect_loses_no_event(world: World, collector: RecordingServer) -> None:
    """A client that followed it would send a GET without the event."""
    collector.answer = lambda _: (301, b"", {"Location": f"{collector.url}/elsewhere"})
    world.run(events, marts)
    assert "answered 301." in world.tick()
    collector.answer = lambda _: (200, b"", {})
    world.tick()
    assert len({json.dumps(each) for each in sent(collector)}) == 6


@pytest.mark.parametrize("code", [401, 403, 404, 405, 429, 500])
def test_an_event_that_may_be_taken_later_is_sent_again(world: World, collector: RecordingServer, code: int) -> None:
    collector.answer = lambda _: (code, b"", {})
    world.run(events, marts)
    assert f"answered {code}." in world.tick()
    collector.answer = lambda _: (200, b"", {})
    world.tick()
    assert len({json.dumps(each) for each in sent(collector)}) == 6


def test_a_collector_that_is_away_or_hangs_keeps_no_run_waiting_and_its_tick_a_few_seconds(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys_platform.monitoring.lineage._TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        away, hangs = (World(settings_with(each, tmp_path), instance) for each in (URL_OF_NOBODY, url))
        run = instance.get_run_by_id(away.run(events, marts))
        assert run is not None
        assert run.is_success
        started = time.monotonic()
        assert "did not answer (ConnectionError)" in away.tick()
        assert "did not answer (ReadTimeout)" in hangs.tick()
        assert time.monotonic() - started < 5 * patience()


def test_without_their_settings_neither_lineage_nor_metrics_have_a_sensor(tmp_path: Path) -> None:
    off = triggers(load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_AUTOMATION": "on"}))
    assert {each.name for each in off.sensors or ()}.isdisjoint({"lineage", "metrics"})


@pytest.mark.parametrize(
    ("asset", "namespace", "name"),
    [
        ("marts/dim_books", "snowflake://org-account", "RECSYS.marts.dim_books"),
        ("raw/engagement_events", "snowflake://org-account", "RECSYS.raw.engagement_events"),
        ("landing/engagement_events", "s3://bucket", "hub/engagement_events"),
        ("curated/fct_interactions", "s3://bucket", "hub/curated/fct_interactions"),
        ("models/ease", "recsys-prod", "models/ease"),
    ],
)
def test_data_sets_are_named_as_other_tools_name_them(asset: str, namespace: str, name: str) -> None:
    named = {"ENV": "aws", "HUB": "s3://bucket/hub", "DEPLOYMENT": "recsys-prod", "MLFLOW_URI": "http://mlflow"}
    named |= {"SNOWFLAKE_ACCOUNT": "org-account", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PRIVATE_KEY": "k" * 64}
    found = dataset_of(asset, load_settings({f"RECSYS_{key}": value for key, value in named.items()}))
    assert (found.namespace, found.name) == (namespace, name)
