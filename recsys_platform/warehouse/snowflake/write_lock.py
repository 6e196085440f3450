"""Writers take turns, by the one row of `ops.turns`.

Snowflake lets inserts of two sessions pass each other, and two loaders that see the same new object would both load it. Who has the
turn sees all that was committed before it.
"""

from collections.abc import Callable
from typing import TypeVar

import stamina

from recsys_platform.common.errors import WarehouseError
from recsys_platform.warehouse.snowflake.session import Session, SnowflakeError

T = TypeVar("T")
TURN_WAIT = 600.0  # seconds


def in_turn(session: Session, work: Callable[[], T]) -> T:
    """Do some work in one transaction while no other writer does; again from the start if the turn did not come."""
    retries = stamina.retry_context(on=_is_busy, attempts=None, timeout=TURN_WAIT, wait_initial=0.2, wait_max=5)
    for attempt in retries:
        with attempt, session.transaction():
            _take_turn(session)
            return work()
    raise AssertionError("stamina ends with a value or an error")


def _take_turn(session: Session) -> None:
    """Wait for whoever has the turn. An update of nothing would wait for nobody."""
    [(taken, *_)] = session.execute("update ops.turns set taken_at = current_timestamp()")
    if taken != 1:
        raise WarehouseError(f"ops.turns has {taken} rows and not one, by which writers wait for each other: mend it.")


def _is_busy(error: Exception) -> bool:
    return isinstance(error, SnowflakeError) and error.is_busy
