"""What the platform asks of a data hub: whole objects in, whole objects out, listed by prefix.

Belongs here: the port, and how a hub is told apart from another. Does not: where objects lie (local.py, s3.py), what they are named
(keys.py).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class HubObject:
    """One object: `etag` changes with its content; in a folder, with nothing else."""

    key: str
    etag: str
    size_bytes: int


class Hub(Protocol):
    """The port. Keys have no leading `/`; every error of the place behind it is a `HubError`."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all, replacing one of the same key."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object whole unless there is one of the same key; whether it was written."""

    def get(self, key: str) -> bytes:
        """The bytes of an object."""

    def head(self, key: str, size: int) -> bytes:
        """The first bytes of an object, at most so many."""

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key."""

    def remove(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key; objects that only stand for a folder are none."""

    def folders(self, prefix: str) -> list[str]:
        """The names directly under a prefix that hold objects deeper down, sorted."""

    def where(self, key: str) -> str:
        """Where an object lies, for people: a path or an address."""
