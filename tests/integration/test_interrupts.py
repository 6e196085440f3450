"""TERM and INT end every command within seconds, with one line and the status of the signal; dead runs hold nothing up."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest

from recsys_platform.config.factories import prepare_home
from recsys_platform.config.settings import load_settings
from recsys_platform.defs.automation.dead_runs import fail_dead_runs, waiting_for
from recsys_platform.defs.automation.instances import instance_of
from recsys_platform.defs.pools import WAREHOUSE_WRITER

SECONDS = 12
"""Grace, cleaning up and a busy machine."""
STUCK = {
    "in Python": "time.sleep(60)",
    "where errors are swallowed": "\nwhile True:\n  try: time.sleep(1)\n  except BaseException: pass",
    "in C code that knows no signals": "hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)",
    "under the handlers of Dagster": "\nwith capture_interrupts(): time.sleep(60)",
    "with children that ignore TERM": "subprocess.run([sys.executable, '-c', CHILD])",
}
COMMAND = """
import hashlib, subprocess, sys, time
from dagster._utils.interrupts import capture_interrupts
from recsys_platform.cli import app as cli
CHILD = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
@cli.app.command()
def stuck() -> None:
    print("stuck", flush=True)
    {body}
sys.argv = ["recsys", "stuck"]
cli.main()
"""


def started(body: str) -> subprocess.Popen[str]:
    program = COMMAND.replace("    {body}", "\n".join(f"    {line}" for line in body.split("\n")))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "stuck\n"
    time.sleep(0.5)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("body", STUCK.values(), ids=STUCK.keys())
def test_a_signal_ends_a_command_wherever_it_is(body, number):
    process = started(body)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    begun = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - begun < SECONDS
    assert (process.returncode, said) == (128 + number, "interrupted\n")
    assert psutil.wait_procs(children, timeout=2)[1] == []


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
        assert process.wait(timeout=30) == 128 + number
        assert psutil.wait_procs(children, timeout=3)[1] == []
