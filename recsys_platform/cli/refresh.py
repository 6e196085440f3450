"""Run Dagster's assets from the command line, with a progress bar and a report at the end."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from recsys_platform.cli.console import ERR, OUT, progress_bar
from recsys_platform.common.interrupts import INTERRUPTS
from recsys_platform.config.factories import hub_of, warehouse_of
from recsys_platform.config.settings import Settings

if TYPE_CHECKING:  # importing Dagster takes a second, and few commands need it
    from dagster import Definitions  # noqa: TID251 -- only the type

    from recsys_platform.defs.automation.run import Refresher


def refresh(settings: Settings, *, everything: bool, over_budget: bool = False) -> bool:
    """Load new data, materialize what is out of date (or everything) and print a report; returns whether it succeeded."""
    from recsys_platform.cli.output.run import print_report
    from recsys_platform.cli.output.status import print_overview
    from recsys_platform.defs.automation.run import require_input

    require_input(settings, hub_of(settings))
    with open_refresher(settings) as (refresher, instance):
        report = refresher.run(instance, everything=everything, over_budget=over_budget)
    INTERRUPTS.raise_if_received()
    print_report(OUT, report)
    if not report.failures:
        print_overview(OUT, settings, warehouse_of(settings))
    return not report.failures


@contextmanager
def open_refresher(settings: Settings) -> Iterator[tuple["Refresher", Any]]:
    """Give a refresher of the world and its Dagster instance, and show a progress bar; steps print to `run.log`."""
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.automation.run import Refresher

    with progress_bar() as bar:
        task = bar.add_task("loading the asset graph", total=None)
        from recsys_platform.defs.automation.outline import stored_outline, write_outline

        def on_progress(what: str, done: int, total: int) -> None:
            if what.startswith("waiting for") and not sys.stderr.isatty():
                ERR.print(escape(what), soft_wrap=True)
            bar.update(task, completed=done, total=total, description=what[:70] or None)

        definitions = cache(partial(build_definitions, settings))
        outline = stored_outline(settings) or write_outline(settings, definitions())
        hub, warehouse = hub_of(settings), warehouse_of(settings)
        log = settings.home / "run.log"
        with instance_of(settings) as instance, log.open("w") as file, redirect_stdout(file):
            yield (
                Refresher(outline, definitions, settings, hub=hub, warehouse=warehouse, listener=on_progress),
                instance,
            )


def build_definitions(settings: Settings) -> "Definitions":
    """Dagster's definitions for a world; importing them takes seconds."""
    from recsys_platform.definitions import build_defs

    return build_defs(settings)
