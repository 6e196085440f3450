"""`recsys destinations`: where the events of the recommendation API go, what waits, and what was refused."""

from typing import Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.common.errors import InputError

destinations = typer.Typer(help="Receivers of the API's events: what waits, what they refused.")


@destinations.callback(invoke_without_command=True)
def list_destinations(context: typer.Context) -> None:
    """List the landing and the destinations: what waits for each, what it refused for good, why it fails."""
    from recsys_platform.cli.output.destinations import print_destinations
    from recsys_platform.serving.gateway.server import queue_states

    if context.invoked_subcommand is None:
        print_destinations(OUT, queue_states(open_world()))


@destinations.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name that `recsys destinations` lists.")],
) -> None:
    """Send a destination the events again that it refused; the running gateway does it within seconds."""
    from recsys_platform.serving.delivery import replay_dead_letters
    from recsys_platform.serving.gateway.server import queue_states, spool_folder_of

    settings = open_world()
    known = queue_states(settings)
    if name not in known:
        raise InputError(f"There is no destination {name}: there are {', '.join(known)}.")
    replayed = replay_dead_letters(spool_folder_of(settings) / name)
    OUT.print(f"{replayed:,} events wait for {name} again.")
