"""`recsys report`: write the KPI page."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from recsys_platform.cli.console import OUT
from recsys_platform.cli.refresh import build_definitions
from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import InputError, WarehouseHeldError
from recsys_platform.config.factories import hub_of, prepare_home, reading_copy_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings

if TYPE_CHECKING:  # they import Dagster and pyarrow, which takes seconds
    from recsys_platform.reports.kpi_page.content import PipelineState
    from recsys_platform.warehouse.port import Warehouse


def report(
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="File to write; by default `reports/kpis.html` in the hub.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write one HTML page with KPIs and targets, experiments, model quality, pipeline health and cost; it works offline."""
    settings = load_settings()
    if open_page and output is None and settings.hub:
        raise InputError("The page would be written to S3, where a browser cannot open it: name a file with --output.")
    prepare_home(settings)
    page = _page_text(settings)
    place = _write_file(output, page) if output else _write_to_hub(settings, page)
    OUT.print(f"written to {escape(place)}", soft_wrap=True)
    if open_page and not webbrowser.open(Path(place).resolve().as_uri()):
        OUT.print("No browser was found: open that file yourself.")


def _page_text(settings: Settings) -> str:
    from recsys_platform.defs.reports.kpi_page import collect_content
    from recsys_platform.reports.kpi_page.page import kpi_page

    state, now = _pipeline_state(settings), utc_now()
    try:
        content = collect_content(settings, _warehouse_if_any(settings), state, now)
    except WarehouseHeldError:
        content = collect_content(settings, reading_copy_of(settings), state, now)
    return kpi_page(content)


def _warehouse_if_any(settings: Settings) -> "Warehouse | None":
    is_missing = settings.env == "local" and not settings.warehouse_path.exists()
    return None if is_missing else warehouse_of(settings)


def _pipeline_state(settings: Settings) -> "PipelineState":
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.automation.outline import stored_outline, write_outline
    from recsys_platform.defs.reports.pipeline_state import pipeline_state_of

    outline = stored_outline(settings) or write_outline(settings, build_definitions(settings))
    with instance_of(settings) as instance:
        return pipeline_state_of(outline, instance, utc_now())


def _write_file(path: Path, page: str) -> str:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}. Name another file with --output.") from error
    return str(path)


def _write_to_hub(settings: Settings, page: str) -> str:
    from recsys_platform.reports.kpi_page.page import KPI_PAGE

    hub = hub_of(settings)
    hub.put(KPI_PAGE, page.encode())
    return hub.where(KPI_PAGE)
