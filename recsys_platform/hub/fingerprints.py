"""Fingerprints of file contents, cached until a file changes.

Belongs here: hashing and its cache. Does not: which files are objects (local.py).
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock

from recsys_platform.common.errors import HubError

MEMO = ".fingerprints"


@dataclass
class Fingerprints:
    """The cached fingerprints of the files below `root`: key → (file state, fingerprint).

    The file `.fingerprints` is the same cache on disk, shared by all processes. A line is appended when a file is new or has
    changed; the last line of a key counts. The file may be deleted at any time.
    """

    root: Path
    cached: dict[str, tuple[str, str]] = field(default_factory=dict)
    unsaved: list[str] = field(default_factory=list)
    offset: int = 0
    lock: Lock = field(default_factory=Lock)

    def fingerprint(self, key: str, stat: os.stat_result) -> str:
        """Size and hash of a file's content. A copy has the same fingerprint; `touch` does not change it."""
        # Every change of the content changes `ctime`, which cannot be set back.
        state = f"{stat.st_size:x}-{stat.st_ctime_ns:x}-{stat.st_ino:x}"
        before = self.cached.get(key)
        if before is not None and before[0] == state:
            return before[1]
        found = f"{stat.st_size:x}-{_content_hash(self.root / key)}"
        self.cached[key] = (state, found)
        if "\n" not in key:
            self.unsaved.append(f"{state} {found} {key}\n")
        return found

    def read(self) -> None:
        """Read the lines that were appended to `.fingerprints` since the last call."""
        with self.lock, suppress(OSError), (self.root / MEMO).open("rb") as file:
            if os.fstat(file.fileno()).st_size < self.offset:
                self.offset = 0
            file.seek(self.offset)
            lines = file.read().splitlines(keepends=True)
            for line in lines:
                self._parse_line(line)
            self.offset += sum(len(line) for line in lines if line.endswith(b"\n"))

    def write(self) -> None:
        """Append the new fingerprints to `.fingerprints`; if that fails, other processes compute them again."""
        with self.lock:
            lines, self.unsaved = self.unsaved, []
            with suppress(OSError), (self.root / MEMO).open("ab") as file:
                file.write("".join(lines).encode())

    def _parse_line(self, line: bytes) -> None:
        with suppress(ValueError):  # a truncated line
            state, found, key = line.decode().removesuffix("\n").split(" ", 2)
            self.cached[key] = (state, found)


@contextmanager
def fingerprints(root: Path) -> Iterator[Fingerprints]:
    """The fingerprints of the files below a folder."""
    found = _shared_fingerprints(root)
    found.read()
    yield found
    if found.unsaved:
        found.write()


@cache
def _shared_fingerprints(root: Path) -> Fingerprints:
    return Fingerprints(root)


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise HubError(f"Cannot read {path}: {error.strerror}.") from error
