"""Counts of the requests that this process sends to S3, by what they cost.

Belongs here: counting. Does not: sending them (aws.py), prices.
"""

import threading
from collections import Counter
from typing import Any

_LOCK = threading.Lock()
_SENT: Counter[str] = Counter()
_PUT = ("Put", "Post", "Copy", "List", "Create", "Complete", "Upload")
_FREE = ("Delete", "Abort")


def requests_sent() -> Counter[str]:
    """The number of requests since the process began: `s3_put` (PUT, COPY, POST, LIST) and `s3_get` (all others that cost)."""
    with _LOCK:
        return Counter(_SENT)


def count_requests(s3: Any) -> None:
    """Count all requests that a boto3 client of S3 will send, each retry too."""
    s3.meta.events.register("before-send.s3", _count_request)


def _count_request(event_name: str, **_: Any) -> None:
    resource = price_class(event_name.rpartition(".")[2])
    if resource:
        with _LOCK:
            _SENT[resource] += 1


def price_class(operation: str) -> str | None:
    """The resource that an operation of S3 is billed as; None if it is free.

    >>> price_class("PutObject"), price_class("ListObjectsV2"), price_class("HeadObject"), price_class("DeleteObject")
    ('s3_put', 's3_put', 's3_get', None)
    """
    if operation.startswith(_FREE):
        return None
    return "s3_put" if operation.startswith(_PUT) else "s3_get"
