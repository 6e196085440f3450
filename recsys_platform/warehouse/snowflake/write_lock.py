"""The write lock: a writer updates the one row of `ops.turns` first, and the next writer waits for that transaction to end.

Snowflake runs inserts of two sessions side by side, so that two loaders that see the same new object would both load it. A writer
that has the lock sees everything that was committed before.
"""

from collections.abc import Callable
from typing import TypeVar

import stamina

from recsys_platform.common.errors import WarehouseError
from recsys_platform.warehouse.snowflake.session import Session, SnowflakeError

T = TypeVar("T")
LOCK_WAIT = 600.0  # seconds


def with_write_lock(session: Session, work: Callable[[], T]) -> T:
    """Run some work in one transaction under the write lock; retry from the start if another transaction kept it too long."""
    retries = stamina.retry_context(on=_is_busy, attempts=None, timeout=LOCK_WAIT, wait_initial=0.2, wait_max=5)
    for attempt in retries:
        with attempt, session.transaction():
            _take_lock(session)
            return work()
    raise AssertionError("stamina ends with a value or an error")


def _take_lock(session: Session) -> None:
    """Wait for the lock. An update of no row would not wait."""
    [(taken, *_)] = session.execute("update ops.turns set taken_at = current_timestamp()")
    if taken != 1:
        raise WarehouseError(
            f"ops.turns has {taken} rows and not one, which serves as the write lock: leave one row in it."
        )


def _is_busy(error: Exception) -> bool:
    return isinstance(error, SnowflakeError) and error.is_busy
