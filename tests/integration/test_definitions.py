"""The asset graph as Dagster loads it."""

import datetime as dt
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml

from recsys_platform.cli.commands.run import WORKSPACE
from recsys_platform.config.settings import load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.conditions import NIGHTLY, ON_CHANGE
from recsys_platform.ingestion.loading import load_events

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


@pytest.fixture(scope="module")
def defs(tmp_path_factory) -> dg.Definitions:
    return build_defs(load_settings({"RECSYS_HOME": str(tmp_path_factory.mktemp("home"))}))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def drawn(graph) -> str:
    def line(key):
        parents = ", ".join(sorted(parent.to_user_string() for parent in graph.get(key).parent_keys))
        return f"{graph.get(key).group_name:13} {key.to_user_string()}" + (f" <- {parents}" if parents else "")

    return "\n".join(line(key) for key in sorted(graph.get_all_asset_keys())) + "\n"


def test_the_asset_graph_is_the_one_that_was_reviewed(defs):
    """After a change on purpose: write the new graph with `python -m tests.integration.test_definitions`."""
    assert drawn(defs.resolve_asset_graph()) == SNAPSHOT.read_text()


def test_workspace_and_dg_load_the_same_location():
    workspace = yaml.safe_load(WORKSPACE.read_text())["load_from"][0]["python_module"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert workspace["module_name"] == project["code_location_target_module"]
    assert workspace["location_name"] == project["code_location_name"]


def test_every_asset_has_an_owner_a_kind_a_group_and_a_description(defs):
    for spec in defs.resolve_all_asset_specs():
        assert spec.owners, spec.key
        assert spec.kinds, spec.key
        assert spec.description, spec.key
        assert spec.group_name != "default", spec.key


def test_every_boundary_has_a_blocking_check(defs):
    graph = defs.resolve_asset_graph()
    blocking = {key.asset_key.path[0] for key in graph.asset_check_keys if graph.get(key).blocking}
    assert {"raw", "marts", "training", "published"} <= blocking


def test_everything_is_switched_off_unless_asked_for(tmp_path):
    for automation, expected in (("off", "STOPPED"), ("on", "RUNNING")):
        settings = load_settings({"RECSYS_HOME": str(tmp_path), "RECSYS_AUTOMATION": automation})
        built = build_defs(settings)
        assert {item.default_status.value for item in [*built.sensors, *built.schedules]} == {expected}


def test_runs_of_the_ui_stay_in_one_process(defs):
    assert defs.resolve_job_def("refresh").executor_def.name == "in_process"


def test_what_writes_the_warehouse_waits_for_its_turn(defs):
    repository = defs.get_repository_def()
    for assets in repository.assets_defs_by_key.values():
        if assets.is_executable and {key.path[0] for key in assets.keys} & {"raw", "staging", "marts", "published"}:
            assert assets.op.pool == "warehouse_writer", assets.keys


def test_the_sensor_asks_once_for_each_new_object(tmp_path, instance):
    import gzip

    from recsys_platform.hub.layout import landing_key, landing_prefix
    from recsys_platform.hub.local import FolderHub
    from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

    built = build_defs(load_settings({"RECSYS_HOME": str(tmp_path)}))
    sensor = next(item for item in built.sensors if item.name == "new_landing_objects")
    hub, warehouse = FolderHub(tmp_path / "hub"), DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    warehouse.prepare()
    repository, parts = built.get_repository_def(), {"hub": hub, "warehouse": warehouse}
    day, keys = dt.date(2026, 11, 20), []
    for number in range(3):
        hub.put(landing_key("segment", dt.datetime(2026, 11, 20, 5), f"{number}.gz"), gzip.compress(b"{}"))
        with dg.build_sensor_context(repository_def=repository, resources=parts, instance=instance) as context:
            asked = sensor.evaluate_tick(context)
        assert [request.partition_key for request in asked.run_requests] == ["2026-11-20"]
        keys += [request.run_key for request in asked.run_requests]
        load_events(
            hub, warehouse, [o for o in hub.objects(landing_prefix("segment", day)) if o.key.endswith(f"{number}.gz")]
        )
    assert len(set(keys)) == 3
    with dg.build_sensor_context(repository_def=repository, resources=parts, instance=instance) as context:
        assert sensor.evaluate_tick(context).run_requests == []


def chain(condition):
    """Two assets, the lower one under a condition, and a blocking check between them that fails on demand."""
    fails: list[bool] = []

    @dg.asset
    def upper() -> None: ...

    @dg.asset(deps=[upper], automation_condition=condition)
    def lower() -> None: ...

    @dg.asset_check(asset=upper, blocking=True)
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=not fails)

    return dg.Definitions(assets=[upper, lower], asset_checks=[sound]), fails, upper


def tick(defs, instance, cursor, at=None):
    result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor, **({"evaluation_time": at} if at else {}))
    return result.total_requested, result.cursor


def test_on_news_runs_once_for_each_change_upstream():
    defs, _, upper = chain(ON_CHANGE)
    with dg.DagsterInstance.ephemeral() as instance:
        assets = [upper, *defs.asset_checks]
        _, cursor = tick(defs, instance, None)
        dg.materialize(assets, instance=instance)
        requested, cursor = tick(defs, instance, cursor)
        assert requested == 1
        assert tick(defs, instance, cursor)[0] == 0


def test_on_news_waits_while_a_blocking_check_upstream_fails():
    defs, fails, upper = chain(ON_CHANGE)
    with dg.DagsterInstance.ephemeral() as instance:
        assets = [upper, *defs.asset_checks]
        _, cursor = tick(defs, instance, None)
        fails.append(True)
        dg.materialize(assets, instance=instance, raise_on_error=False)
        requested, cursor = tick(defs, instance, cursor)
        assert requested == 0
        fails.clear()
        dg.materialize(assets, instance=instance)
        assert tick(defs, instance, cursor)[0] == 1


def test_nightly_runs_after_three_and_not_before():
    defs, _, upper = chain(NIGHTLY)
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([upper, *defs.asset_checks], instance=instance)
        evening = dt.datetime(2026, 11, 20, 22, tzinfo=dt.UTC)
        _, cursor = tick(defs, instance, None, evening)
        requested, cursor = tick(defs, instance, cursor, evening + dt.timedelta(hours=4))
        assert requested == 0
        requested, cursor = tick(defs, instance, cursor, evening + dt.timedelta(hours=6))
        assert requested == 1
        assert tick(defs, instance, cursor, evening + dt.timedelta(hours=7))[0] == 0


if __name__ == "__main__":
    import tempfile

    SNAPSHOT.write_text(drawn(build_defs(load_settings({"RECSYS_HOME": tempfile.mkdtemp()})).resolve_asset_graph()))
