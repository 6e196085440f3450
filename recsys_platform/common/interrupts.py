"""End a command within seconds of INT or TERM, wherever it is, with one line and the exit status of the signal.

Belongs here: hearing the signal while others hold its handlers (Dagster during a run), the time that a command has to end in good
order, and what happens after it. Does not: what a command undoes when it is interrupted, which it does on KeyboardInterrupt.
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
"""How long a command may take to end in good order; then its children and it are ended."""
CLEANUP_SECONDS = 2.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interrupts:
    """The signal that has come, None before one; `at_the_end` is called before the process is ended by force."""

    received: signal.Signals | None = None
    at_the_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """What a shell expects of a command that a signal ended: 130 after INT, 143 after TERM."""
        return 128 + int(self.received or 0)

    def raise_if_received(self) -> None:
        """KeyboardInterrupt if a signal has come, for code that went on after one."""
        if self.received:
            raise KeyboardInterrupt


INTERRUPTS = Interrupts()
"""Those of this process: signals are of a process, so there is one."""


@contextmanager
def interruptible_command() -> Iterator[Interrupts]:
    """In this block INT and TERM raise KeyboardInterrupt, and end the process by force if that has no effect in time."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield INTERRUPTS
        return
    INTERRUPTS.received = None
    before = {number: signal.signal(number, _raise) for number in _SIGNALS}
    heard, hearing = os.pipe()
    os.set_blocking(hearing, False)
    wakeup = signal.set_wakeup_fd(hearing, warn_on_full_buffer=False)
    threading.Thread(target=_listen, args=[heard], daemon=True).start()
    try:
        yield INTERRUPTS
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(hearing)


def end_children(patience: float = 1.0, children: list[psutil.Process] | None = None) -> None:
    """End the processes that this one has started, and theirs: by TERM, then by KILL."""
    found = psutil.Process().children(recursive=True) if children is None else children
    for child in found:
        with suppress(psutil.Error):
            child.terminate()
    _, alive = psutil.wait_procs(found, timeout=patience)
    for child in alive:
        with suppress(psutil.Error):
            child.kill()


def _raise(number: int, frame: FrameType | None) -> None:
    INTERRUPTS.received = INTERRUPTS.received or signal.Signals(number)
    raise KeyboardInterrupt


def _listen(heard: int) -> None:
    """The numbers of signals come through a pipe that C code writes, whichever handler Python has for them."""
    timer = None
    with os.fdopen(heard, "rb", buffering=0) as pipe:
        while number := pipe.read(1):
            if number[0] not in _SIGNALS:
                continue
            if timer:  # asked for twice: at once
                _end()
            INTERRUPTS.received = INTERRUPTS.received or signal.Signals(number[0])
            timer = threading.Timer(GRACE_SECONDS, _end)
            timer.daemon = True
            timer.start()


def _end() -> None:
    """End this process without its consent: it is in code that no signal reaches."""
    cleanup = threading.Thread(target=_clean_up, daemon=True)
    cleanup.start()
    cleanup.join(CLEANUP_SECONDS)
    with suppress(OSError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"interrupted\n")
    os._exit(INTERRUPTS.exit_status)


def _clean_up() -> None:
    end_children()
    for step in INTERRUPTS.at_the_end:
        with suppress(Exception):
            step()
