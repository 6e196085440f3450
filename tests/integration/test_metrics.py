"""The platform is measured; each fault raises its alarm, by the alarm's own limit, and a healthy platform raises none."""

import datetime as dt
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster._core.remote_origin import RemoteInstigatorOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, SensorInstigatorData
from dagster._daemon.types import DaemonHeartbeat
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from infra.alarms import PLATFORM, alarms, metric_dimensions, whole_of
from infra.deployment import Deployment
from infra.names import Names
from recsys_platform.common.errors import HubError, RecsysError
from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.instances import REPOSITORY, instance_of, set_code_location
from recsys_platform.defs.automation.load_requests import LANDING_SENSOR
from recsys_platform.defs.automation.triggers import triggers
from recsys_platform.defs.partitions import DAILY
from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.local import FolderHub
from recsys_platform.monitoring.emitters import emitter_of
from recsys_platform.monitoring.metrics import METRICS, OVERDUE, SILENT_DAEMONS, Sample
from recsys_platform.monitoring.prometheus import prometheus_text
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from tests.support.cloudwatch import Series, is_raised, series_of_lines
from tests.support.recording_server import recording_server

ALARMS = [each for each in alarms(Deployment()) if each.namespace == PLATFORM]
ORIGIN = RemoteInstigatorOrigin(REPOSITORY, LANDING_SENSOR)


class Platform:
    """Assets with a check and an age limit, a hub, an instance, the sensors that look and measure; time passes as a test says."""

    def __init__(
        self,
        home: Path,
        instance: dg.DagsterInstance,
        warehouse: DuckDBWarehouse,
        registry: Registry,
        printed: Callable[[], str],
    ) -> None:
        self.instance, self.hub, self.printed = instance, FolderHub(home / "hub"), printed
        self.now, self.cursor, self.lines = dt.datetime.now(dt.UTC), None, list[str]()
        self.daemons, self.looks = list(instance.get_required_daemon_types()), True
        self.severity: dg.AssetCheckSeverity | None = None
        self.records, self.rejected = 100, 0
        named = {"RECSYS_HOME": str(home), "RECSYS_METRICS": "emf", "RECSYS_DEPLOYMENT": Names(Deployment()).base}
        self.sensors = {
            each.name: each for each in triggers(load_settings(named), clock=lambda: self.now).sensors or ()
        }
        self.resources = {"hub": self.hub, "warehouse": warehouse, "registry": registry}
        self.assets = self._assets()
        self.repository = dg.Definitions(
            assets=self.assets[:2],
            asset_checks=self.assets[2:],
            sensors=[self.sensors[LANDING_SENSOR]],
            resources=self.resources,
        ).get_repository_def()

    def _assets(self) -> list[object]:
        policy = dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=36))

        @dg.asset(key=["raw", "engagement_events"], freshness_policy=policy, partitions_def=DAILY)
        def events() -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"records": self.records, "rejected": self.rejected})

        @dg.asset(key=["models", "promotion"])
        def promotion() -> None: ...

        def check(asset: object, name: str) -> dg.AssetChecksDefinition:
            @dg.asset_check(asset=asset, name=name)  # type: ignore[arg-type]
            def found() -> dg.AssetCheckResult:
                return dg.AssetCheckResult(
                    passed=self.severity is None, severity=self.severity or dg.AssetCheckSeverity.ERROR
                )

            return found

        return [events, promotion, check(promotion, "what_is_live_beats_popularity")]

    def make(self) -> None:
        day = {"partition_key": "2026-11-20", "raise_on_error": False}
        dg.materialize(self.assets, instance=self.instance, **day)  # type: ignore[arg-type]

    def wait(self, hours: float) -> None:
        """Let time pass in which nobody measures."""
        self.now += dt.timedelta(hours=hours)

    def watch(self, minutes: int = 24) -> None:
        """Let time pass in which the daemon works."""
        for _ in range(0, minutes, 4):  # half as often as the sensor ticks: still once in each period of an alarm
            self.now += dt.timedelta(minutes=4)
            for daemon in self.daemons:
                self.instance.add_daemon_heartbeat(DaemonHeartbeat(self.now.timestamp(), daemon, "d", []))
            if self.looks:
                self._tick(LANDING_SENSOR)
            self._tick("metrics")
        self.lines += self.printed().splitlines()

    def _tick(self, name: str) -> None:
        given = {"instance": self.instance, "repository_def": self.repository, "resources": self.resources}
        cursor = self.cursor if name == LANDING_SENSOR else None
        with dg.build_sensor_context(cursor=cursor, **given) as context:
            ticked = self.sensors[name].evaluate_tick(context)
        if name == LANDING_SENSOR:
            self._store(ticked.cursor)

    def _store(self, cursor: str | None) -> None:
        """As the daemon does after a tick."""
        data = SensorInstigatorData(cursor=cursor)
        state = InstigatorState(ORIGIN, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
        if self.cursor is None:
            self.instance.add_instigator_state(state)
        else:
            self.instance.update_instigator_state(state)
        self.cursor = cursor

    @property
    def series(self) -> Series:
        return series_of_lines(self.lines)

    @property
    def raised(self) -> set[str]:
        return {each.name for each in ALARMS if is_raised(each, self.series, self.now.timestamp())}


@pytest.fixture(scope="module")
def empty_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's files of a world that never ran: to make them takes longer than a test."""
    home = tmp_path_factory.mktemp("instance")
    settings = load_settings({"RECSYS_HOME": str(home)})
    prepare_home(settings)
    with instance_of(settings) as instance:
        dg.materialize([_nothing], instance=instance)
    return home


@dg.asset
def _nothing() -> None: ...


@pytest.fixture
def platform(
    empty_instance: Path,
    tmp_path: Path,
    warehouse: DuckDBWarehouse,
    new_registry: Callable[[Path], Registry],
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Platform]:
    shutil.copytree(empty_instance, tmp_path, dirs_exist_ok=True)
    with instance_of(load_settings({"RECSYS_HOME": str(tmp_path)})) as instance:
        made = Platform(
            tmp_path, instance, warehouse, new_registry(tmp_path / "registry"), lambda: capsys.readouterr().out
        )
        made.make()
        yield made


def land(platform: Platform, ago: dt.timedelta = dt.timedelta()) -> None:
    platform.hub.put(landing_key("segment", platform.now - ago, "a.gz"), b"{}")


def nothing(platform: Platform) -> None:
    """It works."""


def a_load_that_does_not_happen(platform: Platform) -> None:
    land(platform)
    platform.wait(hours=3)


def a_sensor_that_does_not_look(platform: Platform) -> None:
    platform.looks = False


def many_rejected(platform: Platform) -> None:
    platform.records, platform.rejected = 100, 20
    platform.make()


def few_rejected(platform: Platform) -> None:
    platform.records, platform.rejected = 100, 1
    platform.make()


def a_tracker_that_falls_silent(platform: Platform) -> None:
    land(platform)
    platform.wait(hours=26)
    platform.make()


def a_check_that_fails(platform: Platform) -> None:
    platform.severity = dg.AssetCheckSeverity.ERROR
    platform.make()


def a_check_that_warns(platform: Platform) -> None:
    platform.severity = dg.AssetCheckSeverity.WARN
    platform.make()


def an_asset_that_is_too_old(platform: Platform) -> None:
    platform.wait(hours=37)


def runs_that_fail(platform: Platform) -> None:
    @dg.op
    def fail() -> None:
        raise ValueError

    @dg.job
    def failing() -> None:
        fail()

    for _ in range(4):
        failing.execute_in_process(instance=platform.instance, raise_on_error=False)


def a_run_that_nobody_starts(platform: Platform) -> None:
    @dg.job
    def waiting() -> None: ...

    run = platform.instance.create_run_for_job(waiting)
    set_code_location(platform.instance, run.run_id)
    queued = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_ENQUEUED.value, waiting.name)
    platform.instance.report_dagster_event(queued, run.run_id)
    platform.wait(hours=1)


def a_thread_of_the_daemon_that_died(platform: Platform) -> None:
    platform.watch(minutes=4)
    platform.daemons.remove("SCHEDULER")
    platform.watch(minutes=20)


def a_thread_of_the_daemon_that_never_started(platform: Platform) -> None:
    platform.daemons.remove("QUEUED_RUN_COORDINATOR")


@pytest.mark.slow  # a dozen worlds with an instance of Dagster each
@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (nothing, set()),
        (few_rejected, set()),
        (a_load_that_does_not_happen, {"load-waiting"}),
        (a_sensor_that_does_not_look, {"load-waiting"}),
        (many_rejected, {"records-rejected"}),
        (a_tracker_that_falls_silent, {"tracker-silent", "load-waiting"}),
        (a_check_that_fails, {"check-failed", "model-no-better"}),
        (a_check_that_warns, {"model-no-better"}),
        (an_asset_that_is_too_old, {"freshness-broken"}),
        (runs_that_fail, {"runs-failing"}),
        (a_run_that_nobody_starts, {"runs-queued"}),
        (a_thread_of_the_daemon_that_died, {"daemon-silent"}),
        (a_thread_of_the_daemon_that_never_started, {"daemon-silent"}),
    ],
)
def test_a_fault_raises_its_alarm_and_no_other(
    platform: Platform, fault: Callable[[Platform], None], raised: set[str]
) -> None:
    fault(platform)
    platform.watch()
    hourly = {each.name for each in ALARMS if each.minutes == 60}
    assert platform.raised - hourly == raised - hourly
    assert {name for name in hourly if _would_raise(platform, name)} == raised & hourly


def _would_raise(platform: Platform, name: str) -> bool:
    """Whether an alarm that looks at whole hours is raised at the end of this one."""
    [alarm] = [each for each in ALARMS if each.name == name]
    hour = platform.now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)
    return is_raised(alarm, platform.series, hour.timestamp())


def test_a_daemon_that_ticks_no_more_raises_the_alarms_that_miss_their_metric(platform: Platform) -> None:
    platform.watch()
    assert platform.raised == set()
    platform.wait(hours=0.5)
    assert platform.raised == {"daemon-silent", "load-waiting"}


def test_every_alarm_of_the_platform_watches_a_metric_with_the_labels_that_are_emitted(platform: Platform) -> None:
    registry = platform.resources["registry"]
    version = registry.log("ease", {"n": np.array([1])}, Provenance(dt.datetime(2026, 11, 20), "d", "0.1"))
    registry.set_alias(PRODUCTION, version, why="a test")
    land(platform)
    an_asset_that_is_too_old(platform)
    platform.watch(minutes=4)
    names = Names(Deployment())
    emitted = {(metric, tuple(sorted(dict(labels)))) for _, metric, labels in platform.series}
    assert emitted == {(each.name, tuple(sorted(("service", *each.labels)))) for each in METRICS}
    series = {(metric, labels) for _, metric, labels in platform.series}
    for alarm in ALARMS:
        assert (alarm.metric, frozenset(metric_dimensions(alarm, names).items())) in series, alarm.name
        whole = metric_dimensions(whole_of(alarm), names) if alarm.percent_of else {}
        assert alarm.percent_of is None or (alarm.percent_of, frozenset(whole.items())) in series


class ClosedHub(FolderHub):
    def folders(self, prefix: str) -> list[str]:
        raise HubError(f"Cannot list {prefix}.")


def test_one_source_that_cannot_be_read_keeps_no_other_metric_back(platform: Platform) -> None:
    platform.resources["hub"] = ClosedHub(Path())
    platform.looks = False
    platform.watch(minutes=4)
    names = {metric for _, metric, _ in platform.series}
    assert "recsys_silent_daemons" in names
    assert "recsys_silent_trackers" not in names


class HangingRegistry:
    """The daemon gives a tick up after a minute; here at once."""

    def version_of(self, alias: str) -> None:
        raise TimeoutError(alias)


def test_a_registry_that_hangs_hides_nothing_that_dagster_knows(platform: Platform) -> None:
    platform.resources["registry"] = HangingRegistry()  # type: ignore[assignment]
    with pytest.raises(TimeoutError, match="production"):
        platform.watch(minutes=4)
    platform.lines += platform.printed().splitlines()
    assert "recsys_silent_daemons" in {metric for _, metric, _ in platform.series}


def test_what_only_metrics_need_is_imported_by_their_sensor_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the extra of OpenTelemetry the other sensors and all jobs must load."""
    monkeypatch.setitem(sys.modules, "recsys_platform.monitoring.otlp", None)
    settings = load_settings({"RECSYS_METRICS": "otlp", "RECSYS_HOME": str(tmp_path)})
    assert "metrics" in {each.name for each in triggers(settings).sensors or ()}
    with pytest.raises(ImportError):
        emitter_of(settings)


SAMPLES = [Sample(SILENT_DAEMONS, 1), Sample(OVERDUE, 60, {"asset": "marts/dim_books"})]


def test_opentelemetry_gets_each_value_with_its_labels_and_none_that_is_no_longer_true(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with recording_server() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        emitter = emitter_of(load_settings({"RECSYS_METRICS": "otlp", "RECSYS_DEPLOYMENT": "recsys-prod"}))
        assert emitter is not None
        emitter.emit(SAMPLES, dt.datetime.now(dt.UTC))
        emitter.emit(SAMPLES[:1], dt.datetime.now(dt.UTC))
    sent = [ExportMetricsServiceRequest.FromString(each.body) for each in collector.accepted]
    assert [each.path for each in collector.accepted] == ["/v1/metrics"] * 2
    assert [gauges(each) for each in sent] == [
        {
            ("recsys_silent_daemons", "recsys-prod"): 1,
            ("recsys_asset_overdue_seconds", "recsys-prod", "marts/dim_books"): 60,
        },
        {("recsys_silent_daemons", "recsys-prod"): 1},
    ]


def gauges(sent: ExportMetricsServiceRequest) -> dict[tuple[str, ...], float]:
    metrics = [
        metric for resource in sent.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]
    return {
        (metric.name, *(each.value.string_value for each in point.attributes)): point.as_double or point.as_int
        for metric in metrics
        for point in metric.gauge.data_points
    }


def test_a_collector_of_metrics_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording_server() as collector:
        collector.answer = lambda request: (400, b"", {})
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        emitter = emitter_of(load_settings({"RECSYS_METRICS": "otlp"}))
        assert emitter is not None
        with pytest.raises(RecsysError, match="OTEL_EXPORTER_OTLP_ENDPOINT names did not take the metrics"):
            emitter.emit(SAMPLES, dt.datetime.now(dt.UTC))


def test_prometheus_reads_the_same_values() -> None:
    found = {
        (each.name, *sorted(each.labels.items())): each.value
        for family in text_string_to_metric_families(prometheus_text(SAMPLES, "recsys-prod"))
        for each in family.samples
    }
    service = ("service", "recsys-prod")
    assert found == {
        ("recsys_silent_daemons", service): 1,
        ("recsys_asset_overdue_seconds", ("asset", "marts/dim_books"), service): 60,
    }


def test_a_sample_with_labels_that_its_metric_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Sample(SILENT_DAEMONS, 1, {"asset": "marts/dim_books"})
