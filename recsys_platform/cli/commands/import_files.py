"""Commands that bring data in from files: `import`, `import-events`."""

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recsys_platform.cli.commands import import_options as options
from recsys_platform.cli.console import ERR, OUT, progress_bar
from recsys_platform.cli.worlds import holds_simulation, open_world
from recsys_platform.common.clock import utc_today
from recsys_platform.common.errors import InputError
from recsys_platform.config.factories import hub_of

if TYPE_CHECKING:
    from recsys_platform.sources.file_options import ImportOptions


def import_files(
    interactions: options.Interactions,
    books: options.Books,
    users: options.Users = None,
    column: options.Columns = None,
    book_column: options.BookColumns = None,
    no_header: options.NoHeader = None,
    rating_scale: options.RatingScale = None,
    unrated: options.Unrated = None,
    decimal_comma: options.DecimalComma = False,
    time_format: options.TimeFormats = None,
    last_day: options.LastDay = None,
    event: options.Events = None,
    encoding: options.Encoding = "utf-8",
    date: options.Date = None,
    dry_run: options.DryRun = False,
) -> None:
    """Import your own interactions, books and users into the hub, as landing objects and attribute snapshots.

    Files are CSV (with commas, tabs, semicolons or bars), JSON Lines or Parquet, also gzipped; the content tells which.
    """
    from recsys_platform.sources.file_options import parse_options

    file_options = parse_options(
        columns=column or (), book_columns=book_column or (), headerless=no_header or (), rating_scale=rating_scale, unrated=unrated,
        decimal_comma=decimal_comma, time_formats=time_format or (), last_day=last_day.date() if last_day else None,
        events=event or (), encoding=encoding,
    )  # fmt: skip
    day = date.date() if date else utc_today() - dt.timedelta(days=1)
    _import_into_hub(file_options, interactions=interactions, books=books, users=users, date=day, dry_run=dry_run)


def _import_into_hub(
    file_options: "ImportOptions", *, interactions: Path, books: Path, users: Path | None, date: dt.date, dry_run: bool
) -> None:
    from recsys_platform.cli.output.import_files import print_imported_files
    from recsys_platform.sources.file_import import import_files as write_landing_objects

    settings = open_world()
    if holds_simulation(settings):
        raise InputError(
            f"{settings.home} holds a simulated world, which your own data would mix with: set RECSYS_HOME to another folder."
        )
    with progress_bar() as bar:
        task = bar.add_task("writing landing objects", total=None, visible=False)
        done = write_landing_objects(
            hub_of(settings),
            interactions=interactions,
            books=books,
            users=users,
            date=date,
            options=file_options,
            preview=lambda line: OUT.print(line, soft_wrap=True, markup=False),
            dry_run=dry_run,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    print_imported_files(OUT, done, dry_run=dry_run)


def import_events(
    place: Annotated[str, typer.Argument(metavar="SOURCE", help="A file, a folder or s3://bucket/prefix.")],
    source: Annotated[
        Literal["segment", "pinpoint", "matomo"] | None,
        typer.Option(help="The tracker; default: from `source=…` or `segment-logs` in the path."),
    ] = None,
    arrived_at: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Arrival time (UTC) of records where neither the path (YYYY/MM/DD/HH) nor the record itself has one.",
        ),
    ] = None,
) -> None:
    """Import events that Firehose, Segment or Matomo wrote elsewhere into the hub, exactly once."""
    from recsys_platform.cli.output.import_files import print_imported_events
    from recsys_platform.sources.event_import import import_events as write_landing_objects

    settings = open_world()
    with progress_bar() as bar:
        task = bar.add_task("writing landing objects", total=None)
        done = write_landing_objects(
            hub_of(settings),
            place,
            source=source,
            arrived_at=arrived_at,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print_imported_events(OUT, ERR, done)
    if done.refused:
        sys.exit(1)
