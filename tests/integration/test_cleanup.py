"""What is no longer kept goes by a command and by a job, and what is built from the rest does not notice."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import prepare_home, registry_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.automation.cleanup import clean_up, cleanup_job
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.old_runs import old_events_without_run, old_runs, remove_events, remove_old_run
from recsys_platform.defs.automation.outline import outline_of
from recsys_platform.defs.automation.staleness import stale_assets
from recsys_platform.recommender.evaluation.results import DIFFERENCES, VALUES, stored_results
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import row_counts

NOW = dt.datetime(2026, 11, 20, 6)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A world with an empty warehouse; Dagster's runs and evaluations are kept for a day."""
    named = {"RECSYS_HOME": str(tmp_path), "RECSYS_KEEP_VERSIONS": "2", "RECSYS_KEEP_RUNS_DAYS": "1"}
    for name, value in {**named, "RECSYS_KEEP_EVALUATIONS_DAYS": "1"}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    prepare_home(settings)
    warehouse_of(settings).prepare()
    return settings


def versions(registry: Registry, number: int) -> list[str]:
    """Log some versions of a variant."""
    return [
        registry.log("ease", {"n": np.array([n])}, Provenance(NOW + dt.timedelta(days=n), str(n), "0.1"))
        for n in range(number)
    ]


DAYS = dg.DailyPartitionsDefinition("2026-11-01")


@dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
def loaded(context: dg.AssetExecutionContext) -> None:
    context.log.info("a line of the log")
    print("a line of output")


@dg.asset(deps=[dg.AssetDep(loaded, partition_mapping=dg.AllPartitionMapping())])
def built() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"plot": "x" * 100_000})


@dg.asset_check(asset=built, blocking=True)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


DEFS = dg.Definitions(assets=[loaded, built], asset_checks=[sound])


def run_day(instance: dg.DagsterInstance, day: int) -> str:
    """Load a day and build what is made of all days."""
    return dg.materialize(
        [loaded, built, sound], instance=instance, tags={
            "dagster/asset_partition_range_start": f"2026-11-{day:02}", "dagster/asset_partition_range_end": f"2026-11-{day:02}"
        }, partition_key=None,
    ).run_id  # fmt: skip


def days_later(instance: dg.DagsterInstance, days: int) -> None:
    """Let the runs that there are become older."""
    import sqlite3

    with sqlite3.connect(Path(instance.root_directory) / "history" / "runs.db") as con:
        con.execute(f"update runs set create_timestamp = datetime(create_timestamp, '-{days} days')")


def size(settings: Settings) -> int:
    return sum(path.stat().st_size for path in (settings.dagster_home / "history" / "runs").glob("*-*.db*"))


def test_old_runs_go_and_nothing_becomes_stale(home: Settings, run_recsys) -> None:
    with instance_of(home) as instance:
        for day in (1, 2, 2):
            run_day(instance, day)
        days_later(instance, 3)
        young = run_day(instance, 3)
        before, outline = size(home), outline_of(DEFS)
        code, said = run_recsys("cleanup", "--dry-run")
        assert (code, "3 runs of Dagster would be removed" in said) == (0, True), said
        assert len(instance.get_runs()) == 4

        code, said = run_recsys("cleanup")
        assert (code, "3 runs of Dagster removed" in said) == (0, True), said
        assert len(instance.get_runs()) == 3  # the first load of the second day is gone, its second one is remembered
        assert stale_assets(outline, instance, outline.made_in_every_run) == []
        assert instance.get_materialized_partitions(loaded.key) == {"2026-11-01", "2026-11-02", "2026-11-03"}
        assert size(home) < before / 2
        assert instance.all_logs(young)
        assert not [
            path for path in (home.dagster_home / "storage").iterdir() if path.name not in ("artifact_storage", young)
        ]
        check = instance.event_log_storage.get_latest_asset_check_execution_by_key([sound.check_key])
        assert check[sound.check_key].run_id == young

        code, said = run_recsys("cleanup")
        assert (code, "0 runs of Dagster removed" in said) == (0, True), said


def test_old_events_of_sensors_go_but_the_newest_of_each_asset_and_partition(home: Settings) -> None:
    def note(partition: str, number: int) -> None:
        event = dg.AssetMaterialization(loaded.key, partition=partition, metadata={"number": number}, tags={"a": "b"})
        instance.report_runless_asset_event(event)

    with instance_of(home) as instance:
        for number in range(600):
            note(f"2026-11-{number % 2 + 1:02}", number)
        observed = [dg.AssetObservation(built.key, metadata={"n": number}) for number in range(2)]
        for each in observed:
            instance.report_runless_asset_event(each)
        young = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        assert old_events_without_run(instance, young) == []
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        going = old_events_without_run(instance, soon)
        assert len(going) == 600 - 2 + 1
        remove_events(instance, going)
        kept = instance.fetch_materializations(loaded.key, limit=10).records
        assert [each.asset_materialization.metadata["number"].value for each in kept if each.asset_materialization] == [
            599,
            598,
        ]
        assert instance.get_materialized_partitions(loaded.key) == {"2026-11-01", "2026-11-02"}
        assert len(instance.fetch_observations(built.key, limit=10).records) == 1
        assert old_events_without_run(instance, soon) == []


def test_the_log_of_a_run_that_made_thousands_of_partitions_goes_too(home: Settings) -> None:
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    with instance_of(home) as instance:
        run_day(instance, 1)
        [run] = old_runs(instance, tomorrow)
        more = {(loaded.key.to_string(), f"day {number}") for number in range(3_000)}
        remove_old_run(instance, replace(run, made=run.made | more))
        assert instance.get_materialized_partitions(loaded.key) == {"2026-11-01"}
        assert old_runs(instance, tomorrow) == []


def test_a_run_that_is_not_over_stays_however_old(home: Settings, run_recsys) -> None:
    with instance_of(home) as instance:
        run = instance.create_run_for_job(dg.Definitions(assets=[built]).resolve_implicit_global_asset_job_def())
        days_later(instance, 90)
        assert run_recsys("cleanup")[0] == 0
        assert instance.has_run(run.run_id)


def test_versions_go_beyond_the_newest(home: Settings, run_recsys) -> None:
    registry = registry_of(home)
    first, second, third, *_ = versions(registry, 6)
    registry.set_alias(PRODUCTION, first, why="to see")
    assert run_recsys("pin", second)[0] == 0
    code, said = run_recsys("cleanup", "--dry-run")
    assert "2 model versions would be removed, 0.0 MB: ease-v4, ease-v3" in said
    assert len(registry.versions()) == 6
    code, said = run_recsys("cleanup")
    assert (code, "2 model versions removed" in said) == (0, True), said
    assert [each.version for each in registry.versions()] == ["6", "5", "2", "1"]
    assert run_recsys("pin", third)[0] == 1


def evaluate(warehouse: Warehouse) -> None:
    """An evaluation on each of four days."""
    for number in range(4):
        row = {
            "data_hash": f"data {number}", "evaluated_at": NOW + dt.timedelta(days=number), "model": "ease", "segment": "all",
            "metric": "ndcg", "users": 1, "value": 0.5, "low": None, "high": None,
        }  # fmt: skip
        for table, more in ((VALUES, {"k": 10}), (DIFFERENCES, {"baseline": "popularity"})):
            rows = pa.Table.from_pylist([row | more])
            warehouse.replace_rows(table, rows, key="data_hash", values=[f"data {number}"])


def test_evaluations_go_by_age_but_for_the_newest(home: Settings, run_recsys) -> None:
    warehouse = warehouse_of(home)
    evaluate(warehouse)
    _, said = run_recsys("cleanup", "--dry-run")
    assert "3 evaluations would be removed: data 2, data 1, data 0" in said
    assert run_recsys("cleanup")[0] == 0
    assert [stored_results(f"data {number}", warehouse) is None for number in range(4)] == [True, True, True, False]
    assert row_counts(warehouse, [VALUES, DIFFERENCES]) == {VALUES: 1, DIFFERENCES: 1}


def test_the_job_does_the_same(home: Settings) -> None:
    registry, warehouse = registry_of(home), warehouse_of(home)
    versions(registry, 4)
    evaluate(warehouse)
    with instance_of(home) as instance:
        done = cleanup_job.execute_in_process(
            instance=instance, resources={"settings": home, "registry": registry, "warehouse": warehouse}
        )
        assert done.success
    assert len(registry.versions()) == 2
    assert row_counts(warehouse, [VALUES]) == {VALUES: 1}


def test_a_version_that_an_experiment_names_stays_and_a_broken_file_removes_nothing(home: Settings) -> None:
    registry, file = registry_of(home), home.home / "config" / "experiments.yaml"
    made = versions(registry, 5)
    file.parent.mkdir(exist_ok=True)

    def going() -> tuple[str, ...]:
        now = NOW.replace(tzinfo=dt.UTC)
        with instance_of(home) as instance:
            return clean_up(home, registry, warehouse_of(home), instance, now=now, dry_run=True)[0].names

    assert len(going()) == 3
    file.write_text(f"holdout: {{percent: 5, model: '{made[0]}'}}\n", encoding="utf-8")
    assert registry.info(made[0]).label not in going()
    assert len(going()) == 2
    treatment = f"treatment: {{model: '{made[1]}', weight: 50}}"
    control = "control: {model: production, weight: 50}"
    file.write_text(f"next: {{status: draft, variants: {{{control}, {treatment}}}}}\n", encoding="utf-8")
    assert registry.info(made[1]).label not in going()
    assert len(going()) == 2
    file.write_text("holdout: [", encoding="utf-8")
    with pytest.raises(RecsysError, match="not known which model versions are in use"):
        going()
