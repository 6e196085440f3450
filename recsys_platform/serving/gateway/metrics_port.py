"""Metrics on a port of their own, which a network may keep from the API's clients."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from recsys_platform.common.errors import InputError
from recsys_platform.serving.gateway.handlers import METRICS_TYPE, metrics_of
from recsys_platform.serving.gateway.state import Gateway


def metrics_server(gateway: Gateway, host: str, port: int | None) -> Callable[[], None]:
    """Open the port and return what serves metrics on it in a thread; workers that part afterwards share the port.

    Raises InputError if the port is in use.
    """
    if port is None:
        return lambda: None
    try:
        server = _MetricsServer((host, port), _MetricsHandler)
    except OSError as error:
        detail = f"Metrics cannot be served on {host}:{port}: {error.strerror}. Name another --metrics-port."
        raise InputError(detail) from error
    server.gateway = gateway
    server.socket.setblocking(False)  # another worker may have taken the connection
    return lambda: threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _MetricsServer(ThreadingHTTPServer):
    daemon_threads = True
    gateway: Gateway


class _MetricsHandler(BaseHTTPRequestHandler):
    server: _MetricsServer
    timeout = 10
    server_version, sys_version = "recsys", ""  # not what an attacker would look up

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            return self.send_error(404)
        content = metrics_of(self.server.gateway)
        self.send_response(200)
        self.send_header("content-type", METRICS_TYPE)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing: a scrape is no news."""
