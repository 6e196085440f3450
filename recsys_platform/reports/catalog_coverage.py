"""Coverage and concentration of what readers are shown and read, week by week, and whether the choice narrows.

Belongs here: reading `marts.rpt_catalog_coverage`, the rule of the warning. Does not: how the measures are computed (the mart).
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median

from recsys_platform.common.sql_files import read_sql
from recsys_platform.warehouse.port import Warehouse

WEEKS_BEFORE = 8
"""A week is compared with the median of so many weeks before it."""
LEAST_PAIRS = 100
"""Pairs of exposures of the same book that a week needs to be judged: its effective number of books is then precise to a tenth."""
LEAST_SHARE = 0.5
"""Share of the median of the weeks before that the total of a week needs to be judged: few readers are shown few books."""
_WEEKS = read_sql("recsys_platform.reports", "catalog_weeks")


@dataclass(frozen=True)
class CatalogWeek:
    """One week of exposures or reads of one model, or of `all`. Columns as in `marts.rpt_catalog_coverage`."""

    counted: str
    model: str
    total: int
    books: int
    catalog_books: int
    coverage: float
    gini: float
    top_tenth_share: float
    same_book_pairs: int
    effective_books: float | None
    is_complete: bool
    week_start: dt.date


@dataclass(frozen=True)
class Narrowing:
    """A measure of a week that fell to `now` from `before`, the median of the `weeks` before it."""

    week: CatalogWeek
    measure: str
    now: float
    before: float
    weeks: int

    @property
    def sentence(self) -> str:
        """What narrowed, and by how much."""
        counted, model = self.week.counted.capitalize(), self.week.model
        of_model = "" if model == "all" else f" of {model}"
        now, before = (
            (f"cover {self.now:.1%} of the item catalog", f"{self.before:.1%}")
            if self.measure == "coverage"
            else (f"are as concentrated as {self.now:,.1f} books of equal share", f"{self.before:,.1f}")
        )
        return (
            f"{counted}{of_model} in the week of {self.week.week_start} {now}; the median of the weeks before "
            f"({self.weeks}) is {before}."
        )


def catalog_weeks(warehouse: Warehouse) -> list[CatalogWeek]:
    """All weeks of the mart, by kind of count and model, oldest first."""
    return [CatalogWeek(**row) for row in warehouse.frame(_WEEKS).to_pylist()]


def judged_series(weeks: Sequence[CatalogWeek]) -> list[list[CatalogWeek]]:
    """The weeks of each kind of count and model that can be compared: complete, with enough pairs, and the newest week among them.

    `weeks`: in the order of `catalog_weeks`. A model that shows nothing any more, or less than half as much as before, is not judged.
    """
    newest = max((week.week_start for week in weeks if week.is_complete), default=None)
    fit = (week for week in weeks if week.is_complete and week.same_book_pairs >= LEAST_PAIRS)
    series = (list(of_model) for _, of_model in groupby(fit, lambda week: (week.counted, week.model)))
    return [each for each in series if len(each) > 1 and each[-1].week_start == newest and _is_as_busy_as_before(each)]


def narrowings(weeks: Sequence[CatalogWeek], *, rise: float) -> list[Narrowing]:
    """What narrowed in the newest complete week by more than a factor `rise`: the effective number of books, or the coverage.

    Coverage grows with the number of exposures, so it is compared only if that did not fall.
    """
    return [found for series in judged_series(weeks) for found in _narrowings_of(series, rise)]


def _is_as_busy_as_before(series: Sequence[CatalogWeek]) -> bool:
    return series[-1].total >= LEAST_SHARE * _usual_total(series)


def _usual_total(series: Sequence[CatalogWeek]) -> float:
    """The median of the weeks before the newest."""
    return median(week.total for week in series[-1 - WEEKS_BEFORE : -1])


def _narrowings_of(series: Sequence[CatalogWeek], rise: float) -> Iterator[Narrowing]:
    now, before = series[-1], series[-1 - WEEKS_BEFORE : -1]
    values = {"effective_books": (now.effective_books or 0, [week.effective_books or 0 for week in before])}
    if now.total >= _usual_total(series):
        values["coverage"] = (now.coverage, [week.coverage for week in before])
    for measure, (value, earlier) in values.items():
        if value * rise < median(earlier):
            yield Narrowing(now, measure, value, median(earlier), len(before))
