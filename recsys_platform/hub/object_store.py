"""The object store port: write, read, list and remove whole objects.

Belongs here: the port. Does not: its implementations (local.py, s3.py), key names (layout.py).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class HubObject:
    """One object. `etag` changes with its content; in a local folder, only with its content."""

    key: str
    etag: str
    size_bytes: int


class Hub(Protocol):
    """The port. Keys have no leading `/`; every error of the storage is raised as a `HubError`."""

    def put(self, key: str, data: bytes) -> None:
        """Write an object atomically, replacing one of the same key."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object atomically unless the key exists; returns whether it was written."""

    def get(self, key: str) -> bytes:
        """The bytes of an object."""

    def head(self, key: str, size: int) -> bytes:
        """The first `size` bytes of an object."""

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""

    def remove(self, key: str) -> None:
        """Remove an object; a missing object is no error."""

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key, without folder markers."""

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly under a prefix, sorted."""

    def where(self, key: str) -> str:
        """The location of an object, for messages: a path or a URL."""
