"""What `recsys rejected` and `recsys replay-rejected` print: counts and keys, never a payload."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.warehouse.port import ReplayReport
from recsys_platform.warehouse.rejected import Corrected, Group

_NEXT = "Run `recsys run` to bring the marts up to date."


def print_groups(out: Console, groups: Sequence[Group]) -> None:
    """Outstanding records by gate, source and reason."""
    if not groups:
        out.print("Nothing is rejected: every landed record was accepted, or is corrected.")
        return
    table = Table("gate", "source", "reason", "records", "for example", box=None, header_style="dim")
    for group in groups:
        table.add_row(group.gate, group.source, escape(group.reason), f"{group.records:,}", escape(group.example))
    out.print(table)


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
        f"{done.corrected:,} records corrected and loaded, {done.done_before:,} were so before, {done.unchanged:,} lines are unchanged, "
        f"{len(done.refused):,} would be rejected again." + (f" {_NEXT}" if done.corrected else "")
    )
    for sentence in done.refused:
        out.print(f"[yellow]{escape(sentence)}[/]", soft_wrap=True)
