"""Where the state of the canary is kept: a file beside what is served, or Parameter Store.

Belongs here: writing it, unless another process did meanwhile. Does not: reading it for each request (routing_files.py).
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recsys_platform.common.atomic_write import replace_file
from recsys_platform.common.errors import RecsysError
from recsys_platform.config.settings import Settings
from recsys_platform.serving.rollout.record import CanaryError, CanaryRecord, record_text
from recsys_platform.serving.routing_files import CanaryFile, store_of

if TYPE_CHECKING:  # imports boto3
    from recsys_platform.serving.routing_parameters import ParameterStore


PUT_BACKS = 5
PUT_BACK_SECONDS = 1.0


class ChangedMeanwhileError(RecsysError):
    """Another process changed the state after it was read."""


class StateStore(Protocol):
    """Keeps one record."""

    def read(self) -> CanaryRecord | None:
        """The record; None if there never was a canary. Raises RecsysError."""

    def write(self, record: CanaryRecord, before: CanaryRecord | None) -> None:
        """Write a record. Raises ChangedMeanwhileError, and changes nothing, unless the one that is there is `before`."""


def state_store_of(settings: Settings) -> StateStore:
    """The store of a world."""
    store, file = store_of(settings), CanaryFile(settings)
    return FileState(file) if store is None else ParameterState(store, file)


class FileState:
    """The record in a file; processes of one machine, or of a shared folder with locks, take turns."""

    def __init__(self, file: CanaryFile) -> None:
        """`file`: that gateways read."""
        self._file = file

    def read(self) -> CanaryRecord | None:
        """The record."""
        return self._file.read()

    def write(self, record: CanaryRecord, before: CanaryRecord | None) -> None:
        """Write a record in one step."""
        path = self._file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with locked_file(path.with_name(f".{path.name}.lock")):
                _check_unchanged(self.read(), before)
                replace_file(path, record_text(record))
        except OSError as error:
            raise CanaryError(
                f"{path} cannot be written: {error.strerror}. Choose a RECSYS_HOME you may write to."
            ) from error


class ParameterState:
    """The record in a parameter, whose version tells whether somebody else wrote it."""

    def __init__(self, store: "ParameterStore", file: CanaryFile) -> None:
        """`file`: its name and how its text is read."""
        self._store, self._file = store, file

    def read(self) -> CanaryRecord | None:
        """The record."""
        return self._read()[0]

    def write(self, record: CanaryRecord, before: CanaryRecord | None) -> None:
        """Write a record; if another one came between, that one is put back."""
        present, version = self._read()
        _check_unchanged(present, before)
        written = self._store.put_text(self._file.name, record_text(record))
        if written > version + 1:
            self._put_back(written - 1)
            raise ChangedMeanwhileError(_CHANGED)

    def _put_back(self, version: int) -> None:
        """Write what was overwritten again, and try hard: it may be what a person decided."""
        for attempt in range(1, PUT_BACKS + 1):
            try:
                theirs = self._store.text_of(f"{self._file.name}:{version}")
                if theirs is not None:
                    self._store.put_text(self._file.name, theirs)
                return
            except RecsysError:
                if attempt == PUT_BACKS:
                    raise
                time.sleep(PUT_BACK_SECONDS)

    def _read(self) -> tuple[CanaryRecord | None, int]:
        found = self._store.versioned_text_of(self._file.name)
        if found is None:
            return None, 0
        return self._file.parsed(found[0], f"{self._file.name} in the store"), found[1]


_CHANGED = "The canary was changed by somebody else at this moment: look at it with `recsys canary`, then try again."


def _check_unchanged(present: CanaryRecord | None, before: CanaryRecord | None) -> None:
    if (present and (present.experiment, present.revision)) != (before and (before.experiment, before.revision)):
        raise ChangedMeanwhileError(_CHANGED)


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Wait for a file that one process at a time holds."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
