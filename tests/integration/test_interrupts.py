"""TERM and INT end every command within seconds, with one line and the status of the signal; dead runs hold nothing up."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.dead_runs import fail_dead_runs, waiting_for
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from tests.support.pace import patience

SECONDS = 12
"""Grace, cleaning up and ten commands at once, on an idle machine."""
STUCK = {
    "in Python": "time.sleep(60)",
    "where errors are swallowed": "\nwhile True:\n  try: time.sleep(1)\n  except BaseException: pass",
    "in C code that knows no signals": "MUTEX.pthread_mutex_lock(LOCKED)",
    "under the handlers of Dagster": "\nwith capture_interrupts(): time.sleep(60)",
    "with children that ignore TERM": "subprocess.run([sys.executable, '-c', CHILD])",
}
IMPORTS = {"under the handlers of Dagster": "from dagster._utils.interrupts import capture_interrupts"}
COMMAND = """
import ctypes, subprocess, sys, time
from recsys_platform.cli import app as cli
{imports}
CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
MUTEX, LOCKED = ctypes.CDLL(None), ctypes.create_string_buffer(256)
MUTEX.pthread_mutex_init(LOCKED, None)
MUTEX.pthread_mutex_lock(LOCKED)
@cli.app.command()
def stuck() -> None:
    print("stuck", flush=True)
    {body}
sys.argv = ["recsys", "stuck"]
cli.main()
"""
Stuck = dict[tuple[str, signal.Signals], subprocess.Popen[str]]


def started(where: str) -> subprocess.Popen[str]:
    body = "\n".join(f"    {line}" for line in STUCK[where].split("\n"))
    program = COMMAND.replace("    {body}", body).replace("{imports}", IMPORTS.get(where, ""))
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    """A command stuck in each place for each signal, all at once: most are ended only after the grace."""
    commands = {(where, number): started(where) for where in STUCK for number in (signal.SIGINT, signal.SIGTERM)}
    assert [command.stdout.readline() for command in commands.values()] == ["stuck\n"] * len(commands)
    time.sleep(0.5)
    yield commands
    for command in commands.values():
        command.kill()
        command.communicate()


@pytest.mark.slow
def test_a_signal_ends_a_command_wherever_it_is(stuck):
    children = [child for command in stuck.values() for child in psutil.Process(command.pid).children(recursive=True)]
    assert len(children) == 2
    limit, begun = SECONDS * patience(), time.monotonic()
    for (_, number), command in stuck.items():
        command.send_signal(number)
    said = {case: command.communicate(timeout=60)[1] for case, command in stuck.items()}
    assert time.monotonic() - begun < limit
    assert said == dict.fromkeys(stuck, "interrupted\n")
    assert {case: command.returncode for case, command in stuck.items()} == {case: 128 + case[1] for case in stuck}
    assert psutil.wait_procs(children, timeout=2 * patience())[1] == []


@pytest.fixture
def instance(tmp_path):
    settings = load_settings({"RECSYS_HOME": str(tmp_path)})
    prepare_home(settings)
    with instance_of(settings) as made:
        yield made


HOLD = """
import os, sys, time
import dagster as dg
@dg.asset(pool="warehouse_writer")
def holds() -> None:
    print("held", flush=True)
    time.sleep(60)
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    dg.materialize([holds], instance=instance)
"""


@pytest.fixture
def holder(instance, tmp_path):
    """A run of nobody's that holds the slot of the warehouse, in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "dagster")], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER).claimed_slots:
        assert time.monotonic() < until
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def slots(instance) -> int:
    return instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER).active_slot_count


@pytest.mark.slow
def test_a_killed_run_of_whoever_started_it_gives_its_slot_back(instance, holder):
    assert fail_dead_runs(instance) == []
    assert slots(instance) == 1
    holder.kill()
    holder.wait()
    [run] = instance.get_runs()
    assert fail_dead_runs(instance) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert slots(instance) == 0


def test_a_slot_of_a_run_that_is_over_or_unknown_is_freed(instance):
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(WAREHOUSE_WRITER)
    for run in (None, dg.DagsterRun(job_name="j", status=dg.DagsterRunStatus.CANCELED)):
        run_id = instance.add_run(run).run_id if run else "unknown"
        storage.claim_concurrency_slot(WAREHOUSE_WRITER, run_id, "step")
        assert slots(instance) == 1
        fail_dead_runs(instance)
        assert slots(instance) == 0


@pytest.mark.slow
def test_a_run_that_waits_says_for_whom(instance, holder):
    [held] = instance.get_runs()
    assert waiting_for(instance, "ours") is None
    instance.event_log_storage.claim_concurrency_slot(WAREHOUSE_WRITER, "ours", "step")
    assert waiting_for(instance, "ours") == (
        f"waiting for the warehouse: run {held.run_id[:8]} of {held.job_name}, process {holder.pid} holds it in holds"
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_dev_ends_all_that_it_started(tmp_path, number):
    """The real command: only it starts Dagster's web server, daemon and code location."""
    environment = {**os.environ, "RECSYS_HOME": str(tmp_path)}
    recsys = str(Path(sys.executable).with_name("recsys"))
    with subprocess.Popen(
        [recsys, "dev", "--port", str(free_port())], env=environment, stderr=subprocess.DEVNULL
    ) as process:
        until, me = time.monotonic() + 120, psutil.Process(process.pid)
        while len(me.children(recursive=True)) < 3:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
        children = me.children(recursive=True)
        process.send_signal(number)
        assert process.wait(timeout=30 * patience()) == 128 + number
        assert psutil.wait_procs(children, timeout=3 * patience())[1] == []
