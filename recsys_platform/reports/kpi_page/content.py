"""What the KPI page shows, as texts and charts; a section without data says in `missing` what lacks and what to run."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recsys_platform.reports.kpi_page.charts import Chart, Sparkline


@dataclass(frozen=True)
class KpiRow:
    """One KPI, or a segment of it. `month`: of `value`. `mark`: the sign of the status. `before`: the value a year before."""

    name: str
    value: str
    month: str
    is_provisional: bool
    status: str
    mark: str
    target: str
    before: str
    reported_by: str | None
    sparkline: Sparkline | None


@dataclass(frozen=True)
class SideBySide:
    """One KPI for what is personalised, and for what is not."""

    name: str
    month: str
    is_provisional: bool
    personalised: str
    other: str


@dataclass(frozen=True)
class Scorecard:
    """The KPIs. `segments`: KPIs by surface and the like, under the name of what they are segmented by."""

    missing: str | None = None
    summary: str = ""
    rows: Sequence[KpiRow] = ()
    segments: Mapping[str, Sequence[KpiRow]] = field(default_factory=dict)
    personalised: Sequence[SideBySide] = ()
    charts: Sequence[Chart] = ()
    definitions: Sequence[tuple[str, str, str]] = ()
    """Name, meaning and source of each KPI."""


@dataclass(frozen=True)
class Cohort:
    """Readers who signed up in one week. `shares`: of those who came back, by period; None where history does not tell."""

    week: dt.date
    readers: int
    shares: Sequence[float | None]
    is_complete: Sequence[bool]


@dataclass(frozen=True)
class Readers:
    """Active readers by day and retention of cohorts. `periods`: heads of the columns of the cohorts."""

    missing: str | None = None
    charts: Sequence[Chart] = ()
    summary: str = ""
    periods: Sequence[str] = ()
    cohorts: Sequence[Cohort] = ()


@dataclass(frozen=True)
class ExperimentSummary:
    """One experiment. `state`: planned, running or ended. `rows`, `segments`: of the tables of metrics, by head of column.

    `verdict`: None if there is nothing to read; then `sentence` says why. `is_invalid`: no figure may be used.
    """

    name: str
    state: str
    days: str
    sentence: str
    verdict: str | None = None
    is_invalid: bool = False
    readers: str = ""
    findings: Sequence[str] = ()
    rows: Sequence[Mapping[str, str]] = ()
    segments: Sequence[Mapping[str, str]] = ()
    charts: Sequence[Chart] = ()


@dataclass(frozen=True)
class Experiments:
    """The experiments with a plan. `others`: names of those that were not read, and why."""

    missing: str | None = None
    experiments: Sequence[ExperimentSummary] = ()
    others: str = ""


@dataclass(frozen=True)
class CanaryStep:
    """One step of a canary: since when (UTC) the model had this share of the visitors, who decided, and why."""

    since: dt.datetime
    model: str
    percent: str
    status: str
    decided_by: str
    reason: str


@dataclass(frozen=True)
class Canary:
    """The newest canary and its steps, newest first."""

    summary: str
    steps: Sequence[CanaryStep]
    chart: Chart


@dataclass(frozen=True)
class Feedback:
    """Whether what readers are shown narrows: coverage and concentration by week. `sentences`: what the newest week says."""

    missing: str | None = None
    sentences: Sequence[str] = ()
    charts: Sequence[Chart] = ()


@dataclass(frozen=True)
class ModelRow:
    """A model in the newest evaluation."""

    name: str
    ndcg: str
    interval: str
    coverage: str
    roles: str


@dataclass(frozen=True)
class Quality:
    """Measured quality of the models. `decisions`: version and why it is live, or challenger."""

    missing: str | None = None
    summary: str = ""
    chart: Chart | None = None
    measured: str = ""
    rows: Sequence[ModelRow] = ()
    decisions: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class LayerState:
    """A layer of assets: its newest materialization (UTC), its number of assets, and how many were never materialized."""

    name: str
    newest: dt.datetime | None
    assets: int
    missing: int


@dataclass(frozen=True)
class FinishedRun:
    """A run of Dagster that ended; `started_at` in UTC."""

    started_at: dt.datetime
    seconds: float
    is_failed: bool


@dataclass(frozen=True)
class PipelineState:
    """What Dagster knows of a world. `runs`: those of the last `days` days."""

    layers: Sequence[LayerState]
    failed_checks: Sequence[str]
    runs: Sequence[FinishedRun]
    days: int


@dataclass(frozen=True)
class Pipeline:
    """Loads, quarantine, freshness. `facts`: name and text. `reasons`: of rejected records, with their number."""

    missing: str | None = None
    facts: Sequence[tuple[str, str]] = ()
    reasons: Sequence[tuple[str, int]] = ()
    chart: Chart | None = None
    layers: Sequence[LayerState] = ()
    failed_checks: Sequence[str] = ()
    is_state_known: bool = False


@dataclass(frozen=True)
class Cost:
    """What is known of cost. `missing`: if nothing is."""

    missing: str | None = None
    facts: Sequence[tuple[str, str]] = ()
    chart: Chart | None = None
    not_reported: Sequence[str] = ()


@dataclass(frozen=True)
class Headline:
    """A sentence of the summary at the top. `mark`: its sign; `kind`: good, bad or plain."""

    mark: str
    kind: str
    text: str


@dataclass(frozen=True)
class PageContent:
    """The whole page. `data_until`: the newest day with events."""

    written_at: dt.datetime
    data_until: dt.date | None
    scorecard: Scorecard
    readers: Readers
    experiments: Experiments
    canary: Canary | None
    quality: Quality
    feedback: Feedback
    pipeline: Pipeline
    cost: Cost
