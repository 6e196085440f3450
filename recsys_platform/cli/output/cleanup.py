"""What `recsys cleanup` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from recsys_platform.cli.output.formats import megabytes
from recsys_platform.defs.automation.cleanup import Removed

_MAX_NAMES = 20


def print_removed(out: Console, done: Sequence[Removed], *, dry_run: bool) -> None:
    """Print for each kind how many were removed, their size, and the first names."""
    verb = "would be removed" if dry_run else "removed"
    for each in done:
        size = f", {megabytes(each.bytes)}" if each.bytes else ""
        names = ", ".join(each.names[:_MAX_NAMES]) + (", …" if len(each.names) > _MAX_NAMES else "")
        out.print(
            escape(f"{len(each.names):,} {each.what} {verb}{size}{f': {names}' if names else ''}"), soft_wrap=True
        )
    if dry_run:
        out.print("Nothing was removed. Retention: docs/operations.md, settings RECSYS_KEEP_….")
