"""Objects in a folder: whole objects in, whole objects out, listed by prefix."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from recsys_platform.errors import HubError


@dataclass(frozen=True, order=True)
class HubObject:
    """One object: `etag` changes whenever its content may have changed."""

    key: str
    etag: str
    size_bytes: int


@dataclass(frozen=True)
class Hub:
    """A data hub in a local folder."""

    root: Path

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole or not at all, replacing one of the same key."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, data)
        except OSError as error:
            raise HubError(
                f"Cannot write {path}: {error.strerror}. Make the folder writable or set RECSYS_HOME."
            ) from error

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        try:
            return self.path(key).read_bytes()
        except OSError as error:
            raise HubError(f"Cannot read {self.path(key)}: {error.strerror}.") from error

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key; none if there is no such folder."""
        found = (Path(folder) / name for folder, _, names in os.walk(self.root / prefix) for name in names)
        return sorted(self._describe(path) for path in found if not path.name.startswith("."))

    def folders(self, prefix: str) -> list[str]:
        """The names directly under a prefix that hold objects deeper down, sorted."""
        folder = self.root / prefix
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def path(self, key: str) -> Path:
        """Where an object lies, for engines that read it themselves."""
        return self.root / key

    def _describe(self, path: Path) -> HubObject:
        stat = path.stat()
        key = path.relative_to(self.root).as_posix()
        return HubObject(key=key, etag=f"{stat.st_size:x}-{stat.st_mtime_ns:x}", size_bytes=stat.st_size)


def _write_atomically(path: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
        file.write(data)
    os.replace(file.name, path)
