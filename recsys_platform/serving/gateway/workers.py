"""Several worker processes behind one port.

Belongs here: starting, watching and ending the processes. Does not: what one of them serves (server.py).

The workers part from one process that has loaded snapshot and models, so they share its memory until one of them writes to it.
Uvicorn's own workers start from nothing, and each would hold all of it.
"""

import gc
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import uvicorn
from prometheus_client.multiprocess import mark_process_dead

_LOG = logging.getLogger(__name__)
WATCH_SECONDS = 0.5
DRAIN_SECONDS = 45.0
"""Longer than a worker takes to answer what it has begun and to deliver its events."""
RESTART_SECONDS = 1.0
"""A worker that dies at once is not started more often."""
_ENDS = (signal.SIGTERM, signal.SIGINT)


class Workers:
    """Worker processes that serve one socket. A worker that dies is started again; a signal ends all, running requests first."""

    def __init__(
        self, config: uvicorn.Config, count: int, *, before_start: Callable[[], None], on_start: Callable[[], None]
    ) -> None:
        """`config`: with the application. `before_start`: loads what workers share. `on_start`: is called in each worker."""
        self._config, self._before_start, self._on_start = config, before_start, on_start
        self._fork = multiprocessing.get_context("fork")
        self._socket = config.bind_socket()
        self._processes: list[BaseProcess | None] = [None] * count
        self._started_at = [float("-inf")] * count
        self._received: int | None = None

    def run(self) -> None:
        """Serve until a signal ends it."""
        signal.set_wakeup_fd(-1)  # who waits for a signal to end this process at once has to wait for the workers
        handlers = {each: signal.signal(each, self._end) for each in _ENDS}
        while self._received is None:
            self._start_missing()
            wait([each.sentinel for each in self._processes if each], timeout=WATCH_SECONDS)
        _drain([each for each in self._processes if each])
        for each, handler in handlers.items():
            signal.signal(each, handler)
        signal.raise_signal(self._received)  # as uvicorn does with one process

    def _end(self, received: int, _: object) -> None:
        self._received = received

    def _start_missing(self) -> None:
        for at, process in enumerate(self._processes):
            if process and not process.is_alive():
                _LOG.error("The worker %s has ended (%s): it is started again.", process.pid, process.exitcode)
                mark_process_dead(process.pid)  # type: ignore[no-untyped-call]  # what waited for it is not what waits now
                process = self._processes[at] = None
            if process is None and time.monotonic() - self._started_at[at] >= RESTART_SECONDS:
                self._started_at[at] = time.monotonic()
                self._processes[at] = self._started_worker()

    def _started_worker(self) -> BaseProcess:
        self._before_start()
        # What is there now lives as long as the process: the collector need not touch it, and so copy it, in each worker.
        gc.collect()
        gc.freeze()
        process = self._fork.Process(target=self._work)
        process.start()
        return process

    def _work(self) -> None:
        """Serve in a worker, until a signal or the end of the parent."""
        signal.set_wakeup_fd(-1)
        for each in _ENDS:
            signal.signal(each, signal.SIG_DFL)
        self._on_start()
        server = uvicorn.Server(self._config)
        threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
        server.run([self._socket])


def _end_with_parent(server: uvicorn.Server) -> None:
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        server.should_exit = True


def _drain(processes: Sequence[BaseProcess]) -> None:
    """End workers, which answer what they have begun; kill those that do not end."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + DRAIN_SECONDS
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            _LOG.error("The worker %s did not end: it is killed.", process.pid)
            process.kill()
