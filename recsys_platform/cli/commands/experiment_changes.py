"""`recsys experiments start`, `stop`, `ramp`, `holdout` and `history`: change experiments, and who changed them."""

from typing import TYPE_CHECKING, Annotated

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import InputError
from recsys_platform.common.processes import current_user
from recsys_platform.config.factories import registry_of, warehouse_of
from recsys_platform.config.settings import Settings

if TYPE_CHECKING:  # imports pyarrow
    from recsys_platform.experiments.lifecycle import Edit
    from recsys_platform.serving.routing_files import ExperimentsFile

_Name = Annotated[str, typer.Argument(help="An experiment of `experiments.yaml`.")]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Reason, kept in the history.")]


def start(name: _Name, reason: _Reason) -> None:
    """Let visitors into an experiment with `status: draft`; from then on only its weights may change."""
    from recsys_platform.experiments.lifecycle import start as started

    settings, now = open_world(), utc_now().replace(microsecond=0)
    file = _file_of(settings)
    _apply(settings, file, started(file.read(), name, models=_models_of(settings), now=now, where=file.where), reason)


def stop(name: _Name, reason: _Reason) -> None:
    """Send all visitors of an experiment back to the model in production."""
    from recsys_platform.experiments.lifecycle import stop as stopped

    settings, now = open_world(), utc_now().replace(microsecond=0)
    file = _file_of(settings)
    _apply(settings, file, stopped(file.read(), name, now=now, where=file.where), reason)


def ramp(
    name: _Name,
    percent: Annotated[
        list[str],
        typer.Option(
            metavar="PERCENT", help="Percent of all visitors, for all variants, or VARIANT=PERCENT, several times."
        ),
    ],
    reason: _Reason,
) -> None:
    """Change the weights of a running experiment, so that as few visitors as possible change their variant."""
    from recsys_platform.experiments.lifecycle import ramp as ramped

    settings = open_world()
    file = _file_of(settings)
    _apply(settings, file, ramped(file.read(), name, percent, models=_models_of(settings), where=file.where), reason)


def holdout(
    percent: Annotated[float, typer.Option(help="Percent of all visitors who are in no experiment; 0 for none.")],
    reason: _Reason,
    model: Annotated[
        str | None,
        typer.Option(help="What they see, an alias or version; by default as until now, at first production."),
    ] = None,
) -> None:
    """Change how many readers are in no experiment, or which model they see."""
    from recsys_platform.experiments.lifecycle import hold_out

    settings = open_world()
    file = _file_of(settings)
    edit = hold_out(file.read(), percent, model=model, models=_models_of(settings), where=file.where)
    _apply(settings, file, edit, reason)


def history(
    name: Annotated[str | None, typer.Argument(help="One experiment; by default all, those of before too.")] = None,
) -> None:
    """Show who started, stopped or ramped which experiment, or changed the holdout, when and why."""
    from recsys_platform.cli.output.experiments import print_changes
    from recsys_platform.experiments.changes import changes_in

    changes = changes_in(warehouse_of(open_world()))
    print_changes(OUT, [each for each in changes if name in (None, each.experiment)], name)


def _file_of(settings: Settings) -> "ExperimentsFile":
    from recsys_platform.serving.routing_files import ExperimentsFile

    return ExperimentsFile(settings)


def _models_of(settings: Settings) -> set[str]:
    """The aliases and versions that a variant may name."""
    return {name for each in registry_of(settings).versions() for name in (each.version, *each.aliases)}


def _apply(settings: Settings, file: "ExperimentsFile", edit: "Edit", reason: str) -> None:
    import stamina

    from recsys_platform.cli.output.experiments import print_change
    from recsys_platform.experiments.lifecycle import apply_edit

    if not reason.strip():
        raise InputError("--reason is empty: say why, for those who read the history.")
    stamina.instrumentation.set_on_retry_hooks(())  # do not log retries while waiting for the lock
    change = apply_edit(edit, file, warehouse_of(settings), who=current_user(), why=reason.strip(), now=utc_now())
    print_change(OUT, change, edit.after)
