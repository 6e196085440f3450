"""Fail runs whose process is gone: they would hold the warehouse's pool slot forever, and their days would not be loaded.

Belongs here: the process of a run, failing dead runs, the holder of the slot. Does not: runs on other machines, whose processes
cannot be seen from here; Dagster's `run_monitoring` fails those.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.runs import SqliteRunStorage

from recsys_platform.common.interrupts import INTERRUPTS
from recsys_platform.common.processes import is_process_since
from recsys_platform.defs.pools import PROCESS, WAREHOUSE_WRITER

POLL_SECONDS = 3.0
"""Seconds between two polls of the slot that a run waits for."""
_OPEN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs on this machine whose process is gone, and free every slot of a finished run; returns the failed run ids."""
    dead = [record for record in instance.get_run_records(dg.RunsFilter(statuses=_OPEN)) if _is_dead(instance, record)]
    for record in dead:
        instance.report_run_failed(record.dagster_run, "The process of this run ended before the run did.")
        instance.event_log_storage.free_concurrency_slots_for_run(record.dagster_run.run_id)
    for run_id in _slot_holders(instance):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return [record.dagster_run.run_id for record in dead]


@contextmanager
def reporting_slot_holder(instance: dg.DagsterInstance, run_id: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """While a run executes in this block, every few seconds free the slots of dead runs and report which run it waits for."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            if waiting_for(instance, run_id) is None:
                continue  # to find dead runs their logs are read, which costs more than the rest of the poll
            fail_dead_runs(instance)
            sentence = waiting_for(instance, run_id)
            if sentence:
                on_wait(sentence)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def failing_on_exit(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Mark the run in this block as failed if a signal kills the process."""

    def fail() -> None:
        run = instance.get_run_by_id(run_id)
        if run and not run.is_finished:
            instance.report_run_failed(run, "A signal ended the process of this run.")
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)

    INTERRUPTS.at_exit.append(fail)
    try:
        yield
    finally:
        INTERRUPTS.at_exit.remove(fail)


def waiting_for(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """A sentence that names the run that holds the slot which a run waits for; None if it does not wait."""
    info = instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER)
    held = [slot for slot in info.claimed_slots if slot.run_id != run_id]
    if not held or all(step.run_id != run_id for step in info.pending_steps):
        return None
    run = instance.get_run_by_id(held[0].run_id)
    process = _process_of(instance, run) if run else None
    where = f", process {process[0]}" if process else ""
    job = run.job_name if run else "a run that is gone"
    return f"waiting for the warehouse: run {held[0].run_id[:8]} of {job}{where} holds it in {held[0].step_key}"


def _slot_holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER).active_run_ids


def _is_dead(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    process = _process_of(instance, record.dagster_run)
    return process is not None and not is_process_since(*process)


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[int, float] | None:
    """A run's process id on this machine, and a time at which it was alive (seconds since 1970); None if unknown."""
    if not isinstance(instance.run_storage, SqliteRunStorage):  # another machine may share it
        return None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        data = entry.dagster_event.event_specific_data if entry.dagster_event else None
        pid = getattr(data, "metadata", {}).get("pid")
        if pid is not None:
            return int(pid.value), entry.timestamp
    record = instance.get_run_record_by_id(run.run_id)
    if PROCESS in run.tags and record:
        return int(run.tags[PROCESS]), record.start_time or record.create_timestamp.timestamp()
    return None
