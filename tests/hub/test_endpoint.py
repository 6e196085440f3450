"""How an endpoint is asked: links, waits, retries and what is told of it, tried against a real server."""

import datetime as dt
import gzip
import itertools
import json
import logging
import socket
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from email.utils import format_datetime

import pytest

from recsys_platform.common.errors import AttributesError
from recsys_platform.sources.attributes import fetch_snapshot
from recsys_platform.sources.rest_client import Endpoint, redact_url, retry_after
from tests.support.pace import patience
from tests.support.rest_server import BOOKS, Answer, book_page


def plain(asked):
    return Answer(book_page(asked.page))


def once(first, then=plain):
    """A server that gives `first` to its first request."""
    requests = itertools.count(1)
    return lambda asked: first if next(requests) == 1 else then(asked)


def waits(served):
    return [after.at - before.at for before, after in itertools.pairwise(served.asked)]


@pytest.mark.parametrize("base", ["", "http://{host}", "//{host}", "http://HOST"])
@pytest.mark.parametrize("other", [{}, {"total_pages": None}])
def test_a_next_link_is_followed_relative_or_absolute_with_or_without_page_count(serve, base, other):
    def answer(asked):
        host = base.format(host=asked.headers["host"]).replace("HOST", asked.headers["host"].upper())
        link = f'<{host}/books?page={asked.page + 1}&cursor=c{asked.page}>; rel="next", </>; rel="first"'
        given = Answer(book_page(asked.page, **other))
        return given.having(Link=link) if asked.page < 3 else given

    served = serve(answer)
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert [each.path for each in served.asked[1:]] == ["/books?page=2&cursor=c1", "/books?page=3&cursor=c2"]


def test_a_link_relative_to_the_page_is_joined_to_it(serve):
    def answer(asked):
        given = Answer(book_page(asked.page))
        return given.having(Link=f'<?page={asked.page + 1}>; rel="next"') if asked.page < 3 else given

    served = serve(answer)
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert served.asked[-1].path == "/books?page=3"


def test_pages_that_link_in_a_circle_are_told(serve):
    served = serve(lambda asked: Answer(book_page(1)).having(Link='</books?page=1&per_page=2>; rel="next"'))
    with pytest.raises(AttributesError, match="linked as the next page twice"):
        fetch_snapshot(served.endpoint)


def test_a_link_to_another_server_is_not_followed(serve):
    other = serve(plain)
    served = serve(lambda asked: Answer(book_page(1)).having(Link=f'<{other.endpoint.url}?page=2&key=x>; rel="next"'))
    with pytest.raises(AttributesError, match=r"another server: it was not followed") as told:
        fetch_snapshot(served.endpoint)
    assert "key=x" not in str(told.value)
    assert not other.asked


def test_without_links_and_page_count_the_total_says_when_to_stop(serve):
    served = serve(lambda asked: Answer(book_page(asked.page, total_pages=None)))
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert served.pages == [1, 2, 3]


def test_a_server_that_ignores_per_page_is_taken_at_its_own_page_size(serve):
    served = serve(lambda asked: Answer(book_page(asked.page, 3)))
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert served.pages == [1, 2]


def test_a_compressed_answer_is_read(serve):
    def answer(asked):
        return Answer(gzip.compress(json.dumps(book_page(asked.page)).encode()), headers={"Content-Encoding": "gzip"})

    assert fetch_snapshot(serve(answer).endpoint).records == BOOKS


def test_a_redirect_is_followed(serve):
    def answer(asked):
        moved = asked.path.replace("/books", "/v2/books")
        return Answer(status=307, headers={"Location": moved}) if asked.path.startswith("/books") else plain(asked)

    assert fetch_snapshot(serve(answer).endpoint).records == BOOKS


def test_a_redirect_for_ever_is_told(serve):
    served = serve(lambda asked: Answer(status=302, headers={"Location": f"/books?key={len(asked.path)}"}))
    with pytest.raises(AttributesError, match=r"/books redirected too often\. Check"):
        fetch_snapshot(served.endpoint)


def test_user_and_password_go_to_the_endpoint_and_to_nobody_else(serve):
    other = serve(plain)
    served = serve(lambda asked: Answer(status=307, headers={"Location": f"{other.endpoint.url}?page={asked.page}"}))
    endpoint = replace(served.endpoint, url=served.endpoint.url.replace("//", "//me:word@"))
    assert fetch_snapshot(endpoint).records == BOOKS
    assert {each.headers["authorization"] for each in served.asked} == {"Basic bWU6d29yZA=="}
    assert not any("authorization" in each.headers for each in other.asked)


def test_a_link_of_the_server_that_we_were_redirected_to_is_asked_without_user_and_password(serve):
    def linking(asked):
        given = Answer(book_page(asked.page))
        return given.having(Link=f'<?page={asked.page + 1}>; rel="next"') if asked.page < 3 else given

    other = serve(linking)
    served = serve(lambda asked: Answer(status=307, headers={"Location": f"{other.endpoint.url}?page={asked.page}"}))
    assert fetch_snapshot(with_secrets(served)).records == BOOKS
    assert other.pages == [1, 2, 3]
    assert not any("authorization" in each.headers for each in other.asked)


def test_an_absolute_link_without_user_and_password_is_still_asked_with_them(serve):
    def answer(asked):
        link = f'<http://{asked.headers["host"]}/books?page={asked.page + 1}>; rel="next"'
        given = Answer(book_page(asked.page)) if "authorization" in asked.headers else Answer(status=401)
        return given.having(Link=link) if asked.page < 3 else given

    served = serve(answer)
    endpoint = replace(served.endpoint, url=served.endpoint.url.replace("//", "//me:word@"))
    assert fetch_snapshot(endpoint).records == BOOKS


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_server_that_stumbles_once_is_asked_again(serve, status):
    served = serve(once(Answer(status=status)))
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert served.pages == [1, 1, 2, 3]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 304])
def test_an_answer_that_will_not_change_is_told_at_once(serve, status):
    served = serve(lambda asked: Answer(status=status))
    with pytest.raises(AttributesError, match=rf"/books answered {status}\. Check RECSYS_USERS_URL"):
        fetch_snapshot(served.endpoint)
    assert len(served.asked) == 1


def test_waits_grow_between_tries(serve):
    served = serve(lambda asked: Answer(status=500), attempts=4, backoff_seconds=0.1)
    with pytest.raises(AttributesError, match="answered 500 after 4 tries"):
        fetch_snapshot(served.endpoint)
    assert all(wait >= least for wait, least in zip(waits(served), (0.1, 0.2, 0.4), strict=True))


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_a_second_gets_it(serve, status):
    served = serve(once(Answer(status=status, headers={"Retry-After": "1"})))
    fetch_snapshot(served.endpoint)
    assert 1 <= waits(served)[0] < 5 * patience()


def test_a_server_that_names_a_time_is_waited_for_by_its_own_clock(serve):
    clock = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
    dates = {
        "Date": format_datetime(clock, usegmt=True),
        "Retry-After": format_datetime(clock + dt.timedelta(seconds=1), usegmt=True),
    }
    served = serve(once(Answer(status=429, headers=dates)))
    fetch_snapshot(served.endpoint)
    assert 1 <= waits(served)[0] < 5 * patience()


@pytest.mark.parametrize("value", ["99999999999", "9" * 4000, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_asks_for_years_is_waited_for_no_longer_than_we_like(serve, value):
    served = serve(once(Answer(status=429, headers={"Retry-After": value})), max_wait_seconds=0.3)
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert 0.3 <= waits(served)[0] < 5 * patience()


def test_a_server_that_always_wants_to_be_waited_for_is_left_when_patience_ends(serve):
    served = serve(
        lambda asked: Answer(status=429, headers={"Retry-After": "1"}), attempts=1000, total_timeout_seconds=0.5
    )
    with pytest.raises(AttributesError, match="answered 429 after 1 tries"):
        fetch_snapshot(served.endpoint)


NOW = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30),
        ("Fri, 20 Nov 2026 12:00:30 -0000", 30),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("nan", None),
        ("²", None),
        ("Fri, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_what_a_retry_after_header_asks_for(value, expected):
    assert retry_after({"retry-after": value, "date": NOW}) == expected


def test_a_time_without_the_servers_clock_is_taken_by_ours():
    soon = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100), usegmt=True)
    assert 95 < (retry_after({"retry-after": soon}) or 0) <= 100


def test_a_time_out_is_tried_again(serve):
    slow = Answer(lambda _: time.sleep(1))
    served = serve(once(slow), timeout_seconds=0.4, attempts=4)
    assert fetch_snapshot(served.endpoint).records == BOOKS
    assert served.pages[:2] == [1, 1]


def test_a_server_that_never_answers_is_told(serve):
    served = serve(lambda asked: Answer(lambda _: time.sleep(0.6)), timeout_seconds=0.2)
    with pytest.raises(AttributesError, match="/books did not answer after 2 tries: timed out"):
        fetch_snapshot(served.endpoint)


def test_a_body_that_drips_for_ever_is_left_when_patience_ends(serve):
    def drip(out):
        for _ in range(100):
            out.write(b" ")
            out.flush()
            time.sleep(0.05)

    served = serve(lambda asked: Answer(drip), total_timeout_seconds=0.3)
    started = time.monotonic()
    with pytest.raises(AttributesError, match=r"was not read to its end within 0\.3 seconds"):
        fetch_snapshot(served.endpoint)
    assert time.monotonic() - started < 4 * patience()


def test_a_body_that_is_cut_off_is_fetched_again(serve):
    body = json.dumps(book_page(1)).encode()
    short = Answer(body[:20], headers={"Content-Length": str(len(body))})
    assert fetch_snapshot(serve(once(short)).endpoint).records == BOOKS
    assert fetch_snapshot(serve(once(Answer(body[:20]))).endpoint).records == BOOKS


def test_damaged_compression_is_fetched_again(serve):
    damaged = Answer(b"no gzip", headers={"Content-Encoding": "gzip"})
    assert fetch_snapshot(serve(once(damaged)).endpoint).records == BOOKS


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff\xfe\xfd", b'{"total": NaN}', b"[" * 100_000])
def test_an_answer_that_is_no_json_is_tried_again_and_then_told(serve, body):
    served = serve(lambda asked: Answer(body))
    with pytest.raises(AttributesError, match=r"did not answer with a page of records \(.*\) after 2 tries: it is not"):
        fetch_snapshot(served.endpoint)
    assert len(served.asked) == 2


@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        "page",
        {"data": []},
        {"total": 1},
        {"total": "many", "data": []},
        {"total": 2, "total_pages": "x", "data": []},
        {"total": 1, "total_pages": 1, "data": {"book_id": "b1"}},
        {"total": 1, "total_pages": 1, "data": "b"},
        {"total": 1, "total_pages": 1, "data": None},
    ],
)
def test_json_that_is_no_page_is_told_at_once(serve, body):
    served = serve(lambda asked: Answer(body))
    with pytest.raises(AttributesError, match="/books did not answer with a page of records"):
        fetch_snapshot(served.endpoint)
    assert len(served.asked) == 1


def test_a_server_that_is_not_there_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        endpoint = Endpoint(
            f"http://127.0.0.1:{taken.getsockname()[1]}/users", "user_id", attempts=2, backoff_seconds=0.01
        )
        with pytest.raises(AttributesError, match=r"127\.0\.0\.1:\d+/users did not answer after 2 tries"):
            fetch_snapshot(endpoint)


def test_keys_in_a_url_are_not_told():
    # pragma: allowlist nextline secret
    assert redact_url("https://me:word@example.com/books?api_key=1#t") == "https://example.com/books"


SECRETIVE = [
    plain,
    once(Answer(status=503)),
    lambda asked: Answer(status=500),
    lambda asked: Answer(status=404),
    lambda asked: Answer(b"<html>"),
    lambda asked: Answer(book_page(1)),
    lambda asked: Answer(status=302, headers={"Location": "http://me:word@[::bad/?api_key=sesame"}),
    lambda asked: Answer(status=302, headers={"Location": "ftp://x/?api_key=sesame"}),
    lambda asked: Answer(book_page(1)).having(Link='<http://me:word@else.example/?api_key=sesame>; rel="next"'),
    lambda asked: Answer(book_page(1)).having(Link='<http://[me:word?api_key=sesame>; rel="next"'),
    lambda asked: Answer(book_page(1)).having(Link='</books?page=1&per_page=2&api_key=sesame>; rel="next"'),
    lambda asked: Answer(book_page(asked.page, books=[{}])),
]


def with_secrets(served):
    return replace(served.endpoint, url=served.endpoint.url.replace("//", "//me:word@") + "?api_key=sesame")


def is_discreet(told):
    return "sesame" not in told and "word" not in told


@pytest.mark.parametrize("answer", SECRETIVE[2:])
def test_keys_are_in_no_error_and_no_traceback(serve, answer):
    served = serve(answer)
    with pytest.raises(AttributesError) as told:
        fetch_snapshot(with_secrets(served))
    assert is_discreet("".join(traceback.format_exception(told.value)))
    assert "\n" not in str(told.value)
    assert served.asked[0].query["api_key"] == "sesame"  # pragma: allowlist secret


@pytest.mark.parametrize("answer", SECRETIVE)
def test_keys_are_in_no_log(serve, answer, caplog):
    caplog.set_level(logging.DEBUG)
    with suppress(AttributesError):
        fetch_snapshot(with_secrets(serve(answer)))
    assert is_discreet(caplog.text + "".join(str(vars(record)) for record in caplog.records))
