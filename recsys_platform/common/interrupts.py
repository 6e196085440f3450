"""End a command within seconds of SIGINT or SIGTERM, with one line and the signal's exit status.

Belongs here: noticing the signal while other code owns its handlers (Dagster during a run), the grace period, and ending the process
after it. Does not: a command's own cleanup, which it does on KeyboardInterrupt.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

import psutil

GRACE_SECONDS = 4.0
"""How long a command may take to shut down; after that its children and the process itself are killed."""
CLEANUP_SECONDS = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupts:
    """The received signal, None before there is one. `at_exit` is called before the process is killed."""

    received: signal.Signals | None = None
    at_exit: list[Callable[[], None]] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """The exit status by convention: 130 after SIGINT, 143 after SIGTERM."""
        return 128 + int(self.received or 0)

    def raise_if_received(self) -> None:
        """Raise KeyboardInterrupt if a signal was received, for code that went on after it."""
        if self.received:
            raise KeyboardInterrupt


INTERRUPTS = Interrupts()
"""The state of this process: signals are per process."""


@contextmanager
def interruptible_command() -> Iterator[Interrupts]:
    """In this block SIGINT and SIGTERM raise KeyboardInterrupt, and kill the process after `GRACE_SECONDS`."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield INTERRUPTS
        return
    INTERRUPTS.received = None
    before = {number: signal.signal(number, _raise_interrupt) for number in _SIGNALS}
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    wakeup = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    threading.Thread(target=_watch_signals, args=[read_end], daemon=True).start()
    try:
        yield INTERRUPTS
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(write_end)


def end_children(patience: float = 1.0, children: list[psutil.Process] | None = None) -> None:
    """End all child processes, and their children, with SIGTERM and then SIGKILL."""
    found = psutil.Process().children(recursive=True) if children is None else children
    for child in found:
        with suppress(psutil.Error):
            child.terminate()
    _, alive = psutil.wait_procs(found, timeout=patience)
    for child in alive:
        with suppress(psutil.Error):
            child.kill()


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    INTERRUPTS.received = INTERRUPTS.received or signal.Signals(number)
    raise KeyboardInterrupt


def _watch_signals(read_end: int) -> None:
    """Read signal numbers from the wakeup pipe, which C code writes whichever Python handler is set."""
    timer = None
    with os.fdopen(read_end, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] not in _SIGNALS:
                continue
            if timer:  # a second signal: do not wait
                _end_process()
            INTERRUPTS.received = INTERRUPTS.received or signal.Signals(number[0])
            timer = threading.Timer(GRACE_SECONDS, _end_process)
            timer.daemon = True
            timer.start()


def _end_process() -> None:
    """Kill this process: it is in code that does not react to signals."""
    cleanup = threading.Thread(target=_clean_up, daemon=True)
    cleanup.start()
    cleanup.join(CLEANUP_SECONDS)
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
    os._exit(INTERRUPTS.exit_status)


def _clean_up() -> None:
    end_children()
    for step in INTERRUPTS.at_exit:
        with suppress(Exception):
            step()
