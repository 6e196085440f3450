"""Runs whose process is gone: they would hold the warehouse's slot for ever, and nobody would load their days.

Belongs here: which process a run lives in, ending what is dead, who holds the slot. Does not: runs of other machines, whose processes
cannot be seen from here; `run_monitoring` in Dagster's own settings ends those.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.runs import SqliteRunStorage

from recsys_platform.common.interrupts import INTERRUPTS
from recsys_platform.common.processes import is_process_since
from recsys_platform.defs.pools import PROCESS, WAREHOUSE_WRITER

LOOK_EVERY = 3.0
"""Seconds between two looks at who holds the slot that a run waits for."""
_OPEN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def fail_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """End the runs of this machine whose process is gone, whoever started them, and free every slot of a run that is over."""
    dead = [record for record in instance.get_run_records(dg.RunsFilter(statuses=_OPEN)) if _is_dead(instance, record)]
    for record in dead:
        instance.report_run_failed(record.dagster_run, "The process of this run ended before the run did.")
        instance.event_log_storage.free_concurrency_slots_for_run(record.dagster_run.run_id)
    for run_id in _holders(instance):
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return [record.dagster_run.run_id for record in dead]


@contextmanager
def telling_who_holds_the_slot(
    instance: dg.DagsterInstance, run_id: str, tell: Callable[[str], None]
) -> Iterator[None]:
    """While a run is executed in this block: every few seconds free slots of dead runs, and say for whom the run waits."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            fail_dead_runs(instance)
            sentence = waiting_for(instance, run_id)
            if sentence:
                tell(sentence)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@contextmanager
def ended_with_its_process(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """A run in this block is noted as failed if a signal ends the process by force."""

    def fail() -> None:
        run = instance.get_run_by_id(run_id)
        if run and not run.is_finished:
            instance.report_run_failed(run, "A signal ended the process of this run.")
            instance.event_log_storage.free_concurrency_slots_for_run(run_id)

    INTERRUPTS.at_the_end.append(fail)
    try:
        yield
    finally:
        INTERRUPTS.at_the_end.remove(fail)


def waiting_for(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Who holds the slot that a run waits for, None if it waits for none."""
    info = instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER)
    held = [slot for slot in info.claimed_slots if slot.run_id != run_id]
    if not held or all(step.run_id != run_id for step in info.pending_steps):
        return None
    run = instance.get_run_by_id(held[0].run_id)
    process = _process_of(instance, run) if run else None
    where = f", process {process[0]}" if process else ""
    job = run.job_name if run else "a run that is gone"
    return f"waiting for the warehouse: run {held[0].run_id[:8]} of {job}{where} holds it in {held[0].step_key}"


def _holders(instance: dg.DagsterInstance) -> set[str]:
    return instance.event_log_storage.get_concurrency_info(WAREHOUSE_WRITER).active_run_ids


def _is_dead(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    process = _process_of(instance, record.dagster_run)
    return process is not None and not is_process_since(*process)


def _process_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[int, float] | None:
    """The process that a run lives in on this machine, and a moment at which it did (seconds since 1970); None if unknown."""
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
