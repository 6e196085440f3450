"""Connections of clients that send slowly, or too much: closed after a limit, so that they keep nobody else out.

Belongs here: what uvicorn does not limit. Does not: sizes of bodies (gateway/endpoints.py, model_host/app.py), limits of callers
(gateway/limits.py).

A connection has a timer of its own; a request costs nothing more for it.
"""

import asyncio
import socket
import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recsys_platform.common.errors import InputError

MOST_HEAD_BYTES = 65_536
KEEP_ALIVE_SECONDS = 75
"""An idle connection is kept longer than load balancers keep theirs (60 s): they would send a request into one that is just closed."""


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 of uvicorn with limits: 408 for a request that does not arrive in time, 431 for a head that is too large.

    An offer of another protocol is ignored. Some clients, Java's among them, offer HTTP/2 with their first request.
    """

    read_seconds = 10.0
    """A request that has not arrived after this long is given up, at the latest after twice as long."""
    _head_bytes = 0
    _data = b""
    _has_offer = False
    _waited_for: Any = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch the connection."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what watches the connection."""
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        self._data = data
        super().data_received(data)
        self._data = b""
        cycle = self.cycle
        if cycle is not None and (not cycle.response_complete or cycle.more_body):
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Begin a request, unless it is to be read again without its offer."""
        self._has_offer = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._has_offer:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._has_offer:
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Read a request again without its offer of another protocol: the parser takes its body for that protocol."""
        error = sys.exception()
        if not self._has_offer or error is None:
            return
        rest = self._data[error.args[0] :]
        lines = [b"%b: %b" % each for each in self.headers if each[0] != b"upgrade"]
        start = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([start, *lines, b"", b""]) + rest)

    def _watch(self) -> None:
        """Look again after some seconds."""
        self._waited_for = self._unread_request()
        self._timer = self.loop.call_later(self.read_seconds, self._check_progress)

    def _check_progress(self) -> None:
        unread = self._unread_request()
        if unread is not None and unread is self._waited_for:
            self._refuse(b"408 Request Timeout")
        elif not self.transport.is_closing():
            self._watch()

    def _unread_request(self) -> Any:
        """Something that stays the same while one request arrives; None if there is nothing to wait for."""
        cycle = self.cycle
        if cycle is None:
            return self  # the first one
        if not cycle.response_complete:
            return cycle if cycle.more_body else None
        return cycle.scope if self.timeout_keep_alive_task is None else None  # the one after it

    def _refuse(self, status: bytes) -> None:
        """Answer without the application, which may wait for the rest, and close."""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
            self.transport.close()


def check_port(host: str, port: int) -> None:
    """Raise InputError if nothing can listen there, before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise InputError(
            f"Nothing can listen on {host}:{port}: {error.strerror}. Name another --port or --host."
        ) from error


OPTIONS: dict[str, Any] = {
    "http": BoundedProtocol,
    "ws": "none",
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    "timeout_keep_alive": KEEP_ALIVE_SECONDS,
    "timeout_graceful_shutdown": 10,
}
"""Of uvicorn, for gateways and model hosts."""
