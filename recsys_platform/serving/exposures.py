"""The event spool: events that an answer or an app gave, on disk first, then in the hub; none is lost by a killed process.

Belongs here: the files on disk, and their delivery as landing objects. Does not: what an event says (gateway/).

An event is appended to a file before it is answered: `kill -9` then loses nothing, because the system writes what was handed over. A
thread closes the file after some seconds and delivers it as one landing object, named by its content, so that a delivery that is
repeated changes nothing. Files of processes that are gone are delivered at the next start. A full disk drops events, which are
counted; it never stops an answer.
"""

import datetime as dt
import fcntl
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
from isal import isal_zlib

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import RecsysError
from recsys_platform.hub.landing_writer import object_name
from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.object_store import Hub

_LOG = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
MOST_BYTES = 4 * 2**20
_NEW, _OPEN, _READY = ".new", ".open", ".ready"
_GZIP = 31


class Destination(Protocol):
    """Takes a file of events, as JSON lines; raises RecsysError or OSError if it must be tried again."""

    def __call__(self, content: bytes, arrival: dt.datetime) -> None:
        """Deliver the content; `arrival` is when the first event was written (UTC)."""


def to_hub(hub: Hub, stream: str = "gateway") -> Destination:
    """Return a destination that writes landing objects as Firehose does."""

    def deliver(content: bytes, arrival: dt.datetime) -> None:
        name = object_name(content, source="segment", arrival=arrival, stream=stream)
        packed = isal_zlib.compress(content, 1, _GZIP)  # a fraction of the time that zlib takes
        hub.put_new(landing_key("segment", arrival, name), packed)

    return deliver


@dataclass
class SpoolFigures:
    """What a spool did since it was opened, in events or files."""

    appended: int = 0
    dropped: int = 0
    delivered_files: int = 0
    failed_deliveries: int = 0


@dataclass
class EventSpool:
    """Appends events to a file and delivers closed files; safe for threads, one object a process."""

    folder: Path
    deliver: Destination
    flush_seconds: float = FLUSH_SECONDS
    now: Callable[[], dt.datetime] = utc_now
    figures: SpoolFigures = field(default_factory=SpoolFigures)
    _file: int | None = None
    _path: Path | None = None
    _size: int = 0
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _delivering: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Adopt the files of processes that are gone, and deliver in a thread from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._run, name="deliver-events", daemon=True)
        self._thread.start()

    def append(self, *events: Mapping[str, Any]) -> bool:
        """Write events to the file; False if the disk refused them."""
        lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        with self._lock:
            try:
                self._write_lines(lines)
            except OSError as error:
                self.figures.dropped += len(events)
                _LOG.error("%d events were dropped: %s", len(events), error)
                return False
            self.figures.appended += len(events)
        return True

    def stop(self) -> None:
        """Deliver what is there, as far as the destination takes it, and end the thread."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=30)
        self.flush()

    def flush(self) -> None:
        """Close the file and deliver all closed files, those of dead processes too; the oldest first."""
        with self._delivering:
            self._close_file()
            self._adopt_files()
            for path in sorted(self.folder.glob(f"*{_READY}")):
                if not self._deliver_file(path):
                    return

    def _run(self) -> None:
        while True:
            try:
                self.flush()
            except Exception:  # noqa: BLE001  # the next turn tries again: a thread that ended would deliver nothing more
                self.figures.failed_deliveries += 1
                _LOG.exception("Events could not be delivered")
            if self._stop.wait(self.flush_seconds):
                return

    def _write_lines(self, lines: bytes) -> None:
        """Append in one call; what a full disk took of it is taken back, so that no half record stays."""
        if self._file is None or self._size + len(lines) > MOST_BYTES:
            self._open_file()
        assert self._file is not None  # noqa: S101  # for mypy: it was just opened
        written = os.write(self._file, lines)
        if written < len(lines):
            os.ftruncate(self._file, self._size)
            raise OSError(f"the disk took {written} of {len(lines)} bytes")
        self._size += written

    def _open_file(self) -> None:
        self._close_locked()
        self._number += 1
        path = self.folder / f"{self.now():%Y%m%dT%H%M%S%f}-{os.getpid()}-{self._number}{_OPEN}"
        # It gets the name by which others may adopt it only once it is locked.
        draft = path.with_suffix(_NEW)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            draft.rename(path)
        except OSError:
            os.close(file)
            draft.unlink(missing_ok=True)
            raise
        self._file, self._path, self._size = file, path, 0

    def _close_file(self) -> None:
        with self._lock:
            self._close_locked()

    def _close_locked(self) -> None:
        if self._file is not None and self._path is not None:
            self._path.rename(self._path.with_suffix(_READY))
            os.close(self._file)
            self._file = self._path = None

    def _adopt_files(self) -> None:
        """Take over open files that no living process holds; another process may take one first."""
        for path in self.folder.glob(f"*{_OPEN}"):
            if path != self._path and _is_unlocked(path):
                with suppress(FileNotFoundError):
                    path.rename(path.with_suffix(_READY))

    def _deliver_file(self, path: Path) -> bool:
        try:
            content, arrival = path.read_bytes(), _arrival_of(path)
            if content and arrival:
                self.deliver(content, arrival)
            elif content:  # not a file of ours
                return True
            path.unlink(missing_ok=True)
        except FileNotFoundError:  # another process delivered it
            return True
        except (RecsysError, OSError) as error:
            self.figures.failed_deliveries += 1
            _LOG.warning("%s will be delivered later: %s", path.name, error)
            return False
        self.figures.delivered_files += 1
        return True


def _arrival_of(path: Path) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(path.name.partition("-")[0], "%Y%m%dT%H%M%S%f")
    except ValueError:
        return None


def _is_unlocked(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True
