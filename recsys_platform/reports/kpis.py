"""The KPI scorecard of the last months, as the marts have it.

Belongs here: reading `marts.rpt_kpi_scorecard`, and its values as text. Does not: what a KPI means
(dbt_project/models/marts/_metrics.yml), printing it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from recsys_platform.common.errors import WarehouseError
from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse

_SCORECARD = read_sql("recsys_platform.reports", "kpi_scorecard")
_BUILT = read_sql("recsys_platform.reports", "is_kpi_scorecard_built")
_WITHOUT_VALUE = {"no data": "–", "not reported": "not reported"}


@dataclass(frozen=True)
class KpiMonths:
    """One KPI, or one segment of it, over some months. `months`: rows of the scorecard, oldest first."""

    kpi: str
    segmented_by: str
    segment: str
    months: Sequence[Mapping[str, Any]]

    @property
    def newest(self) -> Mapping[str, Any]:
        """The newest month; its definition and target are those of today."""
        return self.months[-1]

    @property
    def has_counts(self) -> bool:
        """Whether anything was counted or reported in one of the months."""
        return any(month["numerator"] or month["denominator"] for month in self.months)


def kpi_scorecard(warehouse: Warehouse, *, months: int) -> list[KpiMonths]:
    """The last months of every KPI, in order of their names; all have the same months.

    Raises `WarehouseError` if the scorecard was not built yet or has no month.
    """
    built = warehouse.frame(_BUILT)["n"][0].as_py()
    found = kpi_months(warehouse, months=months) if built else []
    if not found:
        raise WarehouseError("There is no KPI scorecard yet: load events and run `recsys run`.")
    return found


def kpi_months(warehouse: Warehouse, *, months: int) -> list[KpiMonths]:
    """The same of a scorecard that was built; empty if it has no month."""
    rows = warehouse.frame(_SCORECARD, [months]).to_pylist()
    grouped = groupby(rows, itemgetter("kpi", "segmented_by", "segment"))
    return [KpiMonths(kpi, by, segment, tuple(of_kpi)) for (kpi, by, segment), of_kpi in grouped]


def without_idle_comparisons(kpis: Sequence[KpiMonths]) -> list[KpiMonths]:
    """The KPIs without comparisons of personalised and not in which one side has no counts: they would only repeat the total."""
    compared = Counter(each.kpi for each in kpis if each.segmented_by == "personalisation" and each.has_counts)
    return [each for each in kpis if each.segmented_by != "personalisation" or compared[each.kpi] > 1]


def segment_text(kpi: KpiMonths) -> str:
    """The name of a segment."""
    return f"surface {kpi.segment}" if kpi.segmented_by == "surface" else kpi.segment


def month_value_text(month: Mapping[str, Any]) -> str:
    """The value of a month, or that there is none."""
    return _WITHOUT_VALUE[month["status"]] if month["value"] is None else amount_text(month["value"], month["unit"])


def target_text(month: Mapping[str, Any]) -> str:
    """The target of a month; empty without one."""
    least, most = (
        None if month[name] is None else amount_text(month[name], month["unit"])
        for name in ("target_min", "target_max")
    )
    if least and most:
        return f"{least} to {most}"
    return f"≥ {least}" if least else f"≤ {most}" if most else ""


def amount_text(value: Any, unit: str) -> str:
    """A value in its unit.

    >>> amount_text(0.4, "share"), amount_text(4.251, "stars"), amount_text(1200, "readers")
    ('40.0%', '4.25', '1,200')
    """
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.2f}" if unit in {"stars", "base currency"} else f"{value:,.0f}"
