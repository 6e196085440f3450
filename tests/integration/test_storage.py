"""Dagster's storages of a local world: fast to write, and the files are the same as those of the stock classes."""

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import dagster as dg
import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.storage import PooledEventLogStorage, PooledRunStorage, PooledScheduleStorage

BOOKS = dg.AssetKey("books")


@dg.asset(check_specs=[dg.AssetCheckSpec("some", asset="books")])
def books() -> dg.MaterializeResult:
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="some")])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A new world."""
    made = load_settings({"RECSYS_HOME": str(tmp_path)})
    prepare_home(made)
    return made


@contextmanager
def stock_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The same files, opened by Dagster as it comes."""
    config = settings.own_dagster_home / "stock"
    config.mkdir(exist_ok=True)
    (config / "dagster.yaml").write_text("telemetry: { enabled: false }")
    ref = dg.DagsterInstance.from_config(str(settings.dagster_home)).get_ref()
    stock = type(ref).from_dir(str(settings.dagster_home), config_dir=str(config))
    with dg.DagsterInstance.from_ref(stock) as instance:
        assert type(instance.event_log_storage) is not PooledEventLogStorage
        yield instance


def materialize(instance: dg.DagsterInstance) -> str:
    """The id of a new run."""
    result = dg.materialize([books], instance=instance)
    assert result.success
    return result.run_id


def seen(instance: dg.DagsterInstance) -> tuple[set[str], int, int]:
    """Runs, materializations, and the events of all runs."""
    runs = [run.run_id for run in instance.get_runs()]
    made = instance.fetch_materializations(BOOKS, limit=1000).records
    return set(runs), len(made), sum(len(instance.all_logs(run)) for run in runs)


def test_a_local_world_keeps_its_connections_open(settings: Settings) -> None:
    with instance_of(settings) as instance:
        assert isinstance(instance.event_log_storage, PooledEventLogStorage)
        assert isinstance(instance.run_storage, PooledRunStorage)
        assert isinstance(instance.schedule_storage, PooledScheduleStorage)


def test_a_run_opens_each_file_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    connect = sqlite3.connect

    def counted(path: str, **options: object) -> sqlite3.Connection:
        opened.append(Path(path).name)
        return connect(path, **options)  # type: ignore[call-overload, no-any-return]

    with instance_of(settings) as instance:
        materialize(instance)
        monkeypatch.setattr("sqlite3.dbapi2.connect", counted)
        run = materialize(instance)
    assert set(opened) == {f"{run}.db"}


@pytest.mark.slow
def test_stock_dagster_reads_what_was_written_and_writes_what_is_read(settings: Settings) -> None:
    with stock_instance(settings) as instance:
        runs = {materialize(instance)}
    with instance_of(settings) as instance:
        assert seen(instance)[:2] == (runs, 1)
        runs.add(materialize(instance))
        found = seen(instance)
        with stock_instance(settings) as other:  # while it is open
            assert seen(other) == found
            runs.add(materialize(other))
        assert seen(instance)[:2] == (runs, 3)


@pytest.mark.slow
def test_files_are_set_up_as_stock_dagster_does(settings: Settings, tmp_path: Path) -> None:
    other = load_settings({"RECSYS_HOME": str(tmp_path / "other")})
    prepare_home(other)
    with instance_of(settings) as instance, stock_instance(other) as stock:
        ours, theirs = materialize(instance), materialize(stock)
    files = ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]
    for one, another in zip([*files, f"history/runs/{ours}.db"], [*files, f"history/runs/{theirs}.db"], strict=True):
        assert schema(settings.own_dagster_home / one) == schema(other.own_dagster_home / another), one


def schema(path: Path) -> list[tuple[str, ...]]:
    """Tables, indexes, the version of both, and the journal."""
    with sqlite3.connect(path) as con:
        found = con.execute("select type, name, sql from sqlite_master order by 1, 2").fetchall()
        return [*found, *con.execute("select * from alembic_version"), con.execute("pragma journal_mode").fetchone()]


def test_a_moved_world_keeps_its_runs(settings: Settings, tmp_path: Path) -> None:
    with instance_of(settings) as instance:
        run = materialize(instance)
    settings.own_dagster_home.rename(tmp_path / "moved")
    with dg.DagsterInstance.from_config(str(tmp_path / "moved")) as instance:
        assert seen(instance)[0] == {run}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_two_processes_write_at_once(settings: Settings) -> None:
    with instance_of(settings):  # set up before
        pass
    # Forked: to import Dagster anew would take most of the test.
    processes = [get_context("fork").Process(target=materialize_often, args=(settings,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with stock_instance(settings) as instance:
        runs, made, _ = seen(instance)
    assert (len(runs), made) == (10, 10)


def materialize_often(settings: Settings) -> None:
    """Some runs in a world."""
    with instance_of(settings) as instance:
        for _ in range(5):
            materialize(instance)


def test_threads_share_the_storages(settings: Settings) -> None:
    with instance_of(settings) as instance, ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda _: instance.report_runless_asset_event(dg.AssetMaterialization(BOOKS)), range(40)):
            assert instance.get_runs() == []
        assert len(instance.fetch_materializations(BOOKS, limit=1000).records) == 40


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_opens_its_own(settings: Settings) -> None:
    with instance_of(settings) as instance:
        runs = {materialize(instance)}
        child = os.fork()
        if child == 0:
            os._exit(len(seen(instance)[0]) if materialize(instance) else 9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
        runs.add(materialize(instance))
        found = seen(instance)
    assert (len(found[0]), found[1]) == (3, 3)
    assert runs < found[0]


def test_the_log_of_a_removed_run_is_empty(settings: Settings) -> None:
    with instance_of(settings) as instance:
        run, kept = materialize(instance), materialize(instance)
        events = len(instance.all_logs(kept))
        for path in (settings.own_dagster_home / "history" / "runs").glob(f"{run}.db*"):
            path.unlink()
        assert instance.all_logs(run) == []
        assert len(instance.all_logs(kept)) == events


@pytest.mark.slow
def test_no_more_files_stay_open_than_a_process_may(settings: Settings) -> None:
    with instance_of(settings) as instance:
        for number in range(24):
            assert instance.all_logs(f"run-{number}") == []
        open_files = [path.resolve() for path in Path("/proc/self/fd").iterdir() if path.exists()]
    assert 1 <= len({path for path in open_files if path.match("run-*.db")}) <= 16
