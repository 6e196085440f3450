"""What a person sees while a run is under way, and of a run from the command line in Dagster's UI."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.definitions import build_defs
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.automation.outline import write_outline
from recsys_platform.defs.automation.state import state_of
from recsys_platform.defs.pools import PROCESS
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse
from recsys_platform.warehouse.duckdb.reading_copy import write_reading_copy


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A world with one loaded object and one rejected record, whose definitions were written down."""
    monkeypatch.setenv("RECSYS_HOME", str(tmp_path / "home"))
    settings = load_settings()
    prepare_home(settings)
    warehouse = DuckDBWarehouse(settings.warehouse_path)
    warehouse.prepare()
    with warehouse.connect() as con:
        con.execute("insert into ops.load_ledger values ('engagement_events/a', 'e', 1, 2, 1, 1, now()::timestamp)")
        con.execute(
            "insert into raw.rejected_records values"
            " ('segment', 'engagement_events/a', 1, now()::timestamp, now()::timestamp, '{}', 'no message id', null)"
        )
    return settings


def test_status_answers_while_a_run_writes_the_warehouse(loaded: Settings, run_recsys, held) -> None:
    with held(loaded.warehouse_path):
        code, said = run_recsys("status")
        assert (code, "A run is writing the warehouse. Its figures can be read when the run is over" in said) == (
            0,
            True,
        )
    write_reading_copy(DuckDBWarehouse(loaded.warehouse_path), loaded.analytics_path)
    with held(loaded.warehouse_path):
        code, said = run_recsys("status")
    assert code == 0
    assert "A run is writing the warehouse. The figures are those of" in said
    assert "2 records in 1 objects" in said
    assert "rejected 1 (no message id 1)" in said
    assert "never made" in said
    assert "on disk:" in said


def test_status_names_the_runs_that_are_under_way(loaded: Settings, run_recsys) -> None:
    @dg.job
    def refresh() -> None: ...

    with instance_of(loaded) as instance:
        dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        runs = [
            instance.create_run_for_job(refresh, tags=tags) for tags in ({}, {PROCESS: dead.stdout.decode().strip()})
        ]
        instance.report_run_failed(instance.create_run_for_job(refresh))
        started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "refresh", message="")
        for run in runs:
            instance.report_dagster_event(started, run.run_id)
    code, said = run_recsys("status")
    assert (code, said.count("running: refresh, for 0 min")) == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "run"])
def test_what_changes_nothing_needs_neither_the_definitions_nor_what_they_import(world: Path, command: str) -> None:
    """On a finished world: in another one `recsys run` would have something to do."""
    settings = load_settings({"RECSYS_HOME": str(world)})
    write_outline(settings, build_defs(settings))
    main = "from recsys_platform.cli.app import main\ntry: main()\nfinally: print(*sys.modules)"
    code = f"import sys; sys.argv = ['recsys', {command!r}]\n{main}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    slow = {"recsys_platform.definitions", "dagster_dbt", "dbt", "mlflow", "pandas", "boto3", "lightfm", "numba"}
    assert "dagster" in loaded
    assert slow & loaded == set()


def test_what_is_on_is_told_anew_when_a_setting_changed(loaded: Settings) -> None:
    assert {is_on for _, is_on in state_of(loaded, build_defs).switches} == {False}
    switched_on = load_settings({"RECSYS_HOME": str(loaded.home), "RECSYS_AUTOMATION": "on"})
    assert {is_on for _, is_on in state_of(switched_on, build_defs).switches} == {True}


@pytest.mark.slow
def test_a_run_of_the_command_line_stands_in_the_overview_and_on_the_page_of_its_job(finished_world: Path) -> None:
    """The UI asks for runs by the tag of their repository, and places them by their origin. A whole run made them."""
    with instance_of(load_settings({"RECSYS_HOME": str(finished_world)})) as instance:
        runs = instance.get_runs(dg.RunsFilter(job_name="refresh"))
        of_the_page = dg.RunsFilter(job_name="refresh", tags={".dagster/repository": "__repository__@recsys_platform"})
        assert [run.run_id for run in instance.get_runs(of_the_page)] == [run.run_id for run in runs]
    assert runs
    for run in runs:
        assert run.remote_job_origin is not None
        origin = run.remote_job_origin.repository_origin
        assert (origin.code_location_origin.location_name, origin.repository_name) == (
            "recsys_platform",
            "__repository__",
        )
        assert run.status == dg.DagsterRunStatus.SUCCESS


DRAWS = """
import os, sys, time
import dagster as dg
from recsys_platform.cli.console import progress_bar
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.config.settings import load_settings

with progress_bar() as bar, instance_of(load_settings()) as instance:
    task = bar.add_task("before", total=2)

    @dg.asset
    def slow() -> None:
        bar.update(task, description="while a step runs")
        time.sleep(2)

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert dg.materialize([slow], instance=instance, run_config=quiet).success
"""


@pytest.mark.slow
def test_the_progress_bar_is_alive_while_a_step_of_dagster_runs(loaded: Settings) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", DRAWS], stderr=theirs, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read(ours), b""))
    assert process.returncode == 0, shown
    assert (
        shown.count(b"while a step runs") >= 6
    )  # ten a second; frozen, it would show two or three when the step is over


def read(terminal: int) -> bytes:
    """What is shown next; nothing once the other side is closed."""
    try:
        return os.read(terminal, 10_000)
    except OSError:
        return b""


FILLS = """
import sys
from recsys_platform.cli import app as cli

@cli.app.command()
def fill() -> None:
    with open("/dev/full", "w") as file:
        file.write("a line of the log")

sys.argv = ["recsys", "fill"]
cli.main()
"""


def test_a_full_disk_is_one_sentence() -> None:
    """Whatever was written: here the last lines of a file, as of run.log, when it is closed."""
    done = subprocess.run([sys.executable, "-c", FILLS], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space is left on the device")
    assert done.stderr.count("\n") == 1
