"""What each step of a run uses, measured while it runs, and reported to the event log as observations of `ops/cost_of_runs`.

Belongs here: measuring a process and reading step events. Does not: rows of the warehouse (reports/costs/usage.py), collecting
(cost_of_runs.py).

A run executes its steps one after the other in one process, so what the process used between two events is what the step used. An
observation is in the index of all assets' events, so reports of all runs are read by one query, on SQLite and PostgreSQL alike.
"""

import datetime as dt
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import dagster as dg
import httpx
import psutil
from dagster._core.definitions.executor_definition import IN_PROC_CONFIG, _core_in_process_executor_creation
from dagster._core.events import AssetObservationData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor

from recsys_platform.common.s3_requests import requests_sent
from recsys_platform.defs.pools import REBUILD
from recsys_platform.reports.costs.usage import (
    GB,
    Env,
    RunUsage,
    StepUsage,
    resources_used,
    shares_of_assets,
    usage_from_json,
    usage_to_json,
)

COST_OF_RUNS = dg.AssetKey(["ops", "cost_of_runs"])
_USAGE = "usage"
_REPORT_EVERY = 30
"""Seconds after which finished steps are reported, as soon as another one begins or ends.

A run that is killed loses the step that runs and those that ended within that time before it.
"""
_LOG = logging.getLogger(__name__)
_TASK_METADATA = "ECS_CONTAINER_METADATA_URI_V4"
"""The variable in which ECS tells a container where it answers for its task."""
_DBT_SECONDS = "Execution Duration"
"""Metadata of dagster-dbt: how long a model took."""
_BEGUN = {"STEP_START", "STEP_RESTARTED"}
"""Dagster's first and later attempts of a step."""
_ENDED = {"STEP_SUCCESS", "STEP_FAILURE", "STEP_UP_FOR_RETRY", "STEP_SKIPPED"}


@dataclass(frozen=True)
class Reading:
    """What a process and its ended children have used until a time (seconds since the epoch)."""

    at: float
    cpu_seconds: float
    requests: Counter[str]

    @classmethod
    def now(cls) -> "Reading":
        """Of this process, now."""
        return cls(time.time(), sum(os.times()[:4]), requests_sent())

    @classmethod
    def at_start_of_process(cls) -> "Reading":
        """Of this process, when it began."""
        return cls(psutil.Process().create_time(), 0, Counter())


@cache
def task_size() -> tuple[float, float]:
    """Cores and GiB that are paid for: those of the task on ECS, else of this machine.

    A task of Fargate sees the machine that it runs on, which may be larger than what it asked for. Source: the task metadata endpoint,
    version 4 (`Limits`, in vCPU and MiB).
    """
    endpoint = os.environ.get(_TASK_METADATA)
    try:
        limits = httpx.get(f"{endpoint}/task", timeout=5).json()["Limits"] if endpoint else None
        return (float(limits["CPU"]), limits["Memory"] / 1024) if limits else _machine_size()
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        _LOG.warning("The size of the task is not known, and costs are those of the machine: %s", error)
        return _machine_size()


def _machine_size() -> tuple[float, float]:
    return psutil.cpu_count() or 1, psutil.virtual_memory().total / GB


class StepMeter:
    """Measures the steps of one run and reports them."""

    def __init__(self, instance: dg.DagsterInstance, run_id: str, env: Env, *, since: Reading) -> None:
        self._instance, self._run_id, self._env = instance, run_id, env
        self._begin = self._reported_at = since
        self._step_begin: Reading | None = None
        self._seconds: dict[str, float | None] = {}
        self._checked: dict[str, float | None] = {}
        self._finished: list[StepUsage] = []
        self._in_steps: Counter[str] = Counter()
        self._reports = 0

    def on_event(self, entry: dg.EventLogEntry) -> None:
        """Follow the run's events; called for each of them after it was stored."""
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        if event.event_type_value in _BEGUN:
            self._begin_step(event.step_key)
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            made = event.step_materialization_data.materialization
            self._seconds[made.asset_key.to_user_string()] = _seconds_of(made.metadata)
        elif event.event_type_value == "ASSET_CHECK_EVALUATION":
            self._checked[event.asset_check_evaluation_data.asset_key.to_user_string()] = None
        elif event.event_type_value in _ENDED and self._step_begin:
            self._end_step(event.step_key, self._step_begin)

    def close(self) -> None:
        """Report what is left: the last steps, and what the run used outside of its steps."""
        now = Reading.now()
        whole = self._used_between(self._begin, now)
        rest = {name: max(quantity - self._in_steps[name], 0) for name, quantity in whole.items()}
        self._finished.append(StepUsage(None, _utc(self._begin.at), _utc(now.at), rest))
        self._report()

    def _begin_step(self, step: str) -> None:
        if self._finished and (step == "__".join(COST_OF_RUNS.path) or self._is_due()):
            self._report()
        self._step_begin, self._seconds, self._checked = Reading.now(), {}, {}

    def _end_step(self, step: str, begin: Reading) -> None:
        now = Reading.now()
        used = self._used_between(begin, now)
        self._in_steps.update(used)
        shares = shares_of_assets(self._seconds or self._checked)
        self._finished.append(StepUsage(step, _utc(begin.at), _utc(now.at), used, shares))
        self._step_begin = None
        if self._is_due():
            self._report()

    def _used_between(self, begin: Reading, end: Reading) -> dict[str, float]:
        cores, memory_gb = task_size()
        return resources_used(
            self._env,
            seconds=end.at - begin.at,
            cpu_seconds=end.cpu_seconds - begin.cpu_seconds,
            cores=cores,
            memory_gb=memory_gb,
            requests=end.requests - begin.requests,
        )

    def _is_due(self) -> bool:
        return time.time() - self._reported_at.at > _REPORT_EVERY

    def _report(self) -> None:
        """Report what has ended; a storage that fails now costs figures, never the run."""
        try:
            self._report_finished()
        except Exception as error:  # noqa: BLE001
            _LOG.warning("What the run %s used could not be reported: %s", self._run_id, error)

    def _report_finished(self) -> None:
        run = self._instance.get_run_by_id(self._run_id)
        if run is None:  # it was never created: nothing ran
            return
        usage = RunUsage(self._run_id, self._reports, run.job_name, REBUILD in run.tags, self._finished)
        self._reports, self._finished, self._reported_at = self._reports + 1, [], Reading.now()
        metadata = {_USAGE: dg.MetadataValue.json(usage_to_json(usage))}
        observed = AssetObservationData(dg.AssetObservation(COST_OF_RUNS, metadata=metadata))
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_OBSERVATION.value,
            job_name=run.job_name,
            event_specific_data=observed,
            message=f"Used by {len(usage.steps)} steps.",
        )
        self._instance.report_dagster_event(event, run_id=self._run_id)


def _utc(moment: float) -> dt.datetime:
    """A time as the warehouse stores it."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).replace(tzinfo=None)


def _seconds_of(metadata: Mapping[str, Any]) -> float | None:
    """How long dbt says that a model took."""
    found = metadata.get(_DBT_SECONDS)
    return float(found.value) if found is not None else None


def usage_of(record: dg.EventLogRecord) -> RunUsage | None:
    """The report in an observation; None if it holds none."""
    found = record.asset_observation.metadata.get(_USAGE) if record.asset_observation else None
    return usage_from_json(found.value) if isinstance(found, dg.JsonMetadataValue) else None  # type: ignore[arg-type]


@contextmanager
def measured_steps(
    instance: dg.DagsterInstance, run_id: str, env: Env, *, since: Reading | None = None
) -> Iterator[None]:
    """Measure and report the steps of a run that this block executes. `since`: what else counts to the run, by default nothing."""
    meter = StepMeter(instance, run_id, env, since=since or Reading.now())
    instance.add_event_listener(run_id, meter.on_event)
    try:
        yield
    finally:
        meter.close()


class MeasuringExecutor(Executor):
    """Dagster's in-process executor; what its steps use is measured. The process is that of the run, its start included."""

    def __init__(self, inner: Executor, env: Env) -> None:
        self._inner, self._env = inner, env

    @property
    def retries(self) -> RetryMode:
        """As of the executor inside."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As of the executor inside."""
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Execute the steps."""
        since = Reading.at_start_of_process()
        with measured_steps(plan_context.instance, plan_context.run_id, self._env, since=since):
            yield from self._inner.execute(plan_context, execution_plan)


def measuring_executor(env: Env) -> dg.ExecutorDefinition:
    """The executor of all jobs. Its name stays Dagster's: it is the key of its settings in a run's configuration."""

    @dg.executor(name="in_process", config_schema=IN_PROC_CONFIG)
    def in_process(context: dg.InitExecutorContext) -> MeasuringExecutor:
        inner = _core_in_process_executor_creation(context.executor_config)
        return MeasuringExecutor(inner, env)

    return in_process
