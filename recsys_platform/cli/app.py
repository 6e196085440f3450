"""The `recsys` command: its list of commands, and how errors and signals end it.

Belongs here: registration, errors, exit codes. Does not: the commands (commands/), what they print (output/).
"""

import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from rich.markup import escape

from recsys_platform.cli.commands.canary import canary
from recsys_platform.cli.commands.catalog import catalog
from recsys_platform.cli.commands.costs import costs
from recsys_platform.cli.commands.destinations import destinations
from recsys_platform.cli.commands.experiments import experiments
from recsys_platform.cli.commands.firehose import firehose
from recsys_platform.cli.commands.import_files import import_events, import_files
from recsys_platform.cli.commands.init import init
from recsys_platform.cli.commands.maintenance import accept_snapshot, cleanup, migrate
from recsys_platform.cli.commands.models import models, pin, promote, rollback, unpin
from recsys_platform.cli.commands.notebooks import notebooks
from recsys_platform.cli.commands.quarantine import rejected, revalidate
from recsys_platform.cli.commands.report import report
from recsys_platform.cli.commands.run import dev, fetch, run
from recsys_platform.cli.commands.sagemaker import sagemaker
from recsys_platform.cli.commands.salt import salt
from recsys_platform.cli.commands.serve import keys, model_host, serve
from recsys_platform.cli.commands.simulate import demo, serve_attributes, simulate, simulate_visits
from recsys_platform.cli.commands.site import site
from recsys_platform.cli.commands.snowflake import snowflake
from recsys_platform.cli.commands.spark import spark
from recsys_platform.cli.commands.status import kpis, show, status
from recsys_platform.cli.console import ERR
from recsys_platform.cli.renamed import RenamingGroup
from recsys_platform.common.errors import RecsysError, is_disk_full
from recsys_platform.common.garbage import collect_garbage_rarely
from recsys_platform.common.interrupts import interruptible_command

app = typer.Typer(
    name="recsys",
    cls=RenamingGroup,
    help="From reading events to measured book recommendations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    "Simulation": {
        "demo": demo,
        "simulate": simulate,
        "simulate-visits": simulate_visits,
        "serve-attributes": serve_attributes,
    },
    "Import": {"import": import_files, "import-events": import_events, "fetch": fetch},
    "Pipeline": {
        "init": init,
        "run": run,
        "dev": dev,
        "status": status,
        "show": show,
        "kpis": kpis,
        "report": report,
        "costs": costs,
        "notebooks": notebooks,
        "cleanup": cleanup,
        "migrate": migrate,
    },
    "Data quality": {"rejected": rejected, "revalidate": revalidate, "accept-snapshot": accept_snapshot},
    "Serving": {"serve": serve, "model-host": model_host},
    "Models": {"models": models, "promote": promote, "rollback": rollback, "pin": pin, "unpin": unpin},
}
GROUPS = {"catalog": catalog, "firehose": firehose, "sagemaker": sagemaker, "snowflake": snowflake, "spark": spark}

for panel, commands in COMMANDS.items():
    for name, command in commands.items():
        app.command(name, rich_help_panel=panel)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name, rich_help_panel="Other systems")
app.add_typer(site, name="site", rich_help_panel="Pipeline")
app.add_typer(salt, name="salt", rich_help_panel="Data quality")
app.add_typer(keys, name="keys", rich_help_panel="Serving")
app.add_typer(destinations, name="destinations", rich_help_panel="Serving")
app.add_typer(experiments, name="experiments", rich_help_panel="Experiments")
app.add_typer(canary, name="canary", rich_help_panel="Experiments")


def main() -> None:
    """Run a command; an error that the user can fix is printed as one sentence, with exit code 1."""
    # Warnings of other packages to their developers would stand between the lines that the user reads.
    warnings.simplefilter("ignore")
    collect_garbage_rarely()
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
        _exit_with(str(error))
    except Exception as error:
        if not is_disk_full(error):
            raise
        _exit_with(
            "No space is left on the device: free some (`recsys cleanup`), then run the command again; nothing is half done."
        )


def _exit_with(sentence: str) -> NoReturn:
    ERR.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    sys.exit(1)
