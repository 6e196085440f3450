"""Commands that only read: `status`, `show`, `kpis`."""

from typing import Annotated

import typer

from recsys_platform.cli.console import ERR, OUT
from recsys_platform.cli.refresh import build_definitions
from recsys_platform.common.errors import WarehouseHeldError
from recsys_platform.config.factories import reading_copy_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings


def status(
    metrics: Annotated[
        bool,
        typer.Option("--metrics", help="Print the metrics of the platform in the text format of Prometheus instead."),
    ] = False,
) -> None:
    """Show what is loaded and rejected, how fresh each layer is, which lists are live, what runs and what is switched on."""
    if metrics:
        return _print_metrics(load_settings())
    from recsys_platform.cli.disk_usage import disk_usage
    from recsys_platform.cli.output.status import (
        print_disk_usage,
        print_overview,
        print_running,
        print_state,
        print_warehouse_in_use,
    )
    from recsys_platform.defs.automation.state import state_of

    settings = load_settings()
    state = state_of(settings, build_definitions)
    print_running(OUT, state)
    try:
        print_overview(OUT, settings, warehouse_of(settings))
    except WarehouseHeldError:
        if print_warehouse_in_use(OUT, settings.analytics_path):
            print_overview(OUT, settings, reading_copy_of(settings))
    print_state(OUT, state)
    print_disk_usage(OUT, disk_usage(settings))


def _print_metrics(settings: Settings) -> None:
    """Print what can be measured; what cannot be read is named on stderr."""
    from recsys_platform.defs.automation.metrics import metrics_of_world
    from recsys_platform.monitoring.prometheus import prometheus_text

    samples, errors = metrics_of_world(settings, build_definitions)
    typer.echo(prometheus_text(samples, settings.deployment), nl=False)
    for error in errors:
        ERR.print(error)


def show(
    reader: Annotated[
        str, typer.Argument(help="A user id of marts.dim_users; any other id is treated as a new reader.")
    ],
    length: Annotated[int, typer.Option(min=1, help="Number of books to list.")] = 10,
    language: Annotated[str | None, typer.Option(help="Language of a new reader.")] = None,
) -> None:
    """Show a reader's recommendations with titles and reasons, from the published lists of the live model."""
    from recsys_platform.cli.output.show import print_recommendations
    from recsys_platform.reports.recommendations import recommendations_for

    settings = load_settings()
    try:
        found = recommendations_for(warehouse_of(settings), reader, length=length, language=language)
    except WarehouseHeldError:
        found = recommendations_for(reading_copy_of(settings), reader, length=length, language=language)
    print_recommendations(OUT, reader, found)


def kpis(
    months: Annotated[int, typer.Option(min=1, help="Number of months to print.")] = 3,
    definitions: Annotated[bool, typer.Option("--definitions", help="Also print what each KPI counts.")] = False,
) -> None:
    """Show the KPI scorecard of the last months: retention, conversion, click-through rate, revenue, with targets."""
    from recsys_platform.cli.output.kpis import print_scorecard
    from recsys_platform.reports.kpis import kpi_scorecard

    settings = load_settings()
    try:
        found = kpi_scorecard(warehouse_of(settings), months=months)
    except WarehouseHeldError:
        found = kpi_scorecard(reading_copy_of(settings), months=months)
    print_scorecard(OUT, found, definitions=definitions)
