"""An emulator of Amazon Data Firehose: it has the methods of boto3's client and delivers records as objects into a hub.

Buffering: https://docs.aws.amazon.com/firehose/latest/APIReference/API_BufferingHints.html; names of objects:
https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html. Records are neither transformed nor converted, so nothing is
ever written under the error prefix; it is only validated. There is no background thread: buffered records are delivered by the next
put, by `deliver_due` or by `flush`.
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

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import HubError, SettingsError
from recsys_platform.hub.object_store import Hub
from recsys_platform.sources.firehose.limits import MAX_BATCH_BYTES, MAX_RECORD_BYTES, MAX_RECORDS
from recsys_platform.sources.firehose.prefixes import complete_prefixes, evaluate_prefix

MIB = 1024 * 1024
GZIP = 31  # zlib window bits for a gzip header; its time field stays 0
Record = Mapping[str, bytes]


@dataclass(frozen=True)
class DeliveryStream:
    """The settings of a delivery stream; sizes are before compression. Raises `SettingsError` for what Firehose would refuse."""

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
        complete_prefixes(self.prefix, self.error_prefix)

    @cached_property
    def full_prefix(self) -> str:
        """The prefix, with the time that Firehose appends if it has none."""
        return complete_prefixes(self.prefix, self.error_prefix)[0]

    def object_key(self, arrived: dt.datetime) -> str:
        """A new key for an object whose first record arrived at this time."""
        at = arrived.astimezone(dt.UTC)
        name = f"{self.name}-{self.version}-{at:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}"
        return evaluate_prefix(self.full_prefix, at) + name + (".gz" if self.gzip else "")

    def object_body(self, records: Sequence[bytes]) -> bytes:
        """The records as the bytes of an object: concatenated, one gzip member if compressed."""
        plain = b"".join(records)
        return zlib.compress(plain, wbits=GZIP) if self.gzip else plain


@dataclass
class _Buffer:
    """The state of a stream: buffered records, and sealed objects (key, bytes) not yet written to the hub."""

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
            self.sealed.append((self.stream.object_key(self.since), self.stream.object_body(self.records)))
        self.records, self.size, self.since = [], 0, None

    def deliver(self, hub: Hub) -> None:
        while self.sealed:
            hub.put(*self.sealed[0])
            self.sealed.popleft()


class FirehoseEmulator:
    """Delivery streams into a hub, with the methods of boto3's client that a producer uses; thread-safe.

    `clock` returns the time with its zone. `throttled` is called for each record and try; if it returns True, the record is refused
    with `ServiceUnavailableException`. Objects that the hub fails to write stay buffered and are retried under the same key.
    """

    def __init__(
        self,
        hub: Hub,
        *streams: DeliveryStream,
        clock: Callable[[], dt.datetime] = utc_now,
        throttled: Callable[[bytes], bool] = lambda data: False,
    ) -> None:
        self._hub, self._clock, self._throttled = hub, clock, throttled
        self._buffers = {stream.name: _Buffer(stream) for stream in streams}
        self._lock = threading.Lock()

    def put_record(self, *, DeliveryStreamName: str, Record: Record) -> dict[str, Any]:  # noqa: N803  # as boto3 has it
        """Accept one record. Raises `ClientError` if it is too large, or the stream is unknown or throttled."""
        (answer,) = self._put_records("PutRecord", DeliveryStreamName, [Record])
        if "ErrorCode" in answer:
            raise _client_error("PutRecord", answer["ErrorCode"], answer["ErrorMessage"], status=500)
        return {**answer, "Encrypted": False, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def put_record_batch(self, *, DeliveryStreamName: str, Records: Sequence[Record]) -> dict[str, Any]:  # noqa: N803
        """Accept a batch; the response has a result for each record. Raises `ClientError` if the whole batch is refused."""
        answers = self._put_records("PutRecordBatch", DeliveryStreamName, Records)
        return {
            "FailedPutCount": sum("ErrorCode" in answer for answer in answers),
            "Encrypted": False,
            "RequestResponses": answers,
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }

    def deliver_due(self) -> None:
        """Deliver buffers older than the stream's interval. Raises `HubError` if the hub cannot be written."""
        with self._lock:
            for buffer in self._buffers.values():
                buffer.seal_due(self._clock())
                buffer.deliver(self._hub)

    def flush(self) -> None:
        """Deliver everything now, which the real service does not offer. Raises `HubError` if the hub cannot be written."""
        with self._lock:
            for buffer in self._buffers.values():
                buffer.seal()
                buffer.deliver(self._hub)

    def _put_records(self, call: str, name: str, records: Sequence[Record]) -> list[dict[str, str]]:
        buffer = self._buffers.get(name)
        if buffer is None:
            raise _client_error(call, "ResourceNotFoundException", f"There is no stream {name}.")
        if problem := _invalid_reason([record["Data"] for record in records]):
            raise _client_error(call, "InvalidArgumentException", problem)
        with self._lock:
            now = self._clock()
            buffer.seal_due(now)
            answers = [self._buffer_record(buffer, record["Data"], now) for record in records]
            buffer.seal_due(now)  # an interval of 0 s has already passed
            with suppress(HubError):  # the records are accepted; the real service also retries, for a day
                buffer.deliver(self._hub)
        return answers

    def _buffer_record(self, buffer: _Buffer, data: bytes, now: dt.datetime) -> dict[str, str]:
        if self._throttled(data):
            return {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down."}
        buffer.add(data, now)
        return {"RecordId": uuid.uuid4().hex}


def _invalid_reason(records: Sequence[bytes]) -> str | None:
    """The error message for a request that exceeds a limit, None for a valid one."""
    if not 1 <= len(records) <= MAX_RECORDS:
        return f"A batch holds 1 to {MAX_RECORDS} records, not {len(records)}."
    if (largest := max(len(data) for data in records)) > MAX_RECORD_BYTES:
        return f"A record holds at most {MAX_RECORD_BYTES} bytes, not {largest}."
    if (size := sum(len(data) for data in records)) > MAX_BATCH_BYTES:
        return f"A batch holds at most {MAX_BATCH_BYTES} bytes, not {size}."
    return None


def _client_error(call: str, code: str, message: str, *, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, call
    )
