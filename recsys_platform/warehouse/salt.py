"""The secret salt of hashes, in the one row of `raw.pii_salt` where SQL reads it.

Hashes are joined over years, so that another salt is refused unless somebody replaces it on purpose. A fingerprint tells salts apart
without showing one.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from recsys_platform.common.errors import SaltError

Execute = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]


def ensure_salt(execute: Execute, salt: str | None, *, replace: bool = False) -> bool:
    """Put the salt there, None: any, if there is none yet; whether that replaced another. The caller holds the transaction.

    Raises `SaltError` if another one is there, unless it is to be replaced.
    """
    kept = _kept_salts(execute)
    if kept == [salt] or (kept and salt is None):
        return False
    if not replace:
        require_same_salt(fingerprint(kept[0]) if kept else None, salt)
    execute("delete from raw.pii_salt", [])
    execute("insert into raw.pii_salt values (?)", [salt or secrets.token_hex(32)])
    return bool(kept)


def require_same_salt(kept: str | None, salt: str | None) -> None:
    """Raise `SaltError` if a salt is not the one whose fingerprint is kept; None is any."""
    if kept and salt and fingerprint(salt) != kept:
        raise SaltError(
            f"RECSYS_PII_SALT has the fingerprint {fingerprint(salt)}, but hashes of this warehouse are made with the salt {kept}:"
            " give the platform that salt again, from its backup; `recsys salt replace` says what another one costs."
        )


def kept_fingerprint(execute: Execute) -> str | None:
    """The fingerprint of the salt that is kept, None before there is one."""
    kept = _kept_salts(execute)
    return fingerprint(kept[0]) if kept else None


def fingerprint(salt: str) -> str:
    """Eight hexadecimal digits that tell salts apart; a salt cannot be computed from them."""
    return hashlib.sha256(f"recsys salt fingerprint:{salt}".encode()).hexdigest()[:8]


def _kept_salts(execute: Execute) -> list[str]:
    return [str(there) for (there,) in execute("select salt from raw.pii_salt", [])]
