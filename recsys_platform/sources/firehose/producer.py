"""Send records to a delivery stream in as few requests as the limits allow; retry what a throttled stream refuses.

Delivery is at least once: a request that timed out may have arrived, and the client sends it again. Records need an id of their
own, by which the warehouse removes duplicates.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.aws import CONFIG, client
from recsys_platform.common.batches import PutError, send_batches
from recsys_platform.common.errors import InputError, RecsysError
from recsys_platform.sources.firehose.limits import LIMITS, MAX_RECORD_BYTES

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
    put = partial(put_once, client, stream)
    left, why = send_batches(put, records, LIMITS, attempts=attempts, wait_seconds=wait_seconds)
    if left:
        raise NotSentError(stream, left, len(records), why)


def put_once(client: Any, stream: str, batch: list[bytes]) -> tuple[list[bytes], str]:
    """Send a batch once; returns the refused records, and why the first was refused. Raises `PutError`."""
    try:
        answer = client.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": data} for data in batch])
    except (ClientError, BotoCoreError) as error:  # boto3 has retried such a request itself
        raise PutError(str(error).rstrip(".")) from error
    return refused_records(batch, answer["RequestResponses"])


def refused_records(batch: list[bytes], results: Sequence[Mapping[str, str]]) -> tuple[list[bytes], str]:
    """The records of a batch whose result is an error, in the form of Firehose and Kinesis, and why the first was refused."""
    refused = [(data, result) for data, result in zip(batch, results, strict=True) if result.get("ErrorCode")]
    if not refused:
        return [], ""
    first = refused[0][1]
    return [data for data, _ in refused], f"{first['ErrorCode']} ({first.get('ErrorMessage', '')})"
