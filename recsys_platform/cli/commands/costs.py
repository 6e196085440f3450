"""`recsys costs`: what the platform cost, what a rebuild would cost, and what it would cost at other sizes."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_platform.cli.console import ERR, OUT
from recsys_platform.cli.worlds import open_world, prepared_warehouse
from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import WarehouseHeldError
from recsys_platform.config.factories import reading_copy_of, warehouse_of
from recsys_platform.config.settings import Settings

if TYPE_CHECKING:  # it imports pyarrow
    from recsys_platform.reports.costs.figures import CostFigures


def costs(
    days: Annotated[int, typer.Option(min=1, help="Number of days to add up.")] = 30,
    at: Annotated[
        str | None,
        typer.Option(metavar="EVENTS", help="Estimate a month at so many events a day instead: 10M, 100M, 1B."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show costs by day, the ten dearest assets, costs per unit, the budget, and what a full rebuild would cost."""
    if at:
        _print_sizing(at, as_json=as_json)
        return
    from recsys_platform.cli.output.costs import figures_as_json, print_costs

    settings = open_world()
    found, notes = _figures(settings, days)
    if as_json:
        OUT.print_json(json.dumps(figures_as_json(found)))
    else:
        print_costs(OUT, found)
    for note in notes:
        ERR.print(note, soft_wrap=True, markup=False)


def _print_sizing(at: str, *, as_json: bool) -> None:
    from recsys_platform.cli.output.costs import print_sizing, sizing_as_json
    from recsys_platform.reports.costs.sizing import monthly_cost, parse_events, read_prices

    found = monthly_cost(parse_events(at), read_prices())
    if as_json:
        OUT.print_json(json.dumps(sizing_as_json(found)))
    else:
        print_sizing(OUT, found)


def _figures(settings: Settings, days: int) -> "tuple[CostFigures, list[str]]":
    """The figures, and sentences about what is not known; what runs reported since the last time is collected first."""
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.reports.cost_of_runs import collect_costs
    from recsys_platform.reports.costs.figures import cost_figures

    now = utc_now()
    try:
        warehouse = prepared_warehouse(settings)
        with instance_of(settings) as instance:
            _, notes = collect_costs(instance, warehouse, settings, now)
        return cost_figures(warehouse_of(settings), settings, now.date(), days=days), notes
    except WarehouseHeldError:
        figures = cost_figures(reading_copy_of(settings), settings, now.date(), days=days)
        return figures, ["A run is writing the warehouse: these are the costs that were collected before it."]
