"""A stand-in for Amazon Data Firehose: takes records as boto3's client does, and delivers them as objects into a hub.

Buffering: https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html; names of objects:
https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html. Records are neither transformed nor converted, so nothing ever
goes to the error prefix; it is only checked. Nothing runs between two calls: what waits is delivered by the next put, by
`deliver_due` or by `flush`.
"""

import datetime as dt
import threading
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from recsys_platform.common.errors import HubError, SettingsError
from recsys_platform.hub.object_store import Hub
from recsys_platform.sources.firehose.limits import MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS
from recsys_platform.sources.firehose.prefixes import completed, evaluated

MIB = 1024 * 1024
GZIP = 31  # zlib's window bits for a gzip header, whose time stays 0
Record = Mapping[str, bytes]


@dataclass(frozen=True)
class DeliveryStream:
    """The settings of a stream; `SettingsError` for what Firehose would refuse. Sizes count before compression."""

    name: str
    prefix: str = ""
    error_prefix: str | None = None
    buffer_mib: int = 5
    buffer_seconds: int = 300
    gzip: bool = False
    newline: bool = False
    version: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.buffer_mib <= 128 or not 0 <= self.buffer_seconds <= 900:
            raise SettingsError(f"The stream {self.name} must buffer 1 to 128 MiB and 0 to 900 seconds.")
        completed(self.prefix, self.error_prefix)

    @cached_property
    def full_prefix(self) -> str:
        """The prefix, with the time that Firehose adds where there is none."""
        return completed(self.prefix, self.error_prefix)[0]

    def key(self, arrived: dt.datetime) -> str:
        """A new key for an object whose first record arrived then."""
        at = arrived.astimezone(dt.UTC)
        name = f"{self.name}-{self.version}-{at:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
        return evaluated(self.full_prefix, at) + name + (".gz" if self.gzip else "")

    def packed(self, records: Sequence[bytes]) -> bytes:
        """The content of an object: gzip is one member."""
        plain = b"".join(records)
        return zlib.compress(plain, wbits=GZIP) if self.gzip else plain


@dataclass
class _Buffer:
    """What a stream holds: records that wait for more, and objects under their final keys that wait for the hub."""

    stream: DeliveryStream
    records: list[bytes] = field(default_factory=list)
    size: int = 0
    since: dt.datetime | None = None
    sealed: deque[tuple[str, bytes]] = field(default_factory=deque)

    def add(self, data: bytes, now: dt.datetime) -> None:
        self.since = self.since or now
        self.records.append(data + b"\n" if self.stream.newline else data)
        self.size += len(self.records[-1])
        if self.size >= self.stream.buffer_mib * MIB:
            self.seal()

    def seal_due(self, now: dt.datetime) -> None:
        if self.since and now - self.since >= dt.timedelta(seconds=self.stream.buffer_seconds):
            self.seal()

    def seal(self) -> None:
        if self.since:
            self.sealed.append((self.stream.key(self.since), self.stream.packed(self.records)))
        self.records, self.size, self.since = [], 0, None

    def deliver(self, hub: Hub) -> None:
        while self.sealed:
            hub.put(*self.sealed[0])
            self.sealed.popleft()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Firehose:
    """Streams into a hub, with the calls of boto3's client that a producer needs; threads may share it.

    `clock` gives the time with its zone. `throttled` is asked for each record, once a try: where it says yes, the record is refused
    as by a busy service. What the hub does not take stays buffered and is tried again, under the same key.
    """

    def __init__(
        self,
        hub: Hub,
        *streams: DeliveryStream,
        clock: Callable[[], dt.datetime] = _now,
        throttled: Callable[[bytes], bool] = lambda data: False,
    ) -> None:
        self._hub, self._clock, self._throttled = hub, clock, throttled
        self._buffers = {stream.name: _Buffer(stream) for stream in streams}
        self._lock = threading.Lock()

    def put_record(self, *, DeliveryStreamName: str, Record: Record) -> dict[str, Any]:  # noqa: N803  # as boto3 has it
        """Take one record. `ClientError` if it is too large, the stream is unknown or busy."""
        (answer,) = self._put("PutRecord", DeliveryStreamName, [Record])
        if "ErrorCode" in answer:
            raise _refusal("PutRecord", answer["ErrorCode"], answer["ErrorMessage"], status=500)
        return {**answer, "Encrypted": False, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: Sequence[Record]) -> dict[str, Any]:  # noqa: N803
        """Take many records, or some of them: the answer tells of each. `ClientError` if the batch as a whole is refused."""
        answers = self._put("PutRecordBatch", DeliveryStreamName, Records)
        return {
            "FailedPutCount": sum("ErrorCode" in answer for answer in answers),
            "Encrypted": False,
            "RequestResponses": answers,
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }

    def deliver_due(self) -> None:
        """Deliver what has waited for the stream's interval; `HubError` if the hub does not take it."""
        with self._lock:
            for buffer in self._buffers.values():
                buffer.seal_due(self._clock())
                buffer.deliver(self._hub)

    def flush(self) -> None:
        """Deliver everything now, as nobody could ask of the service itself; `HubError` if the hub does not take it."""
        with self._lock:
            for buffer in self._buffers.values():
                buffer.seal()
                buffer.deliver(self._hub)

    def _put(self, call: str, name: str, records: Sequence[Record]) -> list[dict[str, str]]:
        buffer = self._buffers.get(name)
        if buffer is None:
            raise _refusal(call, "ResourceNotFoundException", f"There is no stream {name}.")
        if problem := _problem([record["Data"] for record in records]):
            raise _refusal(call, "InvalidArgumentException", problem)
        with self._lock:
            now = self._clock()
            buffer.seal_due(now)
            answers = [self._take(buffer, record["Data"], now) for record in records]
            buffer.seal_due(now)  # an interval of 0 s is over at once
            with suppress(HubError):  # the records are taken: the service would go on trying for a day
                buffer.deliver(self._hub)
        return answers

    def _take(self, buffer: _Buffer, data: bytes, now: dt.datetime) -> dict[str, str]:
        if self._throttled(data):
            return {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
        buffer.add(data, now)
        return {"RecordId": uuid.uuid4().hex}


def _problem(records: Sequence[bytes]) -> str | None:
    """Why a request would be refused, None if it would not."""
    if not 1 <= len(records) <= MAX_RECORDS:
        return f"A batch holds 1 to {MAX_RECORDS} records, not {len(records)}."
    if (largest := max(len(data) for data in records)) > MAX_RECORD_BYTES:
        return f"A record holds at most {MAX_RECORD_BYTES} bytes, not {largest}."
    if (size := sum(len(data) for data in records)) > MAX_BATCH_BYTES:
        return f"A batch holds at most {MAX_BATCH_BYTES} bytes, not {size}."
    return None


def _refusal(call: str, code: str, message: str, *, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, call
    )
