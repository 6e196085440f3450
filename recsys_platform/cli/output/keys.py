"""What `recsys keys list` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from recsys_platform.common.clock import utc_now
from recsys_platform.serving.gateway.keys import Key


def print_keys(out: Console, keys: Sequence[Key]) -> None:
    """Print the keys, newest first."""
    if not keys:
        out.print("There are no keys yet: `recsys keys create NAME`.")
        return
    table = Table("id", "name", "roles", "tier", "created", "state")
    for key in sorted(keys, key=lambda each: each.created_at, reverse=True):
        table.add_row(key.id, key.name, ", ".join(key.roles), key.tier, f"{key.created_at:%Y-%m-%d}", _state_of(key))
    out.print(table)


def _state_of(key: Key) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at and not key.is_valid(utc_now()):
        return f"expired {key.expires_at:%Y-%m-%d}"
    return f"valid to {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"
