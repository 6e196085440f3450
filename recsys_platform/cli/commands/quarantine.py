"""Commands on rejected records: `rejected`, `revalidate`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from recsys_platform.cli.console import OUT
from recsys_platform.cli.worlds import prepared_warehouse
from recsys_platform.common.errors import InputError
from recsys_platform.config.factories import hub_of
from recsys_platform.config.settings import load_settings

_REASON = typer.Option(metavar="TEXT", help="Only records whose reason contains this text.")


def rejected(
    reason: Annotated[str | None, _REASON] = None,
    gate: Annotated[
        Literal["load", "contract"] | None,
        typer.Option(help="Only records rejected while loading, or by the contract of events."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Number of single records to list.")] = 20,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Write all of them with their payloads, for correction.")
    ] = None,
) -> None:
    """List rejected records, grouped by reason; payloads may hold personal data and are written only by --export."""
    from recsys_platform.cli.output.quarantine import print_groups, print_listing
    from recsys_platform.ingestion import quarantine

    warehouse = prepared_warehouse(load_settings())
    groups = quarantine.groups(warehouse, gate=gate, reason=reason)
    print_groups(OUT, groups)
    listed = quarantine.listing(warehouse, gate=gate, reason=reason, limit=limit)
    print_listing(OUT, listed, sum(group.records for group in groups))
    if export and groups:
        written = quarantine.export(warehouse, export, gate=gate or "load", reason=reason)
        OUT.print(
            f"{written:,} records with their payloads written to {export}: correct payloads there, then "
            f"`recsys revalidate --corrections {export}`",
            soft_wrap=True,
        )


def revalidate(
    reason: Annotated[str | None, _REASON] = None,
    corrections: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="A file of `recsys rejected --export` with corrected payloads."),
    ] = None,
) -> None:
    """Validate rejected records again, with today's rules or with corrected payloads; load what passes, exactly once."""
    from recsys_platform.cli.output.quarantine import print_corrected, print_revalidated
    from recsys_platform.ingestion.quarantine import correct, revalidate_rejected

    if reason is not None and corrections is not None:
        raise InputError("--reason and --corrections exclude each other: a file of corrections names its records.")
    settings = load_settings()
    hub, warehouse = hub_of(settings), prepared_warehouse(settings)
    if corrections is None:
        print_revalidated(OUT, revalidate_rejected(hub, warehouse, reason=reason))
        return
    done = correct(hub, warehouse, corrections)
    print_corrected(OUT, done)
    if done.refused:
        sys.exit(1)
