"""The event spool: events that an answer or an app gave, on disk first, then in the hub; none is lost by a killed process.

Belongs here: the files on disk, and handing them to the queues of landing and destinations. Does not: what an event says (gateway/),
retries (delivery.py).

An event is appended to a file before it is answered: `kill -9` then loses nothing, because the system writes what was handed over. A
thread closes the file after some seconds and puts it into the queue of the landing, and what is for a destination into that of each
destination; each queue delivers in a thread of its own, so that none waits for another. A landing object is named by its content, so
that a delivery that is repeated changes nothing. Files of processes that are gone are delivered too: whoever shares the folder looks
for files that no living process has locked. A full disk drops events, which are counted; it never stops an answer.
"""

import datetime as dt
import fcntl
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from isal import isal_zlib

from recsys_platform.common.clock import utc_now
from recsys_platform.hub.landing_writer import object_name
from recsys_platform.hub.layout import landing_key
from recsys_platform.hub.object_store import Hub
from recsys_platform.serving.delivery import READY, DeliveryQueue, Destination, arrival_of_file, locked_folder

_LOG = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
MOST_BYTES = 4 * 2**20
_NEW, _OPEN = ".new", ".open"
LANDING = "landing"
_STOP_SECONDS = 25.0
_HAND_OVER_SECONDS = 10.0
_GZIP = 31


def to_hub(hub: Hub, stream: str = "gateway") -> Destination:
    """Return a destination that writes landing objects as Firehose does."""

    def deliver(content: bytes, arrival: dt.datetime) -> None:
        name = object_name(content, source="segment", arrival=arrival, stream=stream)
        packed = isal_zlib.compress(content, 1, _GZIP)  # a fraction of the time that zlib takes
        hub.put_new(landing_key("segment", arrival, name), packed)

    return deliver


@dataclass
class SpoolFigures:
    """What a spool did since it was opened, in events."""

    appended: int = 0
    dropped: int = 0


@dataclass
class EventSpool:
    """Appends events to a file and hands closed files to queues; safe for threads, one object a process.

    `deliver`: to the hub or the stream where events land. `destinations`: other receivers, each with a queue of its own.
    """

    folder: Path
    deliver: Destination
    flush_seconds: float = FLUSH_SECONDS
    now: Callable[[], dt.datetime] = utc_now
    destinations: Sequence[DeliveryQueue] = ()
    on_handed_over: Callable[[], None] = lambda: None
    """Called after files were handed over."""
    figures: SpoolFigures = field(default_factory=SpoolFigures)
    _file: int | None = None
    _path: Path | None = None
    _size: int = 0
    _number: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        """Make the queue of the landing."""
        self._name = uuid.uuid4().hex[:12]  # process ids of hosts and containers are alike
        self.landing = DeliveryQueue(
            LANDING, self.folder / LANDING, self.deliver, poll_seconds=min(5.0, self.flush_seconds)
        )

    @property
    def queues(self) -> Sequence[DeliveryQueue]:
        """The queue of the landing, then those of the destinations."""
        return (self.landing, *self.destinations)

    @property
    def trouble(self) -> str | None:
        """Sentences about what waits or was dropped; None if all is well."""
        return " ".join(filter(None, (queue.trouble for queue in self.queues))) or None

    def start(self) -> None:
        """Take over the files of processes that are gone, and deliver in threads from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for queue in self.queues:
            queue.start()
        self._thread = threading.Thread(target=self._run, name="hand-over-events", daemon=True)
        self._thread.start()

    def append(self, *events: Mapping[str, Any]) -> bool:
        """Write events to the file; False if the disk refused them."""
        return self.append_lines(b"".join([msgspec.json.encode(event) + b"\n" for event in events]), len(events))

    def append_lines(self, lines: bytes, events: int = 1) -> bool:
        """Write events that are encoded already, a line each; False if the disk refused them."""
        with self._lock:
            try:
                self._write_lines(lines)
            except OSError as error:
                self.figures.dropped += events
                _LOG.error("%d events were dropped: %s", events, error)
                return False
            self.figures.appended += events
        return True

    @property
    def open_folder(self) -> Path:
        """The folder of the file that is written now."""
        return self.folder

    def stop(self) -> None:
        """Deliver what is there, as far as the receivers take it in time, and end the threads; the rest stays on disk."""
        until = time.monotonic() + _STOP_SECONDS
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=_HAND_OVER_SECONDS)
        self._try_hand_over()
        if self._thread is None:
            self.landing.flush()
        for queue in self.queues:
            queue.request_stop()
        for queue in self.queues:
            queue.join(until - time.monotonic())

    def flush(self) -> None:
        """Close the file, hand over all closed files, those of dead processes too, and deliver to the landing; the oldest first."""
        self.hand_over()
        self.landing.flush()

    def hand_over(self) -> None:
        """Close the file, and put all closed files, those of dead processes too, into the queues."""
        self._close_file()
        with locked_folder(self.folder, _HAND_OVER_SECONDS) as is_ours:
            if not is_ours:  # another process does it
                return
            self._adopt_files()
            for path in sorted(self.folder.glob(f"*{READY}")):
                if arrival_of_file(path):
                    self._enqueue_file(path)
        for queue in self.queues:
            queue.enforce_limit()
            queue.wake()
        self.on_handed_over()

    def _enqueue_file(self, path: Path) -> None:
        """Copy a file for each destination, then move it to the landing's queue; if it is killed between, it does all again."""
        for queue in self.destinations:
            queue.add_copy(path)
        self.landing.folder.mkdir(parents=True, exist_ok=True)
        path.rename(self.landing.folder / path.name)

    def _run(self) -> None:
        while not self._stop.wait(self._try_hand_over()):
            pass

    def _try_hand_over(self) -> float:
        try:
            self.hand_over()
        except OSError as error:  # a full disk: the files stay where they are
            _LOG.warning("Events will be delivered later: %s", error)
        return self.flush_seconds

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
        path = self.open_folder / f"{self.now():%Y%m%dT%H%M%S%f}-{self._name}-{os.getpid()}-{self._number}{_OPEN}"
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
            self._path.rename(self._path.with_suffix(READY))
            os.close(self._file)
            self._file = self._path = None

    def _adopt_files(self) -> None:
        """Take over open files that no living process holds; another process may take one first."""
        for path in self.folder.glob(f"*{_OPEN}"):
            if path != self._path and _is_unlocked(path):
                with suppress(FileNotFoundError):
                    path.rename(path.with_suffix(READY))


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
