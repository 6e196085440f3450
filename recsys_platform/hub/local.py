"""A data hub in a local folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from recsys_platform.common.errors import HubError
from recsys_platform.hub.fingerprints import Fingerprints, fingerprints
from recsys_platform.hub.layout import is_folder_marker
from recsys_platform.hub.object_store import HubObject


@dataclass(frozen=True)
class FolderHub:
    """Objects are files below `root`; a file that is being written has a name that begins with a dot."""

    root: Path

    def put(self, key: str, data: bytes) -> None:
        """Write an object atomically, replacing one of the same key."""
        with self._temporary_file(key, data) as draft:
            os.replace(draft, self.path(key))

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object atomically unless the key exists; returns whether it was written."""
        if self.exists(key):
            return False
        with self._temporary_file(key, data) as draft:
            try:
                os.link(draft, self.path(key))
            except FileExistsError:
                return False
        return True

    def get(self, key: str) -> bytes:
        """The bytes of an object."""
        return self.head(key, -1)

    def head(self, key: str, size: int) -> bytes:
        """The first `size` bytes of an object; all of it if `size` is negative."""
        try:
            with self.path(key).open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise HubError(f"Cannot read {self.path(key)}: {error.strerror}.") from error

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        return self.path(key).is_file()

    def remove(self, key: str) -> None:
        """Remove an object, and its folder if that is then empty; a missing object is no error."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            raise HubError(f"Cannot remove {self.path(key)}: {error.strerror}. Make the folder writable.") from error
        with suppress(OSError):
            self.path(key).parent.rmdir()

    def objects(self, prefix: str) -> list[HubObject]:
        """The objects under a prefix that ends with `/`, sorted by key; empty if there is no such folder."""
        paths = (Path(folder) / name for folder, _, names in os.walk(self.root / prefix) for name in names)
        with fingerprints(self.root) as known:
            found = [self._hub_object(path, known) for path in paths if not path.name.startswith(".")]
        return sorted(item for item in found if not is_folder_marker(item.key, item.size_bytes))

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly under a prefix, sorted."""
        folder = self.root / prefix
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def where(self, key: str) -> str:
        """The path of an object."""
        return str(self.path(key))

    def path(self, key: str) -> Path:
        """The path of an object."""
        return self.root / key

    @contextmanager
    def _temporary_file(self, key: str, data: bytes) -> Iterator[str]:
        """A temporary file with the data in the object's folder; removed at the end unless it was moved into place."""
        path = self.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
                file.write(data)
            try:
                yield file.name
            finally:
                Path(file.name).unlink(missing_ok=True)
        except OSError as error:
            raise HubError(
                f"Cannot write {path}: {error.strerror}. Make the folder writable or set RECSYS_HOME."
            ) from error

    def _hub_object(self, path: Path, known: Fingerprints) -> HubObject:
        stat = path.stat()
        key = path.relative_to(self.root).as_posix()
        return HubObject(key=key, etag=known.fingerprint(key, stat), size_bytes=stat.st_size)
