"""`recsys canary`: look at the canary, and decide about it."""

from typing import TYPE_CHECKING, Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world

if TYPE_CHECKING:  # imports numpy and scipy
    from recsys_platform.serving.rollout.controller import Rollout
    from recsys_platform.serving.rollout.record import CanaryRecord

canary = typer.Typer(help="Give a new model a small share of the visitors, and more while it does well.")
_REASON = typer.Option("--reason", metavar="TEXT", help="Reason, kept in the history.")


@canary.callback(invoke_without_command=True)
def _status(context: typer.Context) -> None:
    """Show the canary, what both groups did, and its steps."""
    if context.invoked_subcommand is None:
        from recsys_platform.cli.output.canary import print_canary

        rollout = _rollout()
        record = rollout.status()
        print_canary(OUT, record, rollout.look() if record else None, rollout.history.steps())


@canary.command()
def start(
    model: Annotated[str, typer.Argument(help="A version listed by `recsys models`, or `challenger`.")],
    reason: Annotated[str, _REASON],
) -> None:
    """Begin a canary: the version gets the first share of the visitors."""
    _print(_rollout().start(model, because=reason))


@canary.command()
def pin(reason: Annotated[str, _REASON]) -> None:
    """Keep the canary at its share, whatever the tests say, until it is released or stopped."""
    _print(_rollout().pin(reason))


@canary.command()
def stop(reason: Annotated[str, _REASON]) -> None:
    """Take all visitors from the new model; it stays so until it is released."""
    _print(_rollout().stop(reason))


@canary.command()
def release(reason: Annotated[str, _REASON]) -> None:
    """Let the tests decide again: after a pin at the same share, else from the first one."""
    _print(_rollout().release(reason))


@canary.command()
def step() -> None:
    """Let the tests decide once, as the sensor `canary` does every minute; for schedulers other than Dagster."""
    from recsys_platform.cli.output.canary import print_record, print_traffic
    from recsys_platform.notifications.alerts import canary_alert
    from recsys_platform.notifications.channels import channels_of, notify
    from recsys_platform.serving.rollout.controller import rollout_of, trouble_of

    settings = open_world()
    done = rollout_of(settings).step()
    print_record(OUT, done.after)
    if done.observation:
        print_traffic(OUT, done.observation)
    trouble = trouble_of(done.after) if done.is_change and done.after else None
    if trouble and done.after:
        notify(canary_alert(trouble, done.after.label, done.after.news, settings), channels_of(settings))


def _rollout() -> "Rollout":
    from recsys_platform.serving.rollout.controller import rollout_of

    return rollout_of(open_world())


def _print(record: "CanaryRecord") -> None:
    from recsys_platform.cli.output.canary import print_record

    print_record(OUT, record)
