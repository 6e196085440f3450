"""Transactions that nobody goes on with.

Snowflake rolls back the transaction of a client that is gone once it has been idle for five minutes and another waits for its locks.
fakesnow would keep it as long as the server runs: whoever comes after a loader that was killed would wait for ever.

https://docs.snowflake.com/en/sql-reference/transactions#aborting-transactions
"""

import time
from typing import Any

import fakesnow.server as their_server
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from snowflake.connector.errors import ProgrammingError

from tests.support.snowflake.patches.replacing import around
from tests.support.snowflake.patches.transactions import roll_back

IDLE_SECONDS = 3.0  # five minutes, for tests
_WAITED_FOR_A_LOCK = 625


def install() -> None:
    """A session that runs into the lock of an idle transaction ends it; the statement fails all the same and may be tried again."""
    around(FakeSnowflakeCursor, "execute", _noting_idle_ones)


def _noting_idle_ones(theirs: Any, cursor: FakeSnowflakeCursor, *args: Any, **kwargs: Any) -> Any:
    try:
        return theirs(cursor, *args, **kwargs)
    except ProgrammingError as error:
        if error.errno == _WAITED_FOR_A_LOCK:
            _end_idle_ones(cursor._conn)
        raise
    finally:
        cursor._conn.last_at = time.monotonic()


def _end_idle_ones(asking: FakeSnowflakeConnection) -> None:
    now = time.monotonic()
    for session in list(their_server.sessions.values()):
        if session is not asking and session._in_transaction and now - getattr(session, "last_at", now) > IDLE_SECONDS:
            roll_back(session)
