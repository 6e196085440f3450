"""Fingerprints of the content of files, read again only where a file may have changed.

Belongs here: hashing and what is remembered of it. Does not: which files are objects (local.py).
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
    """What is known of the files below `root`: key → state of the file, fingerprint.

    The file `.fingerprints` holds the same, a line a file, and is shared by all processes: a line is added where a file is new or
    its state is another, the last one counts. It may be deleted at any time.
    """

    root: Path
    known: dict[str, tuple[str, str]] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    place: int = 0
    lock: Lock = field(default_factory=Lock)

    def of(self, key: str, stat: os.stat_result) -> str:
        """Size and hash of the content of a file. A copy has the same; so has a file that was only touched."""
        # Whatever changes content changes `ctime`, and nobody can set it back.
        state = f"{stat.st_size:x}-{stat.st_ctime_ns:x}-{stat.st_ino:x}"
        before = self.known.get(key)
        if before is not None and before[0] == state:
            return before[1]
        found = f"{stat.st_size:x}-{_content_hash(self.root / key)}"
        self.known[key] = (state, found)
        if "\n" not in key:
            self.fresh.append(f"{state} {found} {key}\n")
        return found

    def read(self) -> None:
        """Learn what has been written since it was last read."""
        with self.lock, suppress(OSError), (self.root / MEMO).open("rb") as file:
            if os.fstat(file.fileno()).st_size < self.place:
                self.place = 0
            file.seek(self.place)
            lines = file.read().splitlines(keepends=True)
            for line in lines:
                self._learn(line)
            self.place += sum(len(line) for line in lines if line.endswith(b"\n"))

    def write(self) -> None:
        """Keep what was hashed for other processes; without a place to write it is hashed again."""
        with self.lock:
            lines, self.fresh = self.fresh, []
            with suppress(OSError), (self.root / MEMO).open("ab") as file:
                file.write("".join(lines).encode())

    def _learn(self, line: bytes) -> None:
        with suppress(ValueError):  # a line that was cut short
            state, found, key = line.decode().removesuffix("\n").split(" ", 2)
            self.known[key] = (state, found)


@contextmanager
def fingerprints(root: Path) -> Iterator[Fingerprints]:
    """The fingerprints of the files below a folder."""
    found = _shared(root)
    found.read()
    yield found
    if found.fresh:
        found.write()


@cache
def _shared(root: Path) -> Fingerprints:
    return Fingerprints(root)


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise HubError(f"Cannot read {path}: {error.strerror}.") from error
