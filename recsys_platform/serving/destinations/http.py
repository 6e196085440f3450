"""Webhooks and Segment's HTTP API.

Belongs here: their requests, and what their answers mean. Does not: what of an event goes out (selection.py).
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from recsys_platform.common.batches import BatchLimits, PutError
from recsys_platform.common.errors import SettingsError
from recsys_platform.common.http_logging import suppress_http_logs
from recsys_platform.serving.delivery import DeadLetter
from recsys_platform.serving.destinations.sending import dead_letter

_TIMEOUT = httpx.Timeout(10.0, connect=3.0)
_REFUSED = (400, 413, 422)
"""Answers that say that the content is wrong; any other is tried again."""
_WEBHOOK_LIMITS = BatchLimits(100, 512_000, 256_000)
_SEGMENT_LIMITS = BatchLimits(1_000, 480_000, 32_000)
"""https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/: 500 KB a batch, 32 KB an event."""

Sign = Callable[[bytes], Mapping[str, str]]


@dataclass
class BatchPost:
    """Posts `{"batch": […]}`; of a batch that is refused as wrong, the events that are refused alone are dead.

    `sign`: gives the headers for a body.
    """

    url: str
    sign: Sign
    limits: BatchLimits
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_TIMEOUT))

    def put(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Post a batch; raises `PutError` if nothing of it was taken or refused."""
        buried = len(dead)
        left, why = self._post_or_split(batch, dead)
        if len(left) == len(batch) and len(dead) == buried:
            raise PutError(why)
        return left, why

    def _post_or_split(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Post a batch, and its halves if it is refused as wrong; returns what to send again, and why."""
        status, why = self._post(batch)
        if 200 <= status < 300:
            return [], ""
        if status not in _REFUSED:
            return batch, why
        if len(batch) == 1:
            dead.append(dead_letter(batch[0], why))
            return [], ""
        half = len(batch) // 2
        left, why = self._post_or_split(batch[:half], dead)
        if left:
            return [*left, *batch[half:]], why
        return self._post_or_split(batch[half:], dead)

    def _post(self, batch: list[bytes]) -> tuple[int, str]:
        """The status of the answer, 0 without one, and what was wrong; neither names the address, which may hold a secret."""
        body = b'{"batch":[' + b",".join(batch) + b"]}"
        headers = {"content-type": "application/json", **self.sign(body)}
        try:
            with suppress_http_logs():
                status = self.client.post(self.url, content=body, headers=headers).status_code
        except httpx.HTTPError as error:
            return 0, f"it does not answer ({type(error).__name__})"
        return status, f"it answered {status}"


def webhook(url: str, secret: str) -> BatchPost:
    """A webhook that is signed by the Standard Webhooks specification (https://www.standardwebhooks.com)."""
    key = _webhook_key(secret)

    def sign(body: bytes) -> Mapping[str, str]:
        # The same batch has the same id, so that a receiver knows it when it comes again.
        message_id, at = f"msg_{hashlib.blake2b(body, digest_size=16).hexdigest()}", str(int(time.time()))
        signature = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
        }

    return BatchPost(url, sign, _WEBHOOK_LIMITS)


def segment(url: str, write_key: str) -> BatchPost:
    """Segment's HTTP tracking API, or a service that speaks it."""
    authorization = f"Basic {base64.b64encode(f'{write_key}:'.encode()).decode()}"
    return BatchPost(f"{url.rstrip('/')}/v1/batch", lambda body: {"authorization": authorization}, _SEGMENT_LIMITS)


def _webhook_key(secret: str) -> bytes:
    """The key in a secret: base64 behind `whsec_`, or any text."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise SettingsError(
            "The secret of a webhook begins with whsec_ but goes on with something else than base64: copy it again."
        ) from error
