"""Commands that run Dagster: `run`, `fetch`, `dev`."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import psutil
import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.refresh import open_refresher, refresh
from recsys_platform.cli.worlds import holds_simulation, open_world
from recsys_platform.common.errors import InputError
from recsys_platform.common.interrupts import GRACE_SECONDS, INTERRUPTS, end_children
from recsys_platform.config.settings import Settings

WORKSPACE = Path(str(files("recsys_platform").joinpath("config", "workspace.yaml")))


def run(
    everything: Annotated[bool, typer.Option("--all", help="Rebuild everything, also what is up to date.")] = False,
    over_budget: Annotated[
        bool,
        typer.Option(
            "--over-budget", help="With --all: also if that exceeds the month's budget (RECSYS_BUDGET_MONTH)."
        ),
    ] = False,
) -> None:
    """Bring everything up to date: load new data, rebuild what is older than its inputs, publish."""
    if not refresh(open_world(), everything=everything, over_budget=over_budget):
        sys.exit(1)


def fetch() -> None:
    """Fetch users and books from their endpoints now, replacing today's snapshots, and load them."""
    from recsys_platform.cli.output.run import print_report

    settings = open_world()
    if settings.users_url is None and settings.books_url is None:
        raise InputError("Neither RECSYS_USERS_URL nor RECSYS_BOOKS_URL is set: set them to the JSON endpoints.")
    with open_refresher(settings) as (refresher, instance):
        report = refresher.fetch(instance)
    INTERRUPTS.raise_if_received()
    print_report(OUT, report)
    if report.failures:
        sys.exit(1)
    OUT.print("`recsys run` rebuilds what depends on them.")


def dev(port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the UI.")] = 3000) -> None:
    """Start Dagster's UI, daemon and code location on this world; also serves a simulated world's users and books."""
    from recsys_platform.simulation.server import running_server

    settings = open_world()
    attributes = running_server(settings.truth_root) if _needs_attribute_server(settings) else nullcontext()
    with attributes as url:
        endpoints = {"RECSYS_USERS_URL": f"{url}/users", "RECSYS_BOOKS_URL": f"{url}/books"} if url else {}
        world = {"RECSYS_HOME": str(settings.home), "DAGSTER_HOME": str(settings.dagster_home)}
        command = [str(Path(sys.executable).with_name("dagster")), "dev", "-w", str(WORKSPACE), "-p", str(port)]
        sys.exit(_run_until_signal(command, {**os.environ, **world, **endpoints}))


def _needs_attribute_server(settings: Settings) -> bool:
    return settings.users_url is None and settings.books_url is None and holds_simulation(settings)


def _run_until_signal(command: list[str], environment: dict[str, str]) -> int:
    """Run a command that starts other processes; a signal ends all of them. Returns its exit status."""
    with subprocess.Popen(command, env=environment, cwd=WORKSPACE.parent, start_new_session=True) as started:
        try:
            return started.wait()
        except BaseException:
            children = psutil.Process().children(recursive=True)
            started.send_signal(signal.SIGINT)  # Dagster then shuts its own processes down
            psutil.wait_procs(children, timeout=GRACE_SECONDS / 2)
            end_children(children=children)
            raise
