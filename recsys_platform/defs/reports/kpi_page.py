"""The KPI page as an asset: KPIs, experiments, model quality, pipeline health and cost on one page of the hub."""

import datetime as dt

import dagster as dg

from recsys_platform.common.clock import to_naive_utc, utc_now
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.factories import site_of
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.automation.outline import outline_of_run
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.reports.pipeline_state import pipeline_state_of
from recsys_platform.experiments.summaries import summarize_experiments
from recsys_platform.hub.object_store import Hub
from recsys_platform.reports.kpi_page.content import Experiments, PageContent, PipelineState
from recsys_platform.reports.kpi_page.page import KPI_PAGE, headlines_of, kpi_page, page_content
from recsys_platform.reports.site import publish_reports
from recsys_platform.serving.routing_files import experiments_of
from recsys_platform.warehouse.port import Warehouse

KPI_PAGE_KEY = dg.AssetKey(["reports", "kpi_page"])
_READ = (
    "marts/rpt_kpi_scorecard",
    "marts/rpt_active_readers",
    "marts/rpt_retention_cohorts",
    "marts/rpt_catalog_coverage",
    "marts/rpt_event_conservation",
    "experiments/readout",
    "marts/rpt_cost_daily",
    "models/evaluation",
    "ops/cost_of_runs",
    "published/model_roles",
)


@dg.asset(
    key=KPI_PAGE_KEY,
    deps=[dg.AssetKey.from_user_string(name) for name in _READ],
    group_name="reports",
    kinds={"html"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
)
def kpi_page_asset(
    context: dg.AssetExecutionContext,
    hub: dg.ResourceParam[Hub],
    warehouse: dg.ResourceParam[Warehouse],
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """One page for people: KPIs with targets, experiments, model quality, pipeline health, cost (`recsys report`)."""
    now = utc_now()
    outline = outline_of_run(context, settings)
    state = pipeline_state_of(outline, context.instance, now) if outline else None
    content = collect_content(settings, warehouse, state, now)
    page = kpi_page(content).encode()
    hub.put(KPI_PAGE, page)
    if settings.site:  # in the same night as the evaluation, which this follows
        publish_reports(hub, site_of(settings))
    told = "\n".join(f"- {each.text}" for each in headlines_of(content))
    return dg.MaterializeResult(
        metadata={"report": hub.where(KPI_PAGE), "bytes": len(page), "summary": dg.MetadataValue.md(told)}
    )


def collect_content(
    settings: Settings, warehouse: Warehouse | None, state: PipelineState | None, now: dt.datetime
) -> PageContent:
    """Read what the page shows. `warehouse`: None if there is none yet. `now`: UTC with its time zone."""
    experiments = _experiments_section(settings, warehouse, now.date())
    return page_content(warehouse, experiments, state, to_naive_utc(now))


def _experiments_section(settings: Settings, warehouse: Warehouse | None, today: dt.date) -> Experiments:
    try:
        found = experiments_of(settings)
    except RecsysError as error:  # the rest of the page does not depend on that file
        return Experiments(f"The experiments cannot be read: {error}")
    return summarize_experiments(warehouse, found, today)
