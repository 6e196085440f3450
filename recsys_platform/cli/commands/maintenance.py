"""Commands for operators: `cleanup`, `migrate`, `accept-snapshot`."""

from typing import Annotated, Literal

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import open_world, prepared_warehouse
from recsys_platform.common.clock import utc_now
from recsys_platform.config.factories import hub_of, registry_of, warehouse_of


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove model versions, Dagster runs and evaluations past their retention (settings RECSYS_KEEP_…)."""
    from recsys_platform.cli.output.cleanup import print_removed
    from recsys_platform.defs.automation.cleanup import clean_up
    from recsys_platform.defs.automation.instances import instance_of

    settings = open_world()
    warehouse, now = prepared_warehouse(settings), utc_now()
    with instance_of(settings) as instance:
        done = clean_up(settings, registry_of(settings), warehouse, instance, now=now, dry_run=dry_run)
    print_removed(OUT, done, dry_run=dry_run)


def migrate() -> None:
    """Bring Dagster's tables and those of `ops` up to this release before its processes start; newer ones stay as they are."""
    from recsys_platform.defs.automation.instances import instance_of, upgrade_tables

    settings = open_world()
    with instance_of(settings) as instance:
        upgraded = upgrade_tables(instance)
    OUT.print(f"Dagster's tables are {'those of this release' if upgraded else 'of a newer release, and stay'}.")
    warehouse_of(settings).prepare()
    OUT.print("The warehouse has the schemas and tables of this release.")


def accept_snapshot(
    kind: Annotated[Literal["user_attributes", "book_attributes"], typer.Argument(help="The feed.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, kept in the record.")] = "decided by a person",
) -> None:
    """Accept the newest snapshot of a feed although it lost records or fields; later snapshots are compared with it."""
    from recsys_platform.defs.automation.instances import instance_of
    from recsys_platform.defs.ingestion.feed_checks import accept_feed

    settings = open_world()
    with instance_of(settings) as instance:
        OUT.print(accept_feed(hub_of(settings), kind, instance, settings.feed_loss, why=reason), soft_wrap=True)
