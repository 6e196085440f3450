import datetime as dt
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from recsys_platform.errors import AttributesError
from recsys_platform.hub.attributes import fetch_snapshot, store_snapshot
from recsys_platform.hub.endpoint import Endpoint, shown

Answer = tuple[int, dict[str, str], Any]


@contextmanager
def serving(answer: Callable[[int, int], Answer]) -> Iterator[tuple[Endpoint, list[str]]]:
    """A real server that answers page by page, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            query = parse_qs(urlsplit(self.path).query)
            status, headers, body = answer(int(query["page"][0]), int(query["per_page"][0]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield (
            Endpoint(
                f"http://127.0.0.1:{server.server_port}/books", "book_id", per_page=2, attempts=2, backoff_seconds=0.01
            ),
            asked,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


BOOKS = [{"book_id": f"b{n}"} for n in range(5)]


def page(number: int, size: int, total: int = 5) -> dict[str, Any]:
    data = BOOKS[(number - 1) * size : number * size]
    return {"page": number, "per_page": size, "total": total, "total_pages": -(-total // size), "data": data}


def test_all_pages_are_fetched_by_number():
    with serving(lambda number, size: (200, {}, page(number, size))) as (endpoint, asked):
        assert fetch_snapshot(endpoint).records == BOOKS
    assert asked == [f"/books?page={n}&per_page=2" for n in (1, 2, 3)]


def test_a_next_link_is_followed_where_it_is_sent():
    def answer(number: int, size: int) -> Answer:
        link = {"Link": f'</books?page={number + 1}&per_page=2&cursor=c{number}>; rel="next"'} if number < 3 else {}
        return 200, link, page(number, size) | {"total_pages": 3}

    with serving(answer) as (endpoint, asked):
        assert fetch_snapshot(endpoint).records == BOOKS
    assert asked[1:] == ["/books?page=2&per_page=2&cursor=c1", "/books?page=3&per_page=2&cursor=c2"]


def test_an_empty_endpoint_is_no_snapshot():
    with (
        serving(lambda number, size: (200, {}, page(number, size, total=0) | {"data": []})) as (endpoint, _),
        pytest.raises(AttributesError, match="has no records: nothing was stored"),
    ):
        fetch_snapshot(endpoint)


def test_pages_that_link_in_a_circle_are_told():
    circle = {"Link": '</books?page=1&per_page=2>; rel="next"'}
    with (
        serving(lambda number, size: (200, circle, page(number, size))) as (endpoint, _),
        pytest.raises(AttributesError, match="linked as the next page twice"),
    ):
        fetch_snapshot(endpoint)


def test_keys_in_a_url_are_not_told():
    assert shown("https://me:word@example.com/books?api_key=1") == "https://example.com/books"


def test_a_server_that_stumbles_once_is_asked_again():
    failures = iter([503])
    with serving(lambda number, size: (next(failures, 200), {}, page(number, size))) as (endpoint, asked):
        assert fetch_snapshot(endpoint).records == BOOKS
    assert len(asked) == 4


def test_a_partial_snapshot_is_refused():
    with (
        serving(lambda number, size: (200, {}, page(number, size, total=6))) as (endpoint, _),
        pytest.raises(AttributesError, match="promised 6 records and delivered 5"),
    ):
        fetch_snapshot(endpoint)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((500, {}, {}), "answered 500"),
        ((404, {}, {}), "answered 404"),
        ((200, {}, b"<html>"), "did not answer with a page of records"),
        ((200, {}, {"data": []}), "did not answer with a page of records"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(answer, message):
    with serving(lambda *_: answer) as (endpoint, _), pytest.raises(AttributesError, match=message):
        fetch_snapshot(endpoint)


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(AttributesError, match=r"127\.0\.0\.1:9/users.* did not answer after 2 tries"):
        fetch_snapshot(Endpoint("http://127.0.0.1:9/users", "user_id", attempts=2, backoff_seconds=0.01))


def test_a_snapshot_is_stored_as_gzipped_json_lines(hub):
    store_snapshot(hub, "book_attributes", dt.date(2026, 11, 20), BOOKS)
    lines = gzip.decompress(hub.get("book_attributes/dt=2026-11-20/part-00000.json.gz")).decode().splitlines()
    assert [json.loads(line) for line in lines] == BOOKS
