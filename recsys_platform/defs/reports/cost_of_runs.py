"""`ops.cost_of_runs` as an asset: what runs, storage and Snowflake used, brought up to date from where it was left.

Belongs here: collecting. Does not: measuring (step_meter.py), what the rows mean (reports/costs/usage.py).
"""

import datetime as dt

import dagster as dg

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import WarehouseError
from recsys_platform.config.settings import Settings
from recsys_platform.defs.automation.conditions import NIGHTLY
from recsys_platform.defs.pools import WAREHOUSE_WRITER
from recsys_platform.defs.reports.step_meter import COST_OF_RUNS, usage_of
from recsys_platform.reports.costs.budget import Budget, budget_of_month, require_budget
from recsys_platform.reports.costs.usage import (
    collect_credits,
    collect_storage,
    collected_until,
    replace_usage,
    usage_rows,
)
from recsys_platform.warehouse.port import Warehouse

CHECK = "the_cost_of_the_month_is_within_the_budget"
EXCEEDED = "the_budget_of_the_month_is_not_exceeded"
_PAGE = 500
_CREDIT_DAYS = 2
"""Days whose credits are collected again: Snowflake's views are hours late."""


@dg.asset(
    key=COST_OF_RUNS,
    deps=[dg.AssetKey(["serving", "snapshot"])],
    check_specs=[
        dg.AssetCheckSpec(CHECK, asset=COST_OF_RUNS, description="RECSYS_BUDGET_MONTH is not almost spent; a warning."),
        dg.AssetCheckSpec(EXCEEDED, asset=COST_OF_RUNS, description="Not more than RECSYS_BUDGET_MONTH is spent."),
    ],
    group_name="reports",
    kinds={"duckdb"},
    pool=WAREHOUSE_WRITER,
    automation_condition=NIGHTLY,
)
def cost_of_runs(
    context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """What each step of each run used, the storage of each day, Snowflake's credits (`recsys costs`)."""
    now = utc_now()
    rows, notes = collect_costs(context.instance, warehouse, settings, now)
    budget = budget_of_month(warehouse, settings, now.date())
    checks = [
        _check_of_budget(CHECK, budget, not budget.is_almost_spent, dg.AssetCheckSeverity.WARN),
        _check_of_budget(EXCEEDED, budget, not budget.is_exceeded, dg.AssetCheckSeverity.ERROR),
    ]
    return dg.MaterializeResult(metadata={"rows": rows, "notes": " ".join(notes)}, check_results=checks)


def _check_of_budget(name: str, budget: Budget, passed: bool, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=passed,
        severity=severity,
        metadata={"spent": float(budget.spent), "budget": float(budget.usd or 0)},
        description=budget.sentence,
    )


def collect_costs(
    instance: dg.DagsterInstance, warehouse: Warehouse, settings: Settings, now: dt.datetime
) -> tuple[int, list[str]]:
    """Bring `ops.cost_of_runs` up to date; returns the rows written, and a sentence for each part that is not known.

    `now`: UTC with its time zone. What was collected before is neither read nor written again, but for the last hour of runs and the
    last days of credits.
    """
    since = collected_until(warehouse)
    rows = _collect_runs(instance, warehouse, since)
    rows += collect_storage(warehouse, settings.env, now.date(), settings.keep_landing_days)
    if settings.env != "aws":
        return rows, []
    first_day = (since or now - dt.timedelta(days=settings.keep_runs_days)).date()
    names = (settings.snowflake_warehouse, *(f"{settings.snowflake_database}_{each}" for each in ("serve", "analysis")))
    try:
        return rows + collect_credits(warehouse, names, first_day - dt.timedelta(days=_CREDIT_DAYS)), []
    except WarehouseError as error:
        note = f"The credits of Snowflake are not known: {error} `recsys snowflake setup-scripts` writes the grant that reads them."
        return rows, [note]


def require_budget_now(instance: dg.DagsterInstance, warehouse: Warehouse, settings: Settings) -> str | None:
    """Ask whether the budget allows to rebuild everything, by what is collected until now; returns a warning if it does not.

    Raises `BudgetError` if it does not, and RECSYS_BUDGET_REFUSES is `on`.
    """
    if settings.budget_month is None:
        return None
    now = utc_now()
    collect_costs(instance, warehouse, settings, now)
    return require_budget(warehouse, settings, now.date())


def _collect_runs(instance: dg.DagsterInstance, warehouse: Warehouse, since: dt.datetime | None) -> int:
    """Write the reports of runs, a page of them at a time."""
    after = since.replace(tzinfo=dt.UTC).timestamp() if since else None
    found, cursor, rows = dg.AssetRecordsFilter(COST_OF_RUNS, after_timestamp=after), None, 0
    while True:
        page = instance.fetch_observations(found, limit=_PAGE, cursor=cursor, ascending=True)
        reports = [usage for record in page.records if (usage := usage_of(record))]
        rows += replace_usage(warehouse, usage_rows(reports))
        if not page.has_more:
            return rows
        cursor = page.cursor
