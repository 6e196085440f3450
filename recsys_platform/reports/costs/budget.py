"""The budget of a calendar month: what is spent and left, when it warns, and when it refuses a rebuild."""

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from recsys_platform.common.errors import BudgetError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.costs.rebuild import rebuild_estimate
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

DAILY = "marts.rpt_cost_daily"
_SPENT = read_sql("recsys_platform.reports", "cost_between")
OVER_BUDGET = "recsys run --all --over-budget"


class BudgetSettings(Protocol):
    """The settings of the budget."""

    @property
    def budget_month(self) -> float | None:
        """US dollars of a calendar month; None for no budget."""

    @property
    def budget_warn_at(self) -> float:
        """Share of it from which there is a warning."""

    @property
    def budget_refuses(self) -> str:
        """`on` if a rebuild that would exceed it is refused."""


@dataclass(frozen=True)
class Budget:
    """A month's budget in US dollars. `usd`: None without one."""

    spent: Decimal
    usd: Decimal | None
    warn_at: Decimal

    @property
    def left(self) -> Decimal | None:
        """What is left; below 0 if it is exceeded."""
        return None if self.usd is None else self.usd - self.spent

    @property
    def is_almost_spent(self) -> bool:
        """Whether to warn."""
        return self.usd is not None and self.spent >= self.warn_at * self.usd

    @property
    def is_exceeded(self) -> bool:
        """Whether more than the budget is spent."""
        return self.left is not None and self.left < 0

    @property
    def sentence(self) -> str:
        """What is spent and left."""
        spent = f"{dollars(self.spent)} spent this month"
        if self.usd is None or self.left is None:
            return f"{spent}; there is no budget (RECSYS_BUDGET_MONTH)."
        over = "is exceeded" if self.left < 0 else f"has {dollars(self.left)} left"
        return f"{spent}: the budget of {dollars(self.usd)} (RECSYS_BUDGET_MONTH) {over}."


def dollars(amount: Decimal | float) -> str:
    """An amount in US dollars: cents, or two significant digits if it is below a dollar.

    >>> dollars(1234.5), dollars(0.01234), dollars(-0.0000118), dollars(0)
    ('$1,234.50', '$0.012', '-$0.000012', '$0')
    """
    size = abs(float(amount))
    if not size:
        return "$0"
    digits = 2 if size >= 1 else 1 - math.floor(math.log10(size))
    return f"{'-' if amount < 0 else ''}${size:,.{digits}f}"


def spent_between(warehouse: Warehouse, first: dt.date, last: dt.date) -> Decimal:
    """US dollars of some days, both ends included; 0 before the marts were built."""
    if DAILY not in relation_names(warehouse):
        return Decimal()
    return Decimal(warehouse.frame(_SPENT, [first, last])["cost"][0].as_py() or 0)


def budget_of_month(warehouse: Warehouse, settings: BudgetSettings, today: dt.date) -> Budget:
    """The budget of the calendar month of a day, and what was spent until then."""
    usd = None if settings.budget_month is None else Decimal(str(settings.budget_month))
    return Budget(spent_between(warehouse, today.replace(day=1), today), usd, Decimal(str(settings.budget_warn_at)))


def require_budget(warehouse: Warehouse, settings: BudgetSettings, today: dt.date) -> str | None:
    """Ask whether the budget allows to rebuild everything; returns a warning if that would exceed it.

    Raises `BudgetError` if it would, and RECSYS_BUDGET_REFUSES is `on`.
    """
    if settings.budget_month is None:
        return None
    budget, estimate = budget_of_month(warehouse, settings, today), rebuild_estimate(warehouse)
    left = max(budget.left or Decimal(), Decimal())
    if estimate.usd <= left if estimate else left > 0:
        return None
    would_cost = f"would cost about {dollars(estimate.usd)}" if estimate else "costs what no build has told yet"
    sentence = (
        f"A full rebuild {would_cost}, and {dollars(left)} of this month's budget of {dollars(budget.usd or 0)} is left."
        f"{estimate.note if estimate else ''}"
    )
    if settings.budget_refuses == "on":
        raise BudgetError(
            f"{sentence} Wait for the next month, raise RECSYS_BUDGET_MONTH, or rebuild anyway: `{OVER_BUDGET}`."
        )
    return sentence
