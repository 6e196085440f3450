"""What `recsys import` and `recsys import-events` print."""

from rich.console import Console
from rich.markup import escape

from recsys_platform.sources.event_import import EventImportSummary
from recsys_platform.sources.file_import import ImportSummary

MAX_ERRORS = 10


def print_imported_files(out: Console, done: ImportSummary, *, dry_run: bool) -> None:
    """Print what was written, or would be, and which values could not be read."""
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


def print_imported_events(out: Console, err: Console, done: EventImportSummary) -> None:
    """Print what was imported, and which files were refused."""
    sources = ", ".join(f"{records:,} of {source}" for source, records in sorted(done.sources.items())) or "none"
    dropped = f"; {done.dropped:,} were dropped by their transformation" if done.dropped else ""
    new = done.objects - done.known
    known = f", {done.known:,} were there already" if done.known else ""
    out.print(
        f"{done.records:,} records ({sources}) from {done.files:,} files{dropped}; {new:,} new landing objects{known}.",
        soft_wrap=True,
    )
    for sentence in done.refused[:MAX_ERRORS]:
        err.print(f"[bold red]error:[/] {escape(sentence)}", soft_wrap=True)
    if len(done.refused) > MAX_ERRORS:
        err.print(f"… and {len(done.refused) - MAX_ERRORS:,} more files.")
