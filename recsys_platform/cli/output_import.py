"""What `recsys replay` prints of somebody's own files."""

from rich.console import Console
from rich.markup import escape

from recsys_platform.sources.file_import import ReplaySummary


def print_replayed_files(out: Console, done: ReplaySummary, *, dry_run: bool) -> None:
    """What was written, or would be, and what could not be read."""
    for unread in done.unread:
        out.print(f"[yellow]warning:[/] {escape(unread.sentence())}.", soft_wrap=True)
    left_out = f"; {done.left_out:,} rows of events left out" if done.left_out else ""
    would = "Dry run, nothing was written: " if dry_run else ""
    out.print(
        f"{would}{done.events:,} events in {done.objects:,} objects, {done.first_day} to {done.last_day}{left_out}; "
        f"{done.users:,} users and {done.books:,} books. In the interactions but not in the files: {done.unknown_users:,} users, "
        f"{done.unknown_books:,} books.",
        soft_wrap=True,
    )
