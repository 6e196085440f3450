"""What `recsys destinations` prints."""

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recsys_platform.serving.delivery import QueueState


def print_destinations(out: Console, states: Mapping[str, QueueState]) -> None:
    """Print a row for each destination."""
    table = Table("destination", "waiting", "since (UTC)", "refused", "on disk", "state")
    for name, state in states.items():
        since = f"{state.oldest:%Y-%m-%d %H:%M}" if state.oldest else ""
        size = f"{state.disk_bytes / 1e6:,.1f} MB"
        what = state.problem or ("waiting" if state.waiting_events else "delivered")
        table.add_row(name, f"{state.waiting_events:,}", since, f"{state.dead_events:,}", size, escape(what))
    out.print(table)
