"""Commands around the simulated world: `simulate`, `demo`, `serve-attributes`."""

import datetime as dt
import sys
from functools import partial
from typing import Annotated

import typer

from recsys_platform.cli.console import OUT, progress_bar
from recsys_platform.cli.refresh import refresh
from recsys_platform.cli.worlds import holds_simulation, open_world
from recsys_platform.common.clock import utc_today
from recsys_platform.common.errors import InputError
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import Settings
from recsys_platform.hub.layout import LANDING
from recsys_platform.hub.object_store import Hub


def simulate(
    readers: Annotated[int, typer.Option(min=1, help="Number of readers at the end.")] = 2000,
    books: Annotated[int, typer.Option(min=1, help="Number of books at the end.")] = 600,
    days: Annotated[int, typer.Option(min=1, help="Number of days of events.")] = 30,
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same world.")] = 7,
    end: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; default: yesterday.")] = None,
    extend: Annotated[
        bool, typer.Option("--continue", help="Add --days days to the world that exists, instead of a new world.")
    ] = False,
    horizon: Annotated[
        int | None,
        typer.Option(min=1, help="Days until the world has --readers readers and --books books; default: --days."),
    ] = None,
) -> None:
    """Simulate readers and books, and write their events to the hub as Firehose would; all or nothing."""
    from recsys_platform.simulation import simulate as simulation

    settings = open_world()
    hub, truth = hub_of(settings), settings.truth_root
    if not extend:
        _refuse_second_world(settings, hub)
    with progress_bar() as bar:
        task = bar.add_task("simulating", total=days)

        def on_progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if extend:
            made = simulation.continue_simulation(hub, truth_dir=truth, days=days, progress=on_progress)
        else:
            last = end.date() if end else utc_today() - dt.timedelta(days=1)
            start = partial(simulation.simulate, readers=readers, books=books, days=days, seed=seed, horizon=horizon)
            made = start(hub, end=last, truth_dir=truth, progress=on_progress)
    OUT.print(
        f"{made.records:,} records in {made.objects:,} objects, {made.start} to {made.end}, "
        f"{made.records / made.seconds:,.0f} records/s, in {hub.where('')}"
    )


def simulate_visits(
    url: Annotated[str, typer.Option(help="Address of the API.")] = "http://127.0.0.1:8000",
    days: Annotated[int, typer.Option(min=1, help="Number of days.")] = 7,
    key: Annotated[str | None, typer.Option(help="API key of an app; default: one of this world, for a day.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="How many readers use the API at once.")] = 2,
) -> None:
    """Let the simulated readers use the API for some days: `recsys serve --simulated-clock` must be running."""
    from recsys_platform.simulation import visiting
    from recsys_platform.simulation.reader_app import asks_over_http

    settings = open_world()
    ask = asks_over_http(url, key or _key_for_visits(settings))
    with progress_bar() as bar:
        task = bar.add_task("visits", total=days)
        made = visiting.simulate_visits(
            ask,
            truth_dir=settings.truth_root,
            days=days,
            threads=threads,
            progress=lambda done, _: bar.update(task, completed=done),
        )
    OUT.print(
        f"{made.readers:,} readers were shown {made.lists:,} lists and clicked {made.clicks:,} books, {made.start} to {made.end}, "
        f"in {made.seconds:,.0f} s. `recsys run` loads what happened."
    )


def _key_for_visits(settings: Settings) -> str:
    from recsys_platform.serving.gateway.server import key_store_of

    if not holds_simulation(settings):
        raise InputError(f"There is no simulated world in {settings.home}: run `recsys simulate` first.")
    return key_store_of(settings).create("simulated readers", days=1)[1]


def demo(
    readers: Annotated[int, typer.Option(min=1, help="Number of readers.")] = 2000,
    books: Annotated[int, typer.Option(min=1, help="Number of books.")] = 600,
    days: Annotated[int, typer.Option(min=1, help="Number of days of events; not with --loop.")] = 30,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 7,
    closed_loop: Annotated[
        bool,
        typer.Option(
            "--loop", help="Let readers respond to what the API shows them, and models learn from it, for some weeks."
        ),
    ] = False,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks of each act of the loop; only with --loop.")] = 1,
) -> None:
    """Simulate a world and run the whole pipeline on it, from landing files to published recommendations."""
    from recsys_platform.simulation.server import running_server

    if closed_loop:
        from recsys_platform.cli.commands.closed_loop import run_closed_loop

        run_closed_loop(readers=readers, books=books, seed=seed, weeks=weeks)
        return
    settings = open_world()
    if not holds_simulation(settings):
        simulate(readers=readers, books=books, days=days, seed=seed, end=None, extend=False)
    with running_server(settings.truth_root) as url:
        served = settings.model_copy(update={"users_url": f"{url}/users", "books_url": f"{url}/books"})
        succeeded = refresh(served, everything=False)
    if not succeeded:
        sys.exit(1)


def serve_attributes(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8090,
) -> None:
    """Serve the simulated world's users and books as the two JSON endpoints."""
    from recsys_platform.simulation.server import serve

    OUT.print(f"RECSYS_USERS_URL=http://{host}:{port}/users RECSYS_BOOKS_URL=http://{host}:{port}/books")
    serve(open_world().truth_root, host=host, port=port)


def _refuse_second_world(settings: Settings, hub: Hub) -> None:
    if holds_simulation(settings):
        raise InputError(
            f"{settings.home} already holds a simulated world: extend it with --continue, or set RECSYS_HOME to another folder."
        )
    if hub.folders(LANDING):
        raise InputError(
            f"{hub.where('')} already holds other events, which a simulation would mix with: set RECSYS_HOME to another folder."
        )
