"""What `recsys models`, `recsys promote` and `recsys rollback` print."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.recommender.registry.versions import PRODUCTION, Change, Choice, VersionInfo

_NEXT = "The next `recsys run` updates published tables and the evaluation page."


def print_models(out: Console, versions: Sequence[VersionInfo], choice: Choice | None = None) -> None:
    """Print versions, newest first, with evaluation figures and aliases, and who promoted the live one if a person did."""
    if not versions:
        out.print("There is no model version yet: `recsys run` trains the variants.")
        return
    table = Table(
        "version", "variant", "trained (UTC)", "data to", "NDCG", "coverage", "", box=None, header_style="dim"
    )
    for each in versions:
        figures = [f"{each.metrics[name]:.4f}" if name in each.metrics else "" for name in ("ndcg", "coverage")]
        notes = [*each.aliases, *(["rolled back"] if each.rolled_back else [])]
        table.add_row(
            each.version,
            each.variant,
            f"{each.created_at:%Y-%m-%d %H:%M}",
            each.data_to[:10],
            *figures,
            ", ".join(notes),
        )
    out.print(table)
    live = next((each for each in versions if PRODUCTION in each.aliases), None)
    if live and choice and choice.recipe_hash == live.recipe_hash:
        out.print(escape(f"{live.label} is live, {choice.sentence}. The gate leaves it there."), soft_wrap=True)


def print_history(out: Console, changes: Sequence[Change]) -> None:
    """Print who changed which alias, when and why."""
    if not changes:
        out.print("No version was ever put into production.")
        return
    table = Table("when (UTC)", "who", "alias", "from", "to", "why", box=None, header_style="dim")
    for each in changes:
        row = (f"{each.at:%Y-%m-%d %H:%M}", each.who, each.alias, each.before or "none", each.after or "none", each.why)
        table.add_row(*map(escape, row))
    out.print(table)


def print_promoted(out: Console, version: VersionInfo, alias: str) -> None:
    """Print what a promotion did."""
    out.print(f"{version.label} is now {alias}. {_NEXT}")


def print_rolled_back(out: Console, before: VersionInfo, after: VersionInfo) -> None:
    """Print what a rollback did."""
    out.print(
        f"{after.label} is in production again instead of {before.label}, whose recipe the gate does not promote again until "
        f"a person does. {_waits_for_training(before, after)}{_NEXT}",
        soft_wrap=True,
    )


def _waits_for_training(before: VersionInfo, after: VersionInfo) -> str:
    """A sentence if gateways cannot load the version, since it knows other books than those of today."""
    if before.catalogue_hash == after.catalogue_hash:
        return ""
    return f"It was trained on another item catalog, so readers keep {before.label} until a run has trained it on today's. "
