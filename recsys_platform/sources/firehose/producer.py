"""Send records to a stream: as few requests as the limits allow, and what a busy service refuses once more.

At least once: a request that timed out may have arrived, and is sent again by the client. Records need an id of their own, by
which the warehouse counts them once.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import stamina
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.errors import RecsysError
from recsys_platform.sources.firehose.limits import MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS


class NotSentError(RecsysError):
    """Records did not reach their stream: `unsent` are those, in order."""

    def __init__(self, stream: str, unsent: Sequence[bytes], total: int, why: str) -> None:
        super().__init__(f"{len(unsent):,} of {total:,} records could not be sent to the stream {stream}: {why}.")
        self.unsent = tuple(unsent)


class _RefusedError(Exception):
    """Some records of a batch were refused, so far."""


def send(client: Any, stream: str, records: Sequence[bytes], *, attempts: int = 5, wait_seconds: float = 0.1) -> None:
    """Send records batch by batch, each record until it is taken; `NotSentError` for those that were not.

    `client`: boto3's client of firehose, or what behaves like it. The refused records of a batch are tried `attempts` times in
    all, after `wait_seconds` and then ever longer, before the next batch is sent. After a batch that fails for good nothing more
    is sent; a record too large for any batch stops everything before it begins.
    """
    too_large = [data for data in records if len(data) > MAX_RECORD_BYTES]
    if too_large:
        why = f"{len(too_large):,} larger than {MAX_RECORD_BYTES:,} bytes, so that nothing was sent"
        raise NotSentError(stream, records, len(records), why)
    done = 0
    for batch in batches(records):
        left, why = _sent_batch(client, stream, batch, attempts=attempts, wait_seconds=wait_seconds)
        done += len(batch)
        if left:
            raise NotSentError(stream, [*left, *records[done:]], len(records), why)


def batches(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Records in order, in as few batches as the limits of a request allow; none of them is larger than a record may be."""
    batch: list[bytes] = []
    size = 0
    for data in records:
        if len(batch) == MAX_RECORDS or size + len(data) > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(data)
        size += len(data)
    if batch:
        yield batch


def _sent_batch(
    client: Any, stream: str, batch: list[bytes], *, attempts: int, wait_seconds: float
) -> tuple[list[bytes], str]:
    """What is left of a batch after all tries, and why."""
    left = batch
    try:
        for attempt in stamina.retry_context(
            on=_RefusedError, attempts=attempts, timeout=None, wait_initial=wait_seconds, wait_jitter=wait_seconds
        ):
            with attempt:
                left, why = _put(client, stream, left)
                if left:
                    raise _RefusedError(f"{why} after {attempt.num} tries")
    except _RefusedError as refused:
        return left, str(refused)
    except (ClientError, BotoCoreError) as error:  # the client has tried such a request again by itself
        return left, str(error).rstrip(".")
    return [], ""


def _put(client: Any, stream: str, batch: list[bytes]) -> tuple[list[bytes], str]:
    """Send a batch once; the records that were refused, and why the first of them was."""
    answer = client.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": data} for data in batch])
    if not answer["FailedPutCount"]:
        return [], ""
    refused = [
        (data, told) for data, told in zip(batch, answer["RequestResponses"], strict=True) if told.get("ErrorCode")
    ]
    first = refused[0][1]
    return [data for data, _ in refused], f"{first['ErrorCode']} ({first.get('ErrorMessage', '')})"
