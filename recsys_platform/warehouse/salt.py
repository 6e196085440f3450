"""The secret salt of hashes, in the one row of `raw.pii_salt` where SQL reads it."""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

Execute = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]


def ensure_salt(execute: Execute, salt: str | None) -> bool:
    """Put the salt there, None: any, if there is none yet; whether that replaced another. The caller holds the transaction."""
    kept = [there for (there,) in execute("select salt from raw.pii_salt", [])]
    if kept == [salt] or (kept and salt is None):
        return False
    execute("delete from raw.pii_salt", [])
    execute("insert into raw.pii_salt values (?)", [salt or secrets.token_hex(32)])
    return bool(kept)
