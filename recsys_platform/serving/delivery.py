"""A queue of event files on disk for one receiver: delivered, retried, bounded; what the receiver refuses for good is kept.

Belongs here: files and their locks, waiting, dead letters. Does not: what a receiver takes (destinations/), writing events
(exposures.py).

A folder holds exactly what its receiver has not accepted, which is the queue's cursor: a file is removed when it is delivered, and
replaced by its rest when it is delivered in part. One process at a time delivers for a receiver, by a lock that ends with the process.
"""

import contextlib
import datetime as dt
import fcntl
import logging
import operator
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import tenacity

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.common.errors import RecsysError

_LOG = logging.getLogger(__name__)
READY, DEAD = ".ready", ".dead"
_DRAFT = ".new"
_LONGEST_WAIT = 30.0
_LOCK_SECONDS = 10.0
_LONG_SECONDS = 120.0
_LINES_AT_ONCE, _GIVE_WAY_SECONDS = 64, 0.0005
"""So many events take less than a millisecond, after which another thread gets its turn."""
_OLD_DRAFT_SECONDS = 3600
_BLOCK = 512
"""Bytes of a block in the figures of a file system."""


class Destination(Protocol):
    """Takes a file of events, as JSON lines; raises RecsysError or OSError if it must be tried again."""

    def __call__(self, content: bytes, arrival: dt.datetime) -> None:
        """Deliver the content; `arrival` is when the first event was written (UTC)."""


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that a receiver refuses for good, and why."""

    reason: str
    event: msgspec.Raw


class UndeliveredError(RecsysError):
    """A receiver did not take everything: `rest` is to be tried again, `dead` never. `why` is empty if the rest was not tried yet."""

    def __init__(self, why: str, rest: Sequence[bytes] = (), dead: Sequence[DeadLetter] = ()) -> None:
        super().__init__(why)
        self.rest, self.dead = rest, dead


@dataclass
class QueueFigures:
    """What a queue did since it was opened, in events or files."""

    delivered: int = 0
    delivered_files: int = 0
    failed_deliveries: int = 0
    dead: int = 0
    dropped: int = 0


@dataclass(frozen=True)
class Waiting:
    """What waits in the folder of a queue, whoever put it there."""

    files: int = 0
    bytes: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True)
class QueueState:
    """What lies in the folder of a queue; `oldest` is when the first event that waits was written (UTC)."""

    waiting_events: int
    dead_events: int
    disk_bytes: int
    oldest: dt.datetime | None
    problem: str


@dataclass
class DeliveryQueue:
    """Files of events for one receiver.

    `select`: makes of a file's events those for the receiver; all by default. `keep_bytes`: how much disk the files may take; the
    oldest are dropped and counted above it.
    """

    name: str
    folder: Path
    deliver: Destination
    select: Callable[[bytes], bytes] | None = None
    keep_bytes: int | None = None
    poll_seconds: float = 5.0
    figures: QueueFigures = field(default_factory=QueueFigures)
    waiting: Waiting = Waiting()
    problem: str | None = None
    """Why the last delivery failed; None if it did not."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Deliver in a thread of its own from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_old_drafts(self.folder)
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name=f"deliver-{self.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look for files now."""
        self._wake.set()

    def request_stop(self) -> None:
        """Let the thread try once more and end."""
        self._stop.set()
        self._wake.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end; what it could not deliver stays on disk."""
        if self._thread:
            self._thread.join(timeout=max(0.0, seconds))

    def add_copy(self, path: Path) -> None:
        """Add what is for the receiver of a file of events, under the same name; a full disk drops and counts it."""
        content = path.read_bytes()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            selected = self._selected(content)
            if selected:
                write_in_one_step(self.folder / path.name, selected)
        except OSError as error:
            self.figures.dropped += content.count(b"\n")
            _LOG.error("%s: events were dropped: %s", self.name, error)

    def _selected(self, content: bytes) -> bytes:
        """What the receiver gets of a file's events; requests are answered in between."""
        if self.select is None:
            return content
        lines, selected = content.splitlines(keepends=True), []
        for start in range(0, len(lines), _LINES_AT_ONCE):
            selected.append(self.select(b"".join(lines[start : start + _LINES_AT_ONCE])))
            time.sleep(_GIVE_WAY_SECONDS)
        return b"".join(selected)

    def flush(self, lock_seconds: float = _LOCK_SECONDS) -> bool:
        """Deliver what waits, the oldest first. False if nothing of it could be delivered.

        `lock_seconds`: how long to wait for another process that delivers; what it does not get to stays for the next time.
        """
        with locked_folder(self.folder, lock_seconds) as is_ours:
            return self._deliver_files() if is_ours else True

    def enforce_limit(self) -> None:
        """Drop the oldest files, waiting or dead, beyond the limit of the disk; update the figures."""
        sizes = {path: size for path in _files_of(self.folder, READY, DEAD) if (size := _allocated_bytes(path))}
        total = sum(sizes.values())
        for path in list(sizes):
            if self.keep_bytes is None or total <= self.keep_bytes:
                break
            total -= sizes[path]
            sizes.pop(path)
            self._drop_file(path)
        waiting = [path for path in sizes if path.suffix == READY]
        oldest = min(filter(None, map(arrival_of_file, waiting)), default=None)
        # The clock may have been set back.
        seconds = max(0.0, (naive_utc_now() - oldest).total_seconds()) if oldest else 0.0
        self.waiting = Waiting(len(waiting), sum(sizes[path] for path in waiting), seconds)

    @property
    def trouble(self) -> str | None:
        """Sentences about what waits or was dropped, for people who run gateways; None if all is well."""
        figures, found = self.figures, []
        if figures.dropped:
            found.append(f"{figures.dropped} events for {self.name} were dropped for lack of disk space.")
        if self.problem or self.waiting.oldest_seconds > _LONG_SECONDS:
            why = (self.problem or "it takes long").rstrip(".")
            found.append(f"{self.waiting.bytes / 1e6:.1f} MB of events wait for {self.name}: {why}.")
        return " ".join(found) or None

    def _drop_file(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            lost = path.read_bytes().count(b"\n")
            path.unlink()
            self.figures.dropped += lost
            _LOG.error("%s: %d events were dropped, its limit of disk space is reached", self.name, lost)

    def _run(self) -> None:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(operator.not_),
            wait=tenacity.wait_exponential_jitter(self.poll_seconds / 5, _LONGEST_WAIT, jitter=self.poll_seconds / 5),
            sleep=tenacity.sleep_using_event(self._stop),
            stop=tenacity.stop_when_event_set(self._stop),
            retry_error_callback=lambda _: None,
        )
        while not self._stop.is_set():
            retrying(self._try_flush)
            self._wake.wait(self.poll_seconds)
            self._wake.clear()
        self._try_flush(_LOCK_SECONDS)

    def _try_flush(self, lock_seconds: float = 0.0) -> bool:
        try:
            return self.flush(lock_seconds)
        except Exception:  # noqa: BLE001  # the next turn tries again: a thread that ended would deliver nothing more
            self.figures.failed_deliveries += 1
            _LOG.exception("%s: events could not be delivered", self.name)
            return False

    def _deliver_files(self) -> bool:
        progress = False
        for path in _files_of(self.folder, READY):
            is_done, moved = self._deliver_file(path)
            progress = progress or moved
            if not is_done:
                return progress
        return True

    def _deliver_file(self, path: Path) -> tuple[bool, bool]:
        """Deliver a file; whether all of it is delivered, and whether any of it is."""
        arrival = arrival_of_file(path)
        if arrival is None:  # not a file of ours
            return True, False
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # dropped meanwhile
            return True, False
        try:
            return self._deliver_content(path, content, arrival)
        except (RecsysError, OSError) as error:
            self._set_problem(str(error))
            return False, False

    def _deliver_content(self, path: Path, content: bytes, arrival: dt.datetime) -> tuple[bool, bool]:
        try:
            if content:
                self.deliver(content, arrival)
        except UndeliveredError as error:
            return self._keep_rest(path, content, error)
        path.unlink(missing_ok=True)
        self._set_delivered()
        self.figures.delivered_files += 1
        self.figures.delivered += content.count(b"\n")
        return True, True

    def _keep_rest(self, path: Path, content: bytes, error: UndeliveredError) -> tuple[bool, bool]:
        """Replace a file by what is to be tried again; what is refused for good goes to the dead letters."""
        if error.dead:
            self._write_dead_letters(path, error.dead)
        accepted = content.count(b"\n") - len(error.rest) - len(error.dead)
        if error.rest:
            write_in_one_step(path, b"".join(line + b"\n" for line in error.rest))
        else:
            path.unlink(missing_ok=True)
        self.figures.delivered += accepted
        if str(error):
            self._set_problem(str(error))
        else:
            self._set_delivered()
        return not error.rest, accepted + len(error.dead) > 0

    def _write_dead_letters(self, path: Path, letters: Sequence[DeadLetter]) -> None:
        lines = b"".join(msgspec.json.encode(letter) + b"\n" for letter in letters)
        dead = path.with_suffix(DEAD)
        earlier = dead.read_bytes() if dead.exists() else b""
        write_in_one_step(dead, earlier + lines)
        self.figures.dead += len(letters)
        _LOG.warning("%s: %d events were refused for good: %s", self.name, len(letters), letters[0].reason)

    def _set_delivered(self) -> None:
        if self.problem is None:
            return
        _LOG.info("%s: events are delivered again", self.name)
        self.problem = None
        _problem_file(self.folder).unlink(missing_ok=True)

    def _set_problem(self, problem: str) -> None:
        self.figures.failed_deliveries += 1
        if problem != self.problem:
            _LOG.warning("%s: events will be delivered later: %s", self.name, problem)
            self.problem = problem
            with contextlib.suppress(OSError):  # a full disk
                write_in_one_step(_problem_file(self.folder), problem.encode())


def arrival_of_file(path: Path) -> dt.datetime | None:
    """When the first event of a file was written (UTC), by its name; None for a file of others."""
    try:
        return dt.datetime.strptime(path.name.partition("-")[0], "%Y%m%dT%H%M%S%f")
    except ValueError:
        return None


def write_in_one_step(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, so that it is there as a whole or as it was."""
    draft = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}{_DRAFT}")  # two processes may write the same
    try:
        with open(draft, "wb", opener=_private_opener) as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked_folder(folder: Path, seconds: float) -> Iterator[bool]:
    """Hold the lock of a folder among all processes; False if another holds it for longer than `seconds`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _acquire_lock(file, seconds)
    finally:
        os.close(file)


def queue_state(folder: Path) -> QueueState:
    """What lies in the folder of a queue, whoever delivers from it."""
    waiting, dead = list(_files_of(folder, READY)), list(_files_of(folder, DEAD))
    problem = _problem_file(folder)
    return QueueState(
        waiting_events=sum(map(_count_lines, waiting)),
        dead_events=sum(map(_count_lines, dead)),
        disk_bytes=sum(map(_allocated_bytes, (*waiting, *dead))),
        oldest=min(filter(None, map(arrival_of_file, waiting)), default=None),
        problem=problem.read_text() if problem.exists() else "",
    )


def replay_dead_letters(folder: Path) -> int:
    """Let a queue deliver its dead letters again; returns how many."""
    replayed = 0
    with locked_folder(folder, _LOCK_SECONDS) as is_ours:
        if not is_ours:
            raise RecsysError(f"{folder.name} is delivering at this moment: try again.")
        for path in list(_files_of(folder, DEAD)):
            letters = [msgspec.json.decode(line, type=DeadLetter) for line in path.read_bytes().splitlines()]
            again = path.with_name(f"{path.stem}-again{READY}")
            write_in_one_step(again, b"".join(bytes(letter.event) + b"\n" for letter in letters))
            path.unlink()
            replayed += len(letters)
    return replayed


def _remove_old_drafts(folder: Path) -> None:
    """Remove what processes that were killed have half written."""
    for path in folder.glob(f"*{_DRAFT}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _OLD_DRAFT_SECONDS:
                path.unlink()


def _acquire_lock(file: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def _files_of(folder: Path, *suffixes: str) -> Sequence[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in suffixes)


def _allocated_bytes(path: Path) -> int:
    """Bytes on disk, whole blocks: many small files fill a disk too. 0 for a file that is gone."""
    try:
        return path.stat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def _count_lines(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _problem_file(folder: Path) -> Path:
    return folder / "problem.txt"


def _private_opener(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
