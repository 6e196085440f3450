"""Firehose and Kinesis: the landing of events, or a destination.

Belongs here: their requests. Does not: their limits and results (sources/firehose/).
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from recsys_platform.common.aws import client
from recsys_platform.common.batches import BatchLimits, PutError
from recsys_platform.serving.delivery import DeadLetter
from recsys_platform.sources.firehose.limits import MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS
from recsys_platform.sources.firehose.producer import put_once, refused_records

IN_BACKGROUND = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=2,
    tcp_keepalive=True,
)
"""Of clients whose queue tries again anyway."""
_LIMITS = BatchLimits(MAX_RECORDS, MAX_BATCH_BYTES - MAX_RECORDS, MAX_RECORD_BYTES - 1)
"""Of Firehose, less a newline for each record; those of Kinesis are larger."""


@dataclass
class Firehose:
    """A delivery stream, by name; each event is a record that ends in a newline."""

    stream: str
    limits: BatchLimits = _LIMITS
    client: Any = field(default_factory=lambda: client("firehose", IN_BACKGROUND))

    def put(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Send a batch by `PutRecordBatch`."""
        refused, why = put_once(self.client, self.stream, [event + b"\n" for event in batch])
        return [event[:-1] for event in refused], why


class _Ids(msgspec.Struct):
    messageId: str = ""  # noqa: N815
    userId: Any = None  # noqa: N815
    anonymousId: Any = None  # noqa: N815


@dataclass
class Kinesis:
    """A data stream, by name. Events of one reader or device go to one shard, by a hash of the id, and so stay in order."""

    stream: str
    limits: BatchLimits = _LIMITS
    client: Any = field(default_factory=lambda: client("kinesis", IN_BACKGROUND))

    def put(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Send a batch by `PutRecords`."""
        records = [{"Data": event + b"\n", "PartitionKey": _partition_key(event)} for event in batch]
        try:
            answer = self.client.put_records(StreamName=self.stream, Records=records)
        except (ClientError, BotoCoreError) as error:
            raise PutError(str(error).rstrip(".")) from error
        return refused_records(batch, answer["Records"])


def _partition_key(event: bytes) -> str:
    try:
        ids = msgspec.json.decode(event, type=_Ids)
    except msgspec.DecodeError:
        ids = _Ids()
    visitor = str(ids.userId or ids.anonymousId or ids.messageId)
    return hashlib.blake2b(visitor.encode(), digest_size=16).hexdigest()
