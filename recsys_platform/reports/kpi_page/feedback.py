"""Coverage and concentration of the page: whether what readers are shown narrows to few books.

Belongs here: the charts and sentences. Does not: the measures (marts.rpt_catalog_coverage).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recsys_platform.common.sql_files import read_sql
from recsys_platform.reports.kpi_page.charts import STYLES, Chart, Series, line_chart
from recsys_platform.reports.kpi_page.content import Feedback
from recsys_platform.reports.kpi_page.scorecard import count_text
from recsys_platform.warehouse.port import Warehouse

COVERAGE = "marts.rpt_catalog_coverage"
NO_EXPOSURES = "No week of exposures is known yet: load events of lists that were shown and run `recsys run`."
_COVERAGE_SQL = read_sql("recsys_platform.reports", "coverage_by_week")
_WEEKS = 26
Row = Mapping[str, Any]


def feedback_section(warehouse: Warehouse, relations: set[str]) -> Feedback:
    """Coverage and concentration of exposures and reads by week. `relations`: the tables and views that there are."""
    rows = warehouse.frame(_COVERAGE_SQL, [_WEEKS]).to_pylist() if COVERAGE in relations else []
    if not rows:
        return Feedback(NO_EXPOSURES)
    newest = [row for row in rows if row["week_start"] == rows[-1]["week_start"]]
    charts = [
        _weekly_chart(rows, "Share of the item catalog", "coverage", "{:.0%}".format),
        _weekly_chart(rows, "As concentrated as so many books of equal share", "effective_books", count_text),
    ]
    return Feedback(None, [_sentence(row) for row in newest], charts)


def _sentence(row: Row) -> str:
    return (
        f"Week of {row['week_start']}{'' if row['is_complete'] else ' (not complete)'}: {row['total']:,} {row['counted']} of"
        f" {row['books']:,} books, {row['coverage']:.0%} of the item catalog; the most frequent tenth of it has"
        f" {row['top_tenth_share']:.0%} of them."
    )


def _weekly_chart(rows: Sequence[Row], title: str, column: str, text: Callable[[float], str]) -> Chart:
    weeks = sorted({row["week_start"] for row in rows})
    found = {(row["counted"], row["week_start"]): row[column] for row in rows}
    series = [
        Series(counted, [found.get((counted, week)) for week in weeks], style)
        for counted, style in zip(("exposures", "reads"), STYLES, strict=False)
    ]
    return line_chart(title, weeks, series, text=text)
