"""`recsys catalog`: the tables of the hub, and their definitions for Athena and Hive."""

from typing import Annotated

import typer
from rich.table import Table as Grid

from recsys_platform.cli.console import OUT
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import load_settings

catalog = typer.Typer(help="List the tables of the hub; print them as DDL for Athena or Hive.", no_args_is_help=True)


@catalog.command()
def tables() -> None:
    """List the tables of the data catalog with their format, days, objects and columns."""
    from recsys_platform.catalog.tables import LocalCatalog, entries_of

    grid = Grid("table", "format", "days", "objects", "columns", "version", box=None, header_style="dim")
    for each in entries_of(LocalCatalog(hub_of(load_settings()))):
        counts = (len(each.partitions), each.objects, len(each.columns), each.version)
        grid.add_row(each.name, each.format, *(f"{count:,}" for count in counts))
    OUT.print(grid)


@catalog.command()
def ddl(
    table: Annotated[str | None, typer.Argument(help="A table of `recsys catalog tables`; default: all.")] = None,
    database: Annotated[str, typer.Option(help="Database to create the tables in.")] = "recsys",
) -> None:
    """Print the SQL that creates external tables and partitions in Athena or Hive, for a hub in S3."""
    from recsys_platform.catalog.athena_ddl import statements
    from recsys_platform.catalog.hive_tables import hive_table
    from recsys_platform.catalog.tables import LocalCatalog, entries_of

    hub = hub_of(load_settings())
    for entry in entries_of(LocalCatalog(hub), table):
        for statement in statements(hive_table(hub, entry), database):
            typer.echo(f"{statement};\n")
