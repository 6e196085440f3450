"""Send records to a delivery stream in as few requests as the limits allow; retry what a throttled stream refuses.

Delivery is at least once: a request that timed out may have arrived, and the client sends it again. Records need an id of their
own, by which the warehouse removes duplicates.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import stamina
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.aws import CONFIG, client
from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.sources.firehose.limits import MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS

GZIP_MAGIC = b"\x1f\x8b"


def firehose_client(emulator: str | None = None) -> Any:
    """boto3's client for Firehose; with the address of an emulator, requests go there and need no credentials."""
    if emulator is None:
        return client("firehose")
    unsigned = CONFIG.merge(Config(signature_version=UNSIGNED))
    try:
        return boto3.client("firehose", endpoint_url=emulator, region_name="us-east-1", config=unsigned)
    except ValueError as error:
        raise InputError(f"{emulator} is not a valid URL: give one such as http://127.0.0.1:4573.") from error


def read_records(path: Path) -> list[bytes]:
    """The records of a file of JSON Lines, also gzipped, one for each line that is not blank.

    Raises `InputError` if the file cannot be read or a line is not a JSON object.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    lines = list(enumerate(content.split(b"\n"), 1))
    return [_checked_record(path, number, line.strip()) for number, line in lines if line.strip()]


def _checked_record(path: Path, number: int, line: bytes) -> bytes:
    try:
        is_object = isinstance(json.loads(line), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise InputError(f"Line {number} of {path} is not a JSON object: the file must have one on each line.")
    return line


class NotSentError(RecsysError):
    """Some records were not accepted by their stream: `unsent`, in order."""

    def __init__(self, stream: str, unsent: Sequence[bytes], total: int, why: str) -> None:
        super().__init__(f"{len(unsent):,} of {total:,} records could not be sent to the stream {stream}: {why}.")
        self.unsent = tuple(unsent)


class _RefusedError(Exception):
    """Some records of a batch were refused in this attempt."""


def send(client: Any, stream: str, records: Sequence[bytes], *, attempts: int = 5, wait_seconds: float = 0.1) -> None:
    """Send records in batches, and retry refused records. Raises `NotSentError` with those that were not accepted.

    `client`: boto3's Firehose client, or the emulator. The refused records of a batch are tried `attempts` times in all, after
    `wait_seconds` and then ever longer, before the next batch is sent. After a batch that fails for good nothing more is sent; if a
    record is too large for any batch, nothing is sent at all.
    """
    too_large = [data for data in records if len(data) > MAX_RECORD_BYTES]
    if too_large:
        why = f"{len(too_large):,} larger than {MAX_RECORD_BYTES:,} bytes, so that nothing was sent"
        raise NotSentError(stream, records, len(records), why)
    done = 0
    for batch in batches(records):
        left, why = _send_batch(client, stream, batch, attempts=attempts, wait_seconds=wait_seconds)
        done += len(batch)
        if left:
            raise NotSentError(stream, [*left, *records[done:]], len(records), why)


def batches(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Split records, in order, into as few batches as the limits of a request allow; each record must be within its limit."""
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


def _send_batch(
    client: Any, stream: str, batch: list[bytes], *, attempts: int, wait_seconds: float
) -> tuple[list[bytes], str]:
    """Send a batch with retries; returns the records not accepted, and why."""
    left = batch
    try:
        for attempt in stamina.retry_context(
            on=_RefusedError, attempts=attempts, timeout=None, wait_initial=wait_seconds, wait_jitter=wait_seconds
        ):
            with attempt:
                left, why = _put_once(client, stream, left)
                if left:
                    raise _RefusedError(f"{why} after {attempt.num} tries")
    except _RefusedError as refused:
        return left, str(refused)
    except (ClientError, BotoCoreError) as error:  # boto3 has retried such a request itself
        return left, str(error).rstrip(".")
    return [], ""


def _put_once(client: Any, stream: str, batch: list[bytes]) -> tuple[list[bytes], str]:
    """Send a batch once; returns the refused records, and why the first was refused."""
    answer = client.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": data} for data in batch])
    if not answer["FailedPutCount"]:
        return [], ""
    refused = [
        (data, result)
        for data, result in zip(batch, answer["RequestResponses"], strict=True)
        if result.get("ErrorCode")
    ]
    first = refused[0][1]
    return [data for data, _ in refused], f"{first['ErrorCode']} ({first.get('ErrorMessage', '')})"
