"""Commands on model versions: `models`, `promote`, `rollback`, `pin`, `unpin`."""

from typing import Annotated, Literal

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world
from recsys_platform.config.factories import hub_of, registry_of

_VERSION = typer.Argument(help="A version listed by `recsys models`.")
_REASON = typer.Option(metavar="TEXT", help="Reason, kept in the history.")


def models(
    history: Annotated[bool, typer.Option("--history", help="List who promoted which version, when and why.")] = False,
) -> None:
    """List model versions with variant, training data and evaluation figures, and which one is live."""
    from recsys_platform.cli.output.models import print_history, print_models

    registry = registry_of(open_world())
    if history:
        print_history(OUT, registry.history())
    else:
        print_models(OUT, registry.versions(), registry.choice())


def promote(
    version: Annotated[str, _VERSION],
    alias: Annotated[
        Literal["production", "challenger"], typer.Option("--as", help="Alias to give it.")
    ] = "production",
    reason: Annotated[str, _REASON] = "decided by a person",
) -> None:
    """Put a model version into production, or make it the challenger."""
    from recsys_platform.cli.output.models import print_promoted
    from recsys_platform.recommender.data.training_data import latest_dataset
    from recsys_platform.recommender.registry.promotion import promote as give_alias

    settings = open_world()
    data = latest_dataset(hub_of(settings))
    registry, books = registry_of(settings), data.catalogue_hash
    done = give_alias(registry, version, alias=alias, why=reason, catalogue_hash=books, data_to=data.newest_time)
    print_promoted(OUT, done, alias)


def rollback(reason: Annotated[str, _REASON] = "decided by a person") -> None:
    """Put the previous recipe back into production, in its newest version."""
    from recsys_platform.cli.output.models import print_rolled_back
    from recsys_platform.recommender.data.training_data import latest_dataset
    from recsys_platform.recommender.registry.promotion import roll_back

    settings = open_world()
    newest = latest_dataset(hub_of(settings)).newest_time
    print_rolled_back(OUT, *roll_back(registry_of(settings), why=reason, data_to=newest))


def pin(version: Annotated[str, _VERSION]) -> None:
    """Protect a model version from `recsys cleanup`."""
    found = registry_of(open_world()).pin(version, pinned=True)
    OUT.print(f"{found.label} is pinned: `recsys cleanup` keeps it.")


def unpin(version: Annotated[str, _VERSION]) -> None:
    """Let `recsys cleanup` remove a pinned model version again."""
    found = registry_of(open_world()).pin(version, pinned=False)
    OUT.print(f"{found.label} is no longer pinned.")
