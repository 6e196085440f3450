"""What `recsys cleanup` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from recsys_platform.cli.output import megabytes
from recsys_platform.defs.automation.cleanup import Removed

_SHOWN = 20


def print_removed(out: Console, done: Sequence[Removed], *, dry_run: bool) -> None:
    """Each kind with its number, what it weighed, and the first names."""
    verb = "would be removed" if dry_run else "removed"
    for each in done:
        size = f", {megabytes(each.bytes)}" if each.bytes else ""
        names = ", ".join(each.names[:_SHOWN]) + (", …" if len(each.names) > _SHOWN else "")
        out.print(
            escape(f"{len(each.names):,} {each.what} {verb}{size}{f': {names}' if names else ''}"), soft_wrap=True
        )
    if dry_run:
        out.print("Nothing was removed. What is kept: docs/operations.md, RECSYS_KEEP_….")
