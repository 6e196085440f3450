"""`recsys`: thin commands over the packages; what they do is written there."""

import datetime as dt
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import psutil
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from recsys_platform.cli import import_options as own
from recsys_platform.common.errors import InputError, RecsysError, WarehouseHeldError, is_disk_full
from recsys_platform.common.interrupts import GRACE_SECONDS, INTERRUPTS, end_children, interruptible_command
from recsys_platform.config.factories import hub_of, prepare_home, reading_copy_of, registry_of, warehouse_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.hub.layout import LANDING
from recsys_platform.hub.object_store import Hub
from recsys_platform.warehouse.port import Warehouse

if TYPE_CHECKING:  # Dagster takes a second to import, which few commands need
    from dagster import Definitions  # noqa: TID251 -- for the type alone

    from recsys_platform.defs.automation.run import Refresher
    from recsys_platform.sources.file_options import Reading

app = typer.Typer(
    name="recsys",
    help="From reading events to measured book recommendations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
# Piped into a file or a log there is no width to go by: lines are then wide rather than broken.
_WIDTH = None if sys.stdout.isatty() else 150
OUT, ERR = Console(highlight=False, width=_WIDTH), Console(stderr=True, highlight=False, width=_WIDTH)


def main() -> None:
    """Run a command; what the user can mend is said in one sentence and exits with 1."""
    # Other packages' notes to their developers: they would stand between the lines that the user reads.
    warnings.simplefilter("ignore")
    with interruptible_command() as interrupts:
        try:
            _run_app()
        except BaseException:
            if not interrupts.received:
                raise
        if interrupts.received:
            ERR.print("interrupted")
            sys.exit(interrupts.exit_status)


def _run_app() -> None:
    try:
        app()
    except RecsysError as error:
        _end_with(str(error))
    except Exception as error:
        if not is_disk_full(error):
            raise
        _end_with(
            "No space is left on the device: free some (`recsys cleanup`), then run the command again; nothing is half done."
        )


def _end_with(sentence: str) -> NoReturn:
    ERR.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    sys.exit(1)


@app.command()
def simulate(
    readers: Annotated[int, typer.Option(min=1, help="How many readers there are at the end.")] = 2000,
    books: Annotated[int, typer.Option(min=1, help="How many books there are at the end.")] = 600,
    days: Annotated[int, typer.Option(min=1, help="How many days of events.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same world.")] = 7,
    end: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; default: yesterday.")] = None,
    more: Annotated[bool, typer.Option("--more", help="Let the world that is there go on for --days days.")] = False,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="Days after which there are so many readers and books; default: --days."),
    ] = None,
) -> None:
    """Make a world of readers and books and write its events to the hub as Firehose would: whole or not at all."""
    from recsys_platform.simulation import simulate as simulation

    settings = _world()
    hub, truth = hub_of(settings), settings.truth_root
    if not more:
        _refuse_second_world(settings, hub)
    with _bar() as bar:
        task = bar.add_task("simulating", total=days)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if more:
            made = simulation.continue_simulation(hub, truth_dir=truth, days=days, progress=advance)
        else:
            last = end.date() if end else dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
            make = partial(simulation.simulate, readers=readers, books=books, days=days, seed=seed, horizon=horizon)
            made = make(hub, end=last, truth_dir=truth, progress=advance)
    OUT.print(
        f"{made.records:,} records in {made.objects:,} objects, {made.start} to {made.end}, "
        f"{made.records / made.seconds:,.0f} records/s, in {hub.where('')}"
    )


def _refuse_second_world(settings: Settings, hub: Hub) -> None:
    if _holds_simulated_world(settings):
        raise InputError(
            f"{settings.home} holds a world already: let it go on with --more, or set RECSYS_HOME to another folder."
        )
    if hub.folders(LANDING):
        raise InputError(
            f"{hub.where('')} holds events of another world already: set RECSYS_HOME to another folder, so that they do not mix."
        )


@app.command()
def replay(
    interactions: own.Interactions,
    books: own.Books,
    users: own.Users = None,
    column: own.Columns = None,
    book_column: own.BookColumns = None,
    no_header: own.NoHeader = None,
    rating_scale: own.RatingScale = None,
    unrated: own.Unrated = None,
    decimal_comma: own.DecimalComma = False,
    time_format: own.TimeFormats = None,
    last_day: own.LastDay = None,
    event: own.Events = None,
    encoding: own.Encoding = "utf-8",
    date: own.Date = None,
    dry_run: own.DryRun = False,
) -> None:
    """Turn your own interactions into landing objects and attribute snapshots.

    Files are CSV (with commas, tabs, semicolons or bars), JSON Lines or Parquet, also gzipped: told apart by content.
    """
    from recsys_platform.sources.file_options import reading_of

    reading = reading_of(
        columns=column or (), book_columns=book_column or (), headerless=no_header or (), rating_scale=rating_scale, unrated=unrated,
        decimal_comma=decimal_comma, time_formats=time_format or (), last_day=last_day.date() if last_day else None,
        events=event or (), encoding=encoding,
    )  # fmt: skip
    day = date.date() if date else dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    _replay(reading, interactions=interactions, books=books, users=users, date=day, dry_run=dry_run)


def _replay(
    reading: "Reading", *, interactions: Path, books: Path, users: Path | None, date: dt.date, dry_run: bool
) -> None:
    from recsys_platform.cli.output_import import print_replayed_files
    from recsys_platform.sources.file_import import replay as replay_files

    settings = _world()
    if _holds_simulated_world(settings):
        raise InputError(
            f"{settings.home} holds a simulated world, with which your own data would mix: set RECSYS_HOME to another folder."
        )
    with _bar() as bar:
        task = bar.add_task("writing landing objects", total=None, visible=False)
        done = replay_files(
            hub_of(settings),
            interactions=interactions,
            books=books,
            users=users,
            date=date,
            reading=reading,
            preview=lambda line: OUT.print(line, soft_wrap=True, markup=False),
            dry_run=dry_run,
            progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
        )
    print_replayed_files(OUT, done, dry_run=dry_run)


@app.command(name="import-events")
def import_events(
    place: Annotated[str, typer.Argument(help="A file, a folder or s3://bucket/prefix.")],
    source: Annotated[
        Literal["segment", "pinpoint", "matomo"] | None,
        typer.Option(help="Which tracker sent it; taken from `source=…` or `segment-logs` in the path."),
    ] = None,
    arrived_at: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="When it arrived (UTC): for records where neither folders (YYYY/MM/DD/HH) nor they themselves say so.",
        ),
    ] = None,
) -> None:
    """Bring in what Firehose, Segment or Matomo wrote elsewhere, exactly once: files become landing objects."""
    from recsys_platform.cli.output import print_imported
    from recsys_platform.sources.event_import import import_events as import_files

    settings = _world()
    with _bar() as bar:
        task = bar.add_task("writing landing objects", total=None)
        done = import_files(
            hub_of(settings),
            place,
            source=source,
            arrived_at=arrived_at,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    print_imported(OUT, ERR, done)
    if done.refused:
        sys.exit(1)


@app.command()
def run(
    everything: Annotated[bool, typer.Option("--all", help="Rebuild also what is up to date.")] = False,
) -> None:
    """Bring everything up to date: load what is new, rebuild what is older than it, publish."""
    settings = _world()
    if not _refresh(settings, everything):
        sys.exit(1)


@app.command()
def fetch() -> None:
    """Fetch today's users and books from their endpoints, in place of a snapshot of today, and load them."""
    from recsys_platform.cli.output import print_report

    settings = _world()
    if settings.users_url is None and settings.books_url is None:
        raise InputError("Neither RECSYS_USERS_URL nor RECSYS_BOOKS_URL is set: set them to the JSON endpoints.")
    with _refresher(settings) as (refresher, instance):
        report = refresher.fetch(instance)
    INTERRUPTS.raise_if_received()
    print_report(OUT, report)
    if report.failures:
        sys.exit(1)
    OUT.print("`recsys run` brings what is made of them up to date.")


@app.command()
def demo(
    readers: Annotated[int, typer.Option(min=1)] = 2000,
    books: Annotated[int, typer.Option(min=1)] = 600,
    days: Annotated[int, typer.Option(min=1)] = 30,
    seed: Annotated[int, typer.Option()] = 7,
) -> None:
    """Make a world, serve its users and books over HTTP, and run the whole road on it."""
    from recsys_platform.simulation.server import running_server

    settings = _world()
    if not _holds_simulated_world(settings):
        simulate(readers=readers, books=books, days=days, seed=seed, end=None, more=False)
    with running_server(settings.truth_root) as url:
        served = settings.model_copy(update={"users_url": f"{url}/users", "books_url": f"{url}/books"})
        passed = _refresh(served, everything=False)
    if not passed:
        sys.exit(1)


@app.command(name="serve-attributes")
def serve_attributes(
    host: Annotated[str, typer.Option()] = "127.0.0.1", port: Annotated[int, typer.Option(min=0, max=65535)] = 8090
) -> None:
    """Serve the simulated world's users and books as the two JSON endpoints."""
    from recsys_platform.simulation.server import serve

    OUT.print(f"RECSYS_USERS_URL=http://{host}:{port}/users RECSYS_BOOKS_URL=http://{host}:{port}/books")
    serve(_world().truth_root, host=host, port=port)


@app.command()
def dev(port: Annotated[int, typer.Option(min=1, max=65535)] = 3000) -> None:
    """Start Dagster's UI, daemon and code location on this world; a simulated world's users and books are served too."""
    from recsys_platform.simulation.server import running_server

    settings = _world()
    serving = running_server(settings.truth_root) if _is_simulated(settings) else nullcontext()
    with serving as url:
        endpoints = {"RECSYS_USERS_URL": f"{url}/users", "RECSYS_BOOKS_URL": f"{url}/books"} if url else {}
        world = {"RECSYS_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", str(WORKSPACE), "-p", str(port)]
        sys.exit(_watched(command, {**os.environ, **world, **endpoints}))


def _watched(command: list[str], environment: dict[str, str]) -> int:
    """Run a command that starts others until it ends, or all of them until a signal does; its exit status."""
    with subprocess.Popen(command, env=environment, cwd=WORKSPACE.parent, start_new_session=True) as started:
        try:
            return started.wait()
        except BaseException:
            children = psutil.Process().children(recursive=True)
            started.send_signal(signal.SIGINT)  # Dagster ends its own in good order
            psutil.wait_procs(children, timeout=GRACE_SECONDS / 2)
            end_children(children=children)
            raise


@app.command()
def status() -> None:
    """What is loaded, how fresh each layer is, what was rejected, which lists are live, what runs, what is on, what it weighs."""
    from recsys_platform.cli.disk_usage import disk_usage
    from recsys_platform.cli.output import print_disk_usage, print_held, print_overview, print_running, print_state
    from recsys_platform.defs.automation.state import state_of

    settings = load_settings()
    state = state_of(settings, _build_definitions)
    print_running(OUT, state)
    try:
        print_overview(OUT, settings, warehouse_of(settings))
    except WarehouseHeldError:
        if print_held(OUT, settings.analytics_path):
            print_overview(OUT, settings, reading_copy_of(settings))
    print_state(OUT, state)
    print_disk_usage(OUT, disk_usage(settings))


_REASON = typer.Option(metavar="TEXT", help="Only records whose reason contains this text.")


@app.command()
def rejected(
    reason: Annotated[str | None, _REASON] = None,
    gate: Annotated[Literal["load", "contract"] | None, typer.Option(help="Only those of one gate.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many single records to list.")] = 20,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write all of them with their payloads, to be corrected.")
    ] = None,
) -> None:
    """Records that did not pass a gate, grouped by reason; payloads, which may hold personal data, only go into --export."""
    from recsys_platform.cli.output_quarantine import print_groups, print_listing
    from recsys_platform.ingestion import quarantine as rejections

    warehouse = _prepared(load_settings())
    groups = rejections.groups(warehouse, gate=gate, reason=reason)
    print_groups(OUT, groups)
    listed = rejections.listing(warehouse, gate=gate, reason=reason, limit=limit)
    print_listing(OUT, listed, sum(group.records for group in groups))
    if export and groups:
        written = rejections.export(warehouse, export, gate=gate or "load", reason=reason)
        OUT.print(
            f"{written:,} records with their payloads written to {export}: correct payloads there, then "
            f"`recsys replay-rejected --corrections {export}`",
            soft_wrap=True,
        )


@app.command()
def show(
    reader: Annotated[
        str, typer.Argument(help="The id of a reader, as in marts.dim_users; any other stands for a new one.")
    ],
    length: Annotated[int, typer.Option(min=1, help="How many books of a list.")] = 10,
    language: Annotated[str | None, typer.Option(help="Of a new reader, as far as the app knows it.")] = None,
) -> None:
    """What a reader gets and why: books with titles, from the published lists of the model that is live."""
    from recsys_platform.cli.output_show import print_offer
    from recsys_platform.reports.recommendations import offer_to

    settings = load_settings()
    try:
        found = offer_to(warehouse_of(settings), reader, length=length, language=language)
    except WarehouseHeldError:
        found = offer_to(reading_copy_of(settings), reader, length=length, language=language)
    print_offer(OUT, reader, found)


@app.command()
def models(
    history: Annotated[bool, typer.Option("--history", help="Who put which version into use, when and why.")] = False,
) -> None:
    """The model versions: variant, data, what its recipe reached, which one is live."""
    from recsys_platform.cli.output_models import print_history, print_models

    registry = registry_of(_world())
    if history:
        print_history(OUT, registry.history())
    else:
        print_models(OUT, registry.versions(), registry.choice())


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A version that `recsys models` lists.")],
    alias: Annotated[Literal["production", "challenger"], typer.Option("--as", help="What it becomes.")] = "production",
    why: Annotated[str, typer.Option(help="For the history.")] = "decided by a person",
) -> None:
    """Put a model version into production, or make it the challenger."""
    from recsys_platform.cli.output_models import print_promoted
    from recsys_platform.recommender.data.training_data import newest_dataset
    from recsys_platform.recommender.registry.promotion import promote as put

    settings = _world()
    data = newest_dataset(hub_of(settings))
    registry, books = registry_of(settings), data.catalogue_hash
    done = put(registry, version, alias=alias, why=why, catalogue_hash=books, data_to=data.newest_time)
    print_promoted(OUT, done, alias)


@app.command()
def rollback(
    why: Annotated[str, typer.Option(help="For the history.")] = "decided by a person",
) -> None:
    """Put the recipe before the present one into production again, its newest version."""
    from recsys_platform.cli.output_models import print_rolled_back
    from recsys_platform.recommender.data.training_data import newest_dataset
    from recsys_platform.recommender.registry.promotion import roll_back

    settings = _world()
    newest = newest_dataset(hub_of(settings)).newest_time
    print_rolled_back(OUT, *roll_back(registry_of(settings), why=why, data_to=newest))


@app.command()
def pin(
    version: Annotated[str, typer.Argument(help="A version that `recsys models` lists.")],
    off: Annotated[bool, typer.Option("--off", help="Leave it to the retention again.")] = False,
) -> None:
    """Keep a model version, whatever `recsys cleanup` would remove."""
    found = registry_of(_world()).pin(version, pinned=not off)
    OUT.print(f"{found.label} is {'left to the retention again' if off else 'kept'}.")


@app.command()
def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
) -> None:
    """Remove model versions, Dagster's runs and logs, and evaluations that the settings RECSYS_KEEP_… no longer keep."""
    from recsys_platform.cli.output_cleanup import print_removed
    from recsys_platform.defs.automation.cleanup import clean_up
    from recsys_platform.defs.automation.instances import instance_of

    settings = _world()
    warehouse, now = _prepared(settings), dt.datetime.now(dt.UTC)
    with instance_of(settings) as instance:
        done = clean_up(settings, registry_of(settings), warehouse, instance, now=now, dry_run=dry_run)
    print_removed(OUT, done, dry_run=dry_run)


@app.command()
def accept(
    kind: Annotated[Literal["user_attributes", "book_attributes"], typer.Argument(help="Which feed.")],
    why: Annotated[str, typer.Option(help="For the record.")] = "decided by a person",
) -> None:
    """Go on with a snapshot of users or books that lost records or fields: later ones are compared with it."""
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.ingestion.feed_checks import accept_feed

    settings = _world()
    with instance_of(settings) as instance:
        OUT.print(accept_feed(hub_of(settings), kind, instance, settings.feed_loss, why=why), soft_wrap=True)


@app.command(name="replay-rejected")
def replay_rejected(
    reason: Annotated[str | None, _REASON] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="A file of `recsys rejected --export` with corrected payloads."),
    ] = None,
) -> None:
    """Load what a mended rule accepts now or what was corrected by hand, exactly once."""
    from recsys_platform.cli.output_quarantine import print_corrected, print_replayed
    from recsys_platform.ingestion.quarantine import correct, replay

    if reason is not None and corrections is not None:
        raise InputError("--reason and --corrections do not go together: a file of corrections names its records.")
    settings = load_settings()
    hub, warehouse = hub_of(settings), _prepared(settings)
    if corrections is None:
        print_replayed(OUT, replay(hub, warehouse, reason=reason))
        return
    done = correct(hub, warehouse, corrections)
    print_corrected(OUT, done)
    if done.refused:
        sys.exit(1)


@app.command(name="snowflake-scripts")
def snowflake_scripts(
    hub_role_arn: Annotated[str, typer.Option(help="ARN of the role of AWS by which Snowflake reads the bucket.")],
    public_key: Annotated[Path, typer.Option(help="Public key of the platform's user, a file in PEM form.")],
    out: Annotated[Path, typer.Option(help="Folder to write them to.")],
    monthly_credits: Annotated[int, typer.Option(min=1, help="Credits a month that stop the warehouses.")] = 20,
) -> None:
    """Write the scripts by which an administrator sets a Snowflake account up, with the names of your settings."""
    from recsys_platform.config.snowflake_setup import body_of, scripts, write_scripts

    given = {"hub_role_arn": hub_role_arn, "monthly_credits": str(monthly_credits), "public_key": body_of(public_key)}
    names = write_scripts(out, scripts(load_settings(), given))
    OUT.print(f"{len(names)} scripts in {out}: read them, then run them in order as an administrator.", soft_wrap=True)


def _prepared(settings: Settings) -> Warehouse:
    """The warehouse of a world with the tables of this version; `WarehouseError` if there is none or it stays held."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks(())  # waiting for a loader to end is no news: what it ends in is told
    warehouse = warehouse_of(settings)
    warehouse.frame("select 1")
    warehouse.prepare()
    return warehouse


def _refresh(settings: Settings, everything: bool) -> bool:
    """Run what is to be run and tell about it; whether all went well."""
    from recsys_platform.cli.output import print_overview, print_report
    from recsys_platform.defs.automation.run import require_input

    require_input(settings, hub_of(settings))
    with _refresher(settings) as (refresher, instance):
        report = refresher.run(instance, everything=everything)
    INTERRUPTS.raise_if_received()
    print_report(OUT, report)
    if not report.failures:
        print_overview(OUT, settings, warehouse_of(settings))
    return not report.failures


def _build_definitions(settings: Settings) -> "Definitions":
    from recsys_platform.definitions import build_defs

    return build_defs(settings)


@contextmanager
def _refresher(settings: Settings) -> Iterator[tuple["Refresher", Any]]:
    """What runs the platform and the instance of Dagster that it runs on, with a progress bar."""
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.automation.run import Refresher

    with _bar() as bar:
        task = bar.add_task("loading the asset graph", total=None)
        from recsys_platform.defs.automation.state import write_outline

        def hear(what: str, done: int, total: int) -> None:
            if what.startswith("waiting for") and not sys.stderr.isatty():
                ERR.print(escape(what), soft_wrap=True)
            bar.update(task, completed=done, total=total, description=what[:70] or None)

        defs = _build_definitions(settings)
        write_outline(settings, defs)
        hub, warehouse = hub_of(settings), warehouse_of(settings)
        log = settings.home / "run.log"
        with instance_of(settings) as instance, log.open("w") as file, redirect_stdout(file):
            yield Refresher(defs, settings, hub=hub, warehouse=warehouse, listener=hear), instance


def _is_simulated(settings: Settings) -> bool:
    return settings.users_url is None and settings.books_url is None and _holds_simulated_world(settings)


def _holds_simulated_world(settings: Settings) -> bool:
    return (settings.truth_root / "world.json").exists()


def _world() -> Settings:
    from recsys_platform.simulation.staged_write import finish_staged, is_unfinished

    settings = load_settings()
    prepare_home(settings)
    if is_unfinished(settings.truth_root):
        finish_staged(hub_of(settings), settings.truth_root)
    return settings


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with _own_terminal() as console, Progress(*columns, console=console, transient=True, expand=True) as progress:
        yield progress


@contextmanager
def _own_terminal() -> Iterator[Console]:
    """Standard error under a number of its own: while a step of Dagster runs, number 2 leads into that step's log."""
    if not sys.stderr.isatty():
        yield ERR
        return
    with os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal:
        yield Console(file=terminal, highlight=False)
