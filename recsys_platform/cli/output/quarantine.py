"""What `recsys rejected` and `recsys revalidate` print: counts and keys, never a payload."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.ingestion.quarantine import Corrected, Group, RevalidationReport

_NEXT = "Run `recsys run` to bring the marts up to date."


def print_groups(out: Console, groups: Sequence[Group]) -> None:
    """Print outstanding rejected records by gate, source and reason, with one example each."""
    if not groups:
        out.print("There is no such rejected record.")
        return
    table = Table("gate", "source", "records", "reason", box=None, header_style="dim", show_edge=False)
    for group in groups:
        table.add_row(group.gate, group.source, f"{group.records:,}", escape(group.reason))
    out.print(table)
    out.print("\none of each", style="dim")
    for group in groups:
        out.print(escape(f"{group.reason}: {group.example}"), soft_wrap=True)


def print_listing(out: Console, rows: Sequence[Mapping[str, Any]], of: int) -> None:
    """Print single records by their position in the hub."""
    if not rows:
        return
    out.print(f"\nnewest {len(rows):,} of {of:,}; `--export FILE.jsonl` writes all with their payloads")
    for row in rows:
        out.print(escape(f"{row['gate']}  {row['object_key']} #{row['record_index']}  {row['reason']}"), soft_wrap=True)


def print_revalidated(out: Console, done: RevalidationReport) -> None:
    """Print how many records passed now."""
    out.print(
        f"{done.moved:,} rejected records are accepted now, {done.renamed:,} have another reason, {done.kept:,} stay as they were."
        + (f" {_NEXT}" if done.moved else "")
    )


def print_corrected(out: Console, done: Corrected) -> None:
    """Print how many records of a file of corrections were loaded."""
    out.print(
        f"{done.corrected:,} records corrected and loaded, {done.done_before:,} were corrected before, "
        f"{done.unchanged:,} lines are unchanged, {len(done.refused):,} would be rejected again."
        + (f" {_NEXT}" if done.corrected else "")
    )
    for sentence in done.refused:
        out.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)
