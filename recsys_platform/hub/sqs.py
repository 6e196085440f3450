"""S3's notifications of new objects, received from an SQS queue.

Belongs here: receiving, parsing and deleting messages. Does not: which objects are new (ingestion/arrivals.py), since messages may
come late, twice, out of order, and for objects that are loaded already.
"""

import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recsys_platform.common.aws import client, translate_aws_errors

BATCH_SIZE = 10  # the most messages that SQS accepts in one request


@dataclass(frozen=True)
class Message:
    """One message: the keys of its new objects, and the receipt handle that deletes it."""

    receipt: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class LandingQueue:
    """The SQS queue that receives the bucket's notifications. `prefix` is the hub's; keys do not include it."""

    url: str
    prefix: str = ""

    def receive(self, *, most: int = 2000, wait_seconds: int = 10) -> list[Message]:
        """Receive up to `most` messages, waiting for the first; a message is delivered again unless it is deleted."""
        found: list[Message] = []
        while len(found) < most:
            batch = self._receive_batch(wait_seconds if not found else 0)
            if not batch:
                break
            found += batch
        return found

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. A message that SQS delivers again after that does no harm."""
        for start in range(0, len(messages), BATCH_SIZE):
            batch = enumerate(messages[start : start + BATCH_SIZE])
            entries = [{"Id": str(place), "ReceiptHandle": each.receipt} for place, each in batch]
            with translate_aws_errors(f"delete messages of {self.url}"):
                self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)

    def _receive_batch(self, wait_seconds: int) -> list[Message]:
        with translate_aws_errors(f"receive messages of {self.url}"):
            answer = self._client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=BATCH_SIZE, WaitTimeSeconds=wait_seconds
            )
        return [
            Message(each["ReceiptHandle"], tuple(self._hub_keys(each["Body"]))) for each in answer.get("Messages", ())
        ]

    def _hub_keys(self, body: str) -> Iterator[str]:
        root = f"{self.prefix}/" if self.prefix else ""
        return (key.removeprefix(root) for key in created_keys(body) if key.startswith(root))

    @cached_property
    def _client(self) -> Any:
        return client("sqs")


def created_keys(body: str) -> Iterator[str]:
    """The keys of created objects in an S3 notification, direct or through SNS or EventBridge; empty for other messages."""
    message = _parse_json_object(body)
    if isinstance(message.get("Message"), str):
        message = _parse_json_object(message["Message"])
    for record in message.get("Records") or ():
        if str(record.get("eventName", "")).startswith("ObjectCreated"):
            yield urllib.parse.unquote_plus(_object_key(record.get("s3")))
    if message.get("detail-type") == "Object Created":
        yield _object_key(message.get("detail"))


def _object_key(event: Any) -> str:
    try:
        return str(event["object"]["key"])
    except (KeyError, TypeError):
        return ""


def _parse_json_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
