"""A DuckDB connection that a signal can interrupt.

DuckDB called from the main thread notices a signal late, goes on for as long as a minute after it, and turns the exception of
the signal's handler into a `RuntimeError`. Called from another thread, it leaves the main thread free to run handlers.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, cast

import duckdb

_PAUSE = 0.05
"""Seconds between two interrupts: one that comes between two steps of a call has no effect."""


class _Interruptible:
    """Passes every call on to a connection, or a relation of it, in a thread of their own.

    What ends the wait for a call, such as the exception that a signal's handler raises, interrupts the statement and is raised
    to the caller. Names of Python variables in SQL are not found from there: register tables.
    """

    def __init__(self, target: Any, connection: duckdb.DuckDBPyConnection, thread: ThreadPoolExecutor) -> None:
        self._target, self._connection, self._thread = target, connection, thread

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return partial(self._call_in_thread, found) if callable(found) else found

    def close(self) -> None:
        """Close the connection and end the thread."""
        self._call_in_thread(self._connection.close)
        self._thread.shutdown()

    def _call_in_thread(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        running = self._thread.submit(method, *args, **kwargs)
        try:
            done = running.result()
        except BaseException:
            self._interrupt_call(running)
            raise
        is_lazy = isinstance(done, duckdb.DuckDBPyConnection | duckdb.DuckDBPyRelation)
        return _Interruptible(done, self._connection, self._thread) if is_lazy else done

    def _interrupt_call(self, running: "Future[Any]") -> None:
        while not running.done():
            self._connection.interrupt()
            wait([running], timeout=_PAUSE)


def interruptible(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The same connection, for use by one thread: an exception raised by a signal's handler ends what it is doing at once."""
    thread = ThreadPoolExecutor(1, "duckdb")
    return cast(duckdb.DuckDBPyConnection, _Interruptible(connection, connection, thread))
