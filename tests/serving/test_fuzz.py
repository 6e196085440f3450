"""Random bytes in paths, headers and bodies, written to the socket as they are: the gateway never breaks."""

import json
import random
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes, urlsplit

import httpx

from recsys_platform.serving.gateway.api import ENDPOINTS
from recsys_platform.serving.gateway.endpoints import Endpoint
from recsys_platform.serving.gateway.examples import EXAMPLES
from tests.support.serving_world import Running, ServingWorld

REQUESTS = 1500
HEADERS = (
    *("authorization", "x-api-key", "x-request-id", "if-none-match", "content-type", "accept", "cookie", "origin"),
    *("host", "sec-fetch-site", "traceparent", "x-forwarded-for", "accept-encoding"),
)
PARAMETERS = ("k", "offset", "surface", "language", "categories", "exclude", "reader", "seen", "clicked", "book", "x")
PAGES = (
    ("GET", "/", b""),
    ("GET", "/docs", b""),
    ("GET", "/assets/{name}", b""),
    ("POST", "/page/events", b"reader=u01&book=b01&clicked=finished"),
    ("POST", "/page/sign-in", b"key=x"),
)
LINES = re.compile(rb"[\r\n\0]")


def some_bytes(chance: random.Random, most: int) -> bytes:
    """Bytes of one of several kinds: any, text, digits, punctuation of JSON and of addresses, a known word."""
    length = chance.randint(0, most)
    words = (b"u01", b"b01", b"null", b"-1", b"1e999", b"\xed\xa0\x80", b"../..", b"%00", b"true", b"{}", b"[[[", b'"')
    kinds = (
        lambda: chance.randbytes(length),
        lambda: bytes(chance.choices(range(32, 127), k=length)),
        lambda: bytes(chance.choices(b'{}[]":,.-+eE0123456789\\u', k=length)),
        lambda: chance.choice(words),
    )
    return chance.choice(kinds)()


def body_of(endpoint: Endpoint) -> bytes:
    return json.dumps(EXAMPLES[endpoint.handler.__name__].body).encode()


def changed_bytes(chance: random.Random, body: bytes) -> bytes:
    """A body with some of its bytes replaced, often none."""
    at, length = chance.randint(0, len(body)), chance.choice((0, 0, 1, 5))
    return body[:at] + some_bytes(chance, length) * bool(length) + body[at + length :]


def random_request(chance: random.Random, key: bytes) -> bytes:
    method, path, body = chance.choice([*PAGES, *((each.method, each.path, body_of(each)) for each in ENDPOINTS)])
    address = re.sub(r"{\w+}", lambda _: quote_from_bytes(some_bytes(chance, 60)), path).encode()
    pairs = [f"{chance.choice(PARAMETERS)}={quote_from_bytes(some_bytes(chance, 40))}" for _ in range(3)]
    if chance.random() < 0.5:
        address += b"?" + "&".join(pairs).encode()
    body = changed_bytes(chance, body) if chance.random() < 0.5 else some_bytes(chance, 300)
    names = chance.sample(HEADERS, k=chance.randint(0, 4))
    lines = [f"{name}: ".encode() + LINES.sub(b"", some_bytes(chance, 80)) for name in names]
    if chance.random() < 0.8:
        lines = [
            b"authorization: " + key,
            *(line for line in lines if not line.startswith((b"authorization", b"x-api"))),
        ]
    if b"host" not in b"".join(lines):
        lines.append(b"host: localhost")
    length = b"content-length: %d" % len(body)
    return b"\r\n".join(
        [method.encode() + b" " + address + b" HTTP/1.1", *lines, length, b"connection: close", b"", body]
    )


def status_of(host: str, port: int, request: bytes) -> int:
    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return int(answer.split(b" ", 2)[1])


def statuses(api: Running) -> Iterator[tuple[int, bytes]]:
    chance, place = random.Random(1), urlsplit(api.url)
    key = api.client.headers["authorization"].encode()
    for _ in range(REQUESTS):
        request = random_request(chance, key)
        yield status_of(str(place.hostname), int(place.port or 0), request), request


def test_random_bytes_never_break_the_gateway(serving_world: ServingWorld, run_gateway: Any) -> None:
    api: Running = run_gateway(serving_world)
    found = list(statuses(api))
    assert [(status, request) for status, request in found if status >= 500] == []
    assert {200, 202, 401, 404, 422} <= {status for status, _ in found}
    assert httpx.get(f"{api.url}/readyz").status_code == 200
