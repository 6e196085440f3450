"""The KPI page as text: what is read for it, and how it is put together."""

import datetime as dt
from collections.abc import Iterator
from functools import cache
from typing import Any

from recsys_platform.reports.kpi_page.canary import canary_section
from recsys_platform.reports.kpi_page.content import (
    Cost,
    Experiments,
    Feedback,
    Headline,
    PageContent,
    Pipeline,
    PipelineState,
    Quality,
    Readers,
    Scorecard,
)
from recsys_platform.reports.kpi_page.feedback import NO_EXPOSURES, feedback_section
from recsys_platform.reports.kpi_page.pipeline import LEDGER, NO_COST, NOTHING_LOADED, cost_section, pipeline_section
from recsys_platform.reports.kpi_page.quality import NOT_EVALUATED, quality_section
from recsys_platform.reports.kpi_page.scorecard import NO_READERS, NO_SCORECARD, readers_section, scorecard_section
from recsys_platform.reports.overview import overview
from recsys_platform.warehouse.port import Warehouse
from recsys_platform.warehouse.queries import relation_names

KPI_PAGE = "reports/kpis.html"
"""Its key in the hub."""
_MARKS = {"good": "✓", "bad": "✗", "plain": "•"}
KINDS_OF_VERDICTS = {"ship": "good", "stop: guardrail": "bad", "invalid": "bad"}
"""The words are those of `experiments`, which stands above this package; a test holds them equal."""


def page_content(
    warehouse: Warehouse | None, experiments: Experiments, state: PipelineState | None, now: dt.datetime
) -> PageContent:
    """Read everything else that the page shows, by a bounded number of queries.

    `warehouse`: None if there is none yet. `state`: None if Dagster's state is not known. `now`: UTC.
    Raises `WarehouseError` if the warehouse cannot be read.
    """
    relations = relation_names(warehouse) if warehouse else set()
    if warehouse is None or LEDGER not in relations:
        return PageContent(
            now,
            None,
            Scorecard(NO_SCORECARD),
            Readers(NO_READERS),
            experiments,
            None,
            Quality(NOT_EVALUATED),
            Feedback(NO_EXPOSURES),
            Pipeline(NOTHING_LOADED),
            Cost(NO_COST),
        )
    found = overview(warehouse)
    return PageContent(
        now,
        found.last_event.date() if found.last_event else None,
        scorecard_section(warehouse, relations),
        readers_section(warehouse, relations),
        experiments,
        canary_section(warehouse, relations, now),
        quality_section(warehouse, relations),
        feedback_section(warehouse, relations),
        pipeline_section(warehouse, relations, found, state),
        cost_section(warehouse, relations, state),
    )


def kpi_page(content: PageContent) -> str:
    """The page as HTML: no script, nothing from elsewhere."""
    page: str = _template().render(
        page=content, headlines=list(headlines_of(content)), kind_of_verdict=_kind_of_verdict
    )
    return page


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("recsys_platform.reports")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("kpi_page.html")


def _kind_of_verdict(verdict: str) -> str:
    return KINDS_OF_VERDICTS.get(verdict, "plain")


def headlines_of(page: PageContent) -> Iterator[Headline]:
    """The sentences at the top of the page."""
    yield Headline("•", "plain", page.scorecard.missing or page.scorecard.summary)
    for each in page.experiments.experiments:
        if each.verdict:
            kind = _kind_of_verdict(each.verdict)
            yield Headline(_MARKS[kind], kind, f"{each.name}: {each.sentence}")
    if page.canary:
        yield Headline("•", "plain", f"Canary: {page.canary.summary}")
    yield Headline("•", "plain", page.quality.missing or page.quality.summary)
    failed = len(page.pipeline.failed_checks)
    if failed:
        yield Headline("✗", "bad", f"{failed} check{'s fail' if failed > 1 else ' fails'}: see pipeline health.")
    elif page.pipeline.is_state_known:
        yield Headline("✓", "good", "No check fails.")
