"""Send records in batches within the limits of a service, and only those again that it refused.

Belongs here: cutting records into batches, retrying. Does not: the services.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import stamina

Put = Callable[[list[bytes]], tuple[list[bytes], str]]
"""Sends a batch once; returns the records that were refused and may be sent again, and why the first was. May raise `PutError`."""


class PutError(Exception):
    """A request failed as a whole; the message says why."""


class _RefusedError(Exception):
    """Some records of a batch were refused in this attempt."""


@dataclass(frozen=True)
class BatchLimits:
    """What one request may hold: records, bytes of all of them, bytes of each."""

    records: int
    total_bytes: int
    record_bytes: int


def batches(records: Sequence[bytes], limits: BatchLimits) -> Iterator[list[bytes]]:
    """Split records, in order, into as few batches as the limits allow; each record must be within its limit."""
    batch: list[bytes] = []
    size = 0
    for data in records:
        if batch and (len(batch) == limits.records or size + len(data) > limits.total_bytes):
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield batch


def send_batches(
    put: Put, records: Sequence[bytes], limits: BatchLimits, *, attempts: int, wait_seconds: float
) -> tuple[list[bytes], str]:
    """Send records in batches; returns those that were not accepted, in order, and why.

    The refused records of a batch are tried `attempts` times in all, after `wait_seconds` and then ever longer, before the next
    batch is sent. After a batch that fails for good, or a request that fails as a whole, nothing more is sent.
    """
    done = 0
    for batch in batches(records, limits):
        left, why = _send_batch(put, batch, attempts=attempts, wait_seconds=wait_seconds)
        done += len(batch)
        if left:
            return [*left, *records[done:]], why
    return [], ""


def _send_batch(put: Put, batch: list[bytes], *, attempts: int, wait_seconds: float) -> tuple[list[bytes], str]:
    """Send a batch with retries; returns the records not accepted, and why."""
    left = batch
    try:
        for attempt in stamina.retry_context(
            on=_RefusedError, attempts=attempts, timeout=None, wait_initial=wait_seconds, wait_jitter=wait_seconds
        ):
            with attempt:
                left, why = put(left)
                if left:
                    raise _RefusedError(f"{why} after {attempt.num} tries")
    except (_RefusedError, PutError) as error:
        return left, str(error)
    return [], ""
