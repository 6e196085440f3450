"""A salt that tests know, and a moment that their records share."""

import hashlib
from typing import Any

SALT = "grain-of-salt-for-tests-0123456789"
TIME = "2026-11-22T09:00:00Z"
EPOCH = 1795338000


def salted(text: str) -> str:
    return hashlib.sha256(f"{SALT}:{text}".encode()).hexdigest()


def put_salt(world: Any) -> None:
    """What Python does with RECSYS_PII_SALT."""
    with world.connect() as con:
        con.execute("insert into raw.pii_salt values (?)", [SALT])
