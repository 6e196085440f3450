"""Replies: what is sent back, with no more work than it needs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Message, Send

JSON, PROBLEM = b"application/json", b"application/problem+json"
Header = tuple[bytes, bytes]
"""Lower-case name, and value, as they are sent."""


@dataclass(slots=True)
class Reply:
    """Body, status, media type, and further headers."""

    body: bytes = b""
    status: int = 200
    media_type: bytes = JSON
    headers: Sequence[Header] = ()


class WatchedSend:
    """Sends an answer, and notes its status and request id."""

    status, request_id = 0, ""

    def __init__(self, send: Send) -> None:
        """`send`: of the server."""
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Send a message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.request_id = dict(message["headers"]).get(b"x-request-id", b"").decode("latin-1")
        await self._send(message)


def encoded_headers(headers: Mapping[str, str]) -> list[Header]:
    """Return headers as they are sent."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def send_reply(reply: Reply, more: Iterable[Header], send: Send) -> None:
    """Send a reply with some more headers."""
    headers = [*reply.headers, *more]
    if reply.status != 304:
        headers += [(b"content-length", b"%d" % len(reply.body)), (b"content-type", reply.media_type)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
