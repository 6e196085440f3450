"""The figures of `recsys costs`: costs by day and resource, the dearest assets, costs per unit.

Belongs here: reading `marts.fct_costs` and `marts.rpt_cost_daily`. Does not: printing, budgets (budget.py), estimates (rebuild.py).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from recsys_platform.common.errors import WarehouseError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.costs.budget import DAILY, Budget, BudgetSettings, budget_of_month
from recsys_platform.reports.costs.rebuild import RebuildEstimate, rebuild_estimate
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

DAYS = 30
NO_COSTS = "There are no costs yet: run `recsys run`."
_DAYS, _ASSETS, _UNITS, _READERS = (
    read_sql("recsys_platform.reports", name)
    for name in ("cost_by_day", "dearest_assets", "cost_per_unit", "readers_of_month")
)


@dataclass(frozen=True)
class DayCost:
    """US dollars of a resource on a day."""

    cost_on: dt.date
    resource: str
    cost: Decimal


@dataclass(frozen=True)
class AssetCost:
    """US dollars of an asset, and the runs that made or checked it."""

    asset: str
    cost: Decimal
    runs: int

    @property
    def cost_per_run(self) -> Decimal:
        """US dollars of one run."""
        return self.cost / self.runs if self.runs else Decimal()


@dataclass(frozen=True)
class UnitCost:
    """US dollars of a segment (a stage, surface, model or variant), and of 1,000 recommendations if there were some."""

    segmented_by: str
    segment: str
    cost: Decimal
    recommendations: int

    @property
    def cost_per_1000_recommendations(self) -> float | None:
        """None without recommendations."""
        return 1000 * float(self.cost) / self.recommendations if self.recommendations else None


@dataclass(frozen=True)
class CostFigures:
    """Costs of the days from `since` to `until`. `active_readers`: signed-in readers of 30 days, on the newest day with events."""

    since: dt.date
    until: dt.date
    total: Decimal
    days: Sequence[DayCost]
    dearest: Sequence[AssetCost]
    units: Sequence[UnitCost]
    active_readers: int
    budget: Budget
    rebuild: RebuildEstimate | None

    @property
    def cost_per_active_reader(self) -> float | None:
        """US dollars of 30 days, as the readers are those of 30 days; None without readers."""
        days = (self.until - self.since).days + 1
        return float(self.total) / days * 30 / self.active_readers if self.active_readers else None

    @property
    def cost_per_1000_recommendations(self) -> float | None:
        """All costs ÷ all recommendations; None without recommendations."""
        return next((each.cost_per_1000_recommendations for each in self.units if each.segmented_by == "all"), None)


def cost_figures(
    warehouse: Warehouse, settings: BudgetSettings, today: dt.date, *, days: int = DAYS, assets: int = 10
) -> CostFigures:
    """The figures of the last days; those of unattributed costs are among them, so that parts add up to the total.

    Raises `WarehouseError` if the marts of costs were not built yet.
    """
    if DAILY not in relation_names(warehouse):
        raise WarehouseError(NO_COSTS)
    since = today - dt.timedelta(days=days - 1)
    by_day = [DayCost(**row) for row in warehouse.frame(_DAYS, [since, today]).to_pylist()]
    readers: Any = warehouse.frame(_READERS, [since, today])["readers"][0].as_py()
    return CostFigures(
        since=since,
        until=today,
        total=sum((each.cost for each in by_day), Decimal()),
        days=by_day,
        dearest=[AssetCost(**row) for row in warehouse.frame(_ASSETS, [since, today, assets]).to_pylist()],
        units=[UnitCost(**row) for row in warehouse.frame(_UNITS, [since, today, since, today]).to_pylist()],
        active_readers=readers or 0,
        budget=budget_of_month(warehouse, settings, today),
        rebuild=rebuild_estimate(warehouse),
    )
