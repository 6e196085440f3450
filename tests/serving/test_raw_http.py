"""Bytes on the wire that no well-behaved client sends are refused with a status below 500, or the connection is closed."""

import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from recsys_platform.serving.connections import MOST_HEAD_BYTES, BoundedProtocol
from tests.support.pace import patience
from tests.support.running_gateways import running_gateways
from tests.support.serving_world import Running, ServingWorld

LIST = b"/v1/users/u01/recommendations"
CLOSED = 0
PAUSE, SLOW_CLIENTS = 0.1, 3


@pytest.fixture(scope="module")
def api(serving_world: ServingWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BoundedProtocol, "read_seconds", 0.4)
        with running_gateways(tmp_path_factory.mktemp("raw")) as start:
            yield start(serving_world)


def connect(api: Running) -> socket.socket:
    place = urlsplit(api.url)
    return socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60)


def answer_to(connection: socket.socket, content: bytes) -> bytes:
    """Everything that comes back until the connection is closed."""
    found = b""
    try:
        connection.sendall(content)
        while part := connection.recv(1 << 16):
            found += part
    except OSError:
        pass
    return found


def statuses(found: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", found)] or [CLOSED]


def request(
    path: bytes = LIST, *lines: bytes, method: bytes = b"GET", body: bytes = b"", host: bytes = b"localhost"
) -> Callable[[bytes], bytes]:
    """A request with a key, closed after the answer."""

    def made(key: bytes) -> bytes:
        head = [method + b" " + path + b" HTTP/1.1", b"host: " + host, b"authorization: " + key, *lines]
        return b"\r\n".join([*head, b"connection: close", b"", body])

    return made


def post(body: bytes, *lines: bytes, path: bytes = b"/v1/events") -> Callable[[bytes], bytes]:
    return request(path, b"content-length: %d" % len(body), *lines, method=b"POST", body=body)


BOMB = zlib.compress(b"0" * 50_000_000, 9, 31)
EVENT = b'{"type": "track", "event": "Book Saved", "messageId": "m", "anonymousId": "d", "timestamp": "2026-11-22T10:00:00Z", %b}'
CASES: dict[str, tuple[Callable[[bytes], bytes], set[int]]] = {
    # the head
    "no HTTP": (lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, {400}),
    "HTTP/2": (lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, CLOSED}),
    "a version that is none": (lambda _: b"GET / HTTP/9.9\r\n\r\n", {400}),
    "a method that is none": (request(method=b"G\x00T"), {400}),
    "CONNECT": (
        lambda _: b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
        {400, 404, 405, 408},
    ),
    "TRACE": (request(method=b"TRACE"), {400, 405}),
    "an upgrade to h2c": (request(LIST, b"upgrade: h2c", b"http2-settings: AAMAAABkAAQ"), {200, 400, 408}),
    "an upgrade to a web socket": (request(LIST, b"upgrade: websocket", b"sec-websocket-key: x"), {200, 400, 408}),
    "a huge header": (request(LIST, b"x: " + b"y" * 1_000_000), {431, 400, CLOSED}),
    "a hundred thousand headers": (request(LIST, *[b"x: y"] * 100_000), {431, 400, CLOSED}),
    "a huge path": (request(b"/v1/users/" + b"u" * 500_000 + b"/recommendations"), {431, 400, 422, CLOSED}),
    "a line break in a header's name": (request(LIST, b"x\n: y"), {400}),
    "a NUL in a header": (request(LIST, b"x: a\x00b"), {400}),
    "a folded header": (request(LIST, b"x: a", b"  b"), {200, 400}),
    "a header without a name": (request(LIST, b": y"), {400}),
    "two hosts": (request(LIST, b"host: evil.example"), {200, 400}),
    "a key that is no text": (lambda _: request(LIST)(b"Bearer \xff\xfe\x80"), {401}),
    "two keys, the first of nobody": (lambda key: request(LIST, b"authorization: " + key)(b"Bearer x"), {401}),
    # path and query
    "bytes that are no text in the path": (request(b"/v1/users/\xff\xfe/recommendations"), {400}),
    "UTF-8 that is invalid in the path": (request(b"/v1/users/%ff%c0%80/recommendations"), {200, 422}),
    "a NUL in the path": (request(b"/v1/users/%00/recommendations"), {422}),
    "a slash in an id": (request(b"/v1/users/a%2Fb/recommendations"), {404, 422}),
    "dots in the path": (request(b"/v1/../../etc/passwd"), {404}),
    "encoded dots in the path": (request(b"/assets/%2e%2e/%2e%2e/server.py"), {404}),
    "an address as path": (request(b"http://evil.example/v1/popular"), {200, 400, 404}),
    "a path that is none": (request(b"*"), {400, 404}),
    "a fragment": (request(LIST + b"#x"), {200, 400, 404}),
    "a parameter twice": (request(LIST + b"?k=1&k=2"), {200, 422}),
    "a number without end": (request(LIST + b"?k=1e999"), {422}),
    "a number of a thousand digits": (request(LIST + b"?k=" + b"9" * 1000), {422}),
    "a number of six thousand digits": (request(LIST + b"?k=" + b"9" * 6000), {422}),
    "not a number": (request(LIST + b"?k=nan"), {422}),
    "a number in other digits": (request(LIST + b"?k=%d9%a3"), {200, 422}),
    "a negative number": (request(LIST + b"?k=-1"), {422}),
    "UTF-8 that is invalid in the query": (request(LIST + b"?surface=%ff%fe&language=%c3"), {200, 422}),
    "bytes that are no text in the query": (request(LIST + b"?surface=\xff"), {200, 400, 422}),
    "a line break in the query": (request(LIST + b"?surface=a%0d%0aset-cookie:%20x=y"), {200, 422}),
    "a huge query": (request(LIST + b"?x=" + b"y" * 20_000), {422}),
    "ten thousand parameters": (request(LIST + b"?" + b"a&" * 8_000), {200, 422}),
    # the body
    "a negative length": (request(b"/v1/events", b"content-length: -1", method=b"POST", body=b"{}"), {400}),
    "a length that is no number": (request(b"/v1/events", b"content-length: x", method=b"POST", body=b"{}"), {400}),
    "an enormous length": (request(b"/v1/events", b"content-length: " + b"9" * 40, method=b"POST", body=b"{}"), {400}),
    "two lengths": (post(b"{}", b"content-length: 5"), {400}),
    "length and chunks": (post(b"0\r\n\r\n", b"transfer-encoding: chunked"), {400, 422}),
    "chunks that are none": (
        request(b"/v1/events", b"transfer-encoding: chunked", method=b"POST", body=b"zz\r\n\r\n"),
        {400},
    ),
    "a negative chunk": (
        request(b"/v1/events", b"transfer-encoding: chunked", method=b"POST", body=b"-5\r\n\r\n"),
        {400},
    ),
    "an encoding of the transfer that is none": (
        request(b"/v1/events", b"transfer-encoding: evil", method=b"POST", body=b"{}"),
        {400, 422},
    ),
    "a body that is too large": (post(b'"' + b"x" * 1_200_000 + b'"'), {413}),
    "a bomb": (post(BOMB, b"content-encoding: gzip"), {413, 422}),
    "no body": (request(b"/v1/events", method=b"POST"), {422}),
    "a BOM": (post(b"\xef\xbb\xbf{}"), {422}),
    "UTF-16": (post('{"a": 1}'.encode("utf-16")), {422}),
    "a lone surrogate": (post(EVENT % rb'"userId": "\ud800"'), {202, 422}),
    "a lone surrogate in UTF-8": (post(EVENT % b'"userId": "\xed\xa0\x80"'), {202, 422}),
    "a NUL in an id": (post(EVENT % rb'"userId": "a\u0000b"'), {202, 422}),
    "deep lists": (post(b"[" * 400_000), {422}),
    "deep objects": (post(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), {422}),
    "deep properties": (post(EVENT % (b'"properties": ' + b'{"a":' * 500 + b"1" + b"}" * 500)), {202, 422}),
    "a number of any size": (post(EVENT % (b'"userId": ' + b"9" * 5000)), {202, 422}),
    "a float of any size": (post(EVENT % b'"properties": {"rating": 1e400}'), {202, 422}),
    "a field twice": (post(b'{"k": 1, "k": 2}', path=b"/v1/recommendations"), {200, 422}),
    "a whole number as a huge float": (post(b'{"k": 1e300}', path=b"/v1/recommendations"), {422}),
    "a form": (post(b"k=1", b"content-type: application/x-www-form-urlencoded", path=b"/v1/recommendations"), {422}),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_no_valid_request_is_refused_and_never_breaks_the_gateway(what: str, api: Running) -> None:
    made, allowed = CASES[what]
    with connect(api) as connection:
        found = statuses(answer_to(connection, made(api.client.headers["authorization"].encode())))
    assert {found[0]} <= allowed
    assert not [status for status in found if status >= 500]
    assert api.recommended("u01")["source"] == "live"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_request_that_offers_another_protocol_is_answered_with_its_body(
    protocol: bytes, is_late: bool, api: Running
) -> None:
    offer = (b"connection: Upgrade, HTTP2-Settings", b"upgrade: " + protocol, b"http2-settings: AAMAAABkAAQ")
    made = post(b'{"k": 1}', *offer, path=b"/v1/recommendations")(api.client.headers["authorization"].encode())
    first, next_ = made.replace(b"connection: close\r\n", b""), request()(api.client.headers["authorization"].encode())
    with connect(api) as connection:
        if is_late:
            connection.sendall(first[:-3])
            time.sleep(PAUSE)
            first = first[-3:]
        assert statuses(answer_to(connection, first + next_)) == [200, 200]


EVIL = b"a%0d%0aset-cookie:%20evil%0d%0a%0d%0aevil%0a%00%e5%98%8a%e5%98%8dset-cookie:evil"
RAW = b"evil\x0bset-cookie:evil\x85evil"
REFLECTING = {
    "a reader": request(b"/v1/users/" + EVIL.replace(b"%00", b"") + b"/recommendations"),
    "a book": request(b"/v1/books/" + EVIL + b"/similar"),
    "a surface": request(LIST + b"?surface=" + EVIL),
    "a request": request(b"/v1/recommendations/" + EVIL + b"/explanation"),
    "a path": request(b"/" + EVIL),
    "a page": request(b"/?reader=" + EVIL),
    "a key": lambda _: request()(b"Bearer " + RAW),
    "a request id": request(LIST, b"x-request-id: " + RAW),
    "an entity tag": request(LIST, b'if-none-match: "' + RAW + b'", *'),
    "a cookie": request(b"/", b"cookie: recsys=" + RAW),
    "a host": request(b"/", host=b"evil.example"),
    "a trace": request(LIST, b"traceparent: 00-" + RAW + b"-01"),
    "an origin": request(LIST, b"origin: https://evil.example", b"access-control-request-method: GET"),
    "a method": request(method=b"DELETE"),
    "a sign-in": post(b"key=" + EVIL, b"sec-fetch-site: same-origin", path=b"/page/sign-in"),
}


@pytest.mark.parametrize("what", REFLECTING)
def test_nothing_that_a_client_sends_gets_into_the_head_of_an_answer(what: str, api: Running) -> None:
    with connect(api) as connection:
        found = answer_to(connection, REFLECTING[what](api.client.headers["authorization"].encode()))
    head, _, _ = found.partition(b"\r\n\r\n")
    assert statuses(found)[0] < 500
    assert head.startswith(b"HTTP/1.1 ")
    assert b"evil" not in head.lower()
    assert len(statuses(found)) == 1


def smuggled(first: bytes) -> bytes:
    """A second request inside the first one's body."""
    return first + b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def test_a_request_in_the_body_of_another_is_not_answered(api: Running) -> None:
    inner = smuggled(b"")
    whole = post(inner)(api.client.headers["authorization"].encode())
    with connect(api) as connection:
        assert statuses(answer_to(connection, whole)) == [422]


FORM = b"POST /page/sign-in HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: same-origin\r\n"
SLOW: dict[str, tuple[bytes, bytes]] = {
    "a head": (b"GET / HTTP/1.1\r\n", b"x: y\r\n"),
    "a second head": (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET / HTTP/1.1\r\n", b"x: y\r\n"),
    "a form": (FORM + b"content-length: 100000\r\n\r\n", b"x"),
    "chunks": (FORM + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "events": (
        b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: %b\r\ncontent-length: 99999\r\n\r\n",
        b" ",
    ),
    "nothing": (b"", b""),
}
"""What a client begins with, and what it sends again and again."""


def send_slowly(connection: socket.socket, first: bytes, again: bytes) -> None:
    with suppress(OSError):
        connection.sendall(first)
        while True:
            connection.sendall(again)
            time.sleep(PAUSE)


def test_connections_of_slow_clients_are_closed_and_others_are_served_meanwhile(api: Running) -> None:
    key = api.client.headers["authorization"].encode()
    started = time.monotonic()
    with ExitStack() as stack:
        connections = {}
        for what, (first, again) in SLOW.items():
            for number in range(SLOW_CLIENTS):
                connection = connections[what, number] = stack.enter_context(connect(api))
                first = first.replace(b"%b", key)
                threading.Thread(target=send_slowly, args=(connection, first, again), daemon=True).start()
        waits = [waited(api) for _ in range(20)]
        answers = {name: statuses(answer_to(connection, b""))[-1] for name, connection in connections.items()}
        took = time.monotonic() - started
    assert [
        (name, found) for name, found in answers.items() if found not in (408, CLOSED)
    ] == []  # a reset may be faster
    assert took < 5 * patience()
    assert sorted(waits)[10] < 0.2 * patience()


def waited(api: Running) -> float:
    started = time.monotonic()
    assert api.recommended("u02")["source"] == "live"
    return time.monotonic() - started


def test_a_head_without_end_is_refused_before_it_fills_the_memory(api: Running) -> None:
    with connect(api) as connection:
        found = answer_to(connection, b"GET / HTTP/1.1\r\nx: " + b"y" * (20 * MOST_HEAD_BYTES))
    assert statuses(found)[0] in {431, 400, CLOSED}


def test_a_connection_that_is_kept_is_used_again_after_a_while(api: Running) -> None:
    with httpx.Client(base_url=api.url) as client:
        for _ in range(2):
            assert client.get("/healthz").status_code == 200
            time.sleep(0.9)  # more than two looks at the connection
        assert client.get("/healthz").status_code == 200
