"""What `recsys rejected` and `recsys replay-rejected` print: counts and keys, never a payload."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.ingestion.quarantine import Corrected, Group
from recsys_platform.warehouse.port import ReplayReport

_NEXT = "Run `recsys run` to bring the marts up to date."


def print_groups(out: Console, groups: Sequence[Group]) -> None:
    """Outstanding records by gate, source and reason, each with one example."""
    if not groups:
        out.print("There is no such record: all others were accepted, or are corrected.")
        return
    table = Table("gate", "source", "records", "reason", box=None, header_style="dim", show_edge=False)
    for group in groups:
        table.add_row(group.gate, group.source, f"{group.records:,}", escape(group.reason))
    out.print(table)
    out.print("\none of each", style="dim")
    for group in groups:
        out.print(escape(f"{group.reason}: {group.example}"), soft_wrap=True)


def print_listing(out: Console, rows: Sequence[Mapping[str, Any]], of: int) -> None:
    """Single records by their place in the hub."""
    if not rows:
        return
    out.print(f"\nnewest {len(rows):,} of {of:,}; `--export FILE.jsonl` writes all with their payloads")
    for row in rows:
        out.print(escape(f"{row['gate']}  {row['object_key']} #{row['record_index']}  {row['reason']}"), soft_wrap=True)


def print_replayed(out: Console, done: ReplayReport) -> None:
    """What judging again did."""
    out.print(
        f"{done.moved:,} rejected records are accepted now, {done.renamed:,} have another reason, {done.kept:,} stay as they were."
        + (f" {_NEXT}" if done.moved else "")
    )


def print_corrected(out: Console, done: Corrected) -> None:
    """What a file of corrections did."""
    out.print(
        f"{done.corrected:,} records corrected and loaded, {done.done_before:,} were so before, "
        f"{done.unchanged:,} lines are unchanged, {len(done.refused):,} would be rejected again."
        + (f" {_NEXT}" if done.corrected else "")
    )
    for sentence in done.refused:
        out.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)
