"""What S3 tells of new objects through a queue of SQS.

Belongs here: receiving, reading and deleting messages. Does not: which objects are new (warehouse/arrivals.py), for messages come
late, twice, out of order, and of objects that are long loaded.
"""

import json
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recsys_platform.common.aws import client, in_one_sentence

A_BATCH = 10  # what SQS gives or takes at once


@dataclass(frozen=True)
class Message:
    """One message: the keys in the hub that it tells of, and what SQS wants to hear when it is deleted."""

    receipt: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class LandingQueue:
    """The queue that a bucket tells of new objects; `prefix` is the hub's, and not part of its keys."""

    url: str
    prefix: str = ""

    def receive(self, *, most: int = 2000, wait_seconds: int = 10) -> list[Message]:
        """Messages until the queue has no more, waiting for the first; each comes again later unless it is deleted."""
        found: list[Message] = []
        while len(found) < most:
            batch = self._receive(wait_seconds if not found else 0)
            if not batch:
                break
            found += batch
        return found

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages; one that SQS keeps all the same comes again and does no harm."""
        for start in range(0, len(messages), A_BATCH):
            batch = enumerate(messages[start : start + A_BATCH])
            entries = [{"Id": str(place), "ReceiptHandle": each.receipt} for place, each in batch]
            with in_one_sentence(f"delete messages of {self.url}"):
                self._client.delete_message_batch(QueueUrl=self.url, Entries=entries)

    def _receive(self, wait_seconds: int) -> list[Message]:
        with in_one_sentence(f"receive messages of {self.url}"):
            answer = self._client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=A_BATCH, WaitTimeSeconds=wait_seconds
            )
        return [Message(each["ReceiptHandle"], tuple(self._keys(each["Body"]))) for each in answer.get("Messages", ())]

    def _keys(self, body: str) -> Iterator[str]:
        root = f"{self.prefix}/" if self.prefix else ""
        return (key.removeprefix(root) for key in keys_of(body) if key.startswith(root))

    @cached_property
    def _client(self) -> Any:
        return client("sqs")


def keys_of(body: str) -> Iterator[str]:
    """The keys of created objects in a notification of S3, straight, by way of SNS or by way of EventBridge; none in others."""
    told = _object(body)
    if isinstance(told.get("Message"), str):
        told = _object(told["Message"])
    for record in told.get("Records") or ():
        if str(record.get("eventName", "")).startswith("ObjectCreated"):
            yield urllib.parse.unquote_plus(_key_in(record.get("s3")))
    if told.get("detail-type") == "Object Created":
        yield _key_in(told.get("detail"))


def _key_in(told: Any) -> str:
    try:
        return str(told["object"]["key"])
    except (KeyError, TypeError):
        return ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
