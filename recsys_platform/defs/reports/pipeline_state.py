"""What the KPI page tells of Dagster: freshness, failed checks, how long runs took."""

import datetime as dt

import dagster as dg

from recsys_platform.defs.automation.outline import Outline
from recsys_platform.defs.automation.state import failed_checks, layer_states
from recsys_platform.reports.kpi_page.content import FinishedRun, LayerState, PipelineState

RUN_DAYS = 30
_MOST_RUNS = 5_000
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def pipeline_state_of(outline: Outline, instance: dg.DagsterInstance, now: dt.datetime) -> PipelineState:
    """Read what an instance knows of a world. `now`: UTC with its time zone."""
    layers = [LayerState(each.name, each.newest, each.assets, each.missing) for each in layer_states(outline, instance)]
    since = now - dt.timedelta(days=RUN_DAYS)
    records = instance.get_run_records(dg.RunsFilter(statuses=_ENDED, created_after=since), limit=_MOST_RUNS)
    runs = [
        _finished_run(each, each.start_time, each.end_time) for each in records if each.start_time and each.end_time
    ]
    return PipelineState(layers, failed_checks(outline, instance), runs, RUN_DAYS)


def _finished_run(record: dg.RunRecord, start: float, end: float) -> FinishedRun:
    started_at = dt.datetime.fromtimestamp(start, dt.UTC)
    return FinishedRun(started_at, end - start, record.dagster_run.status is dg.DagsterRunStatus.FAILURE)
