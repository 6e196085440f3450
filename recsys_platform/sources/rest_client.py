"""Ask a paginated JSON endpoint for its pages, patiently and discreetly.

Belongs here: one walk over HTTP (pages, links, retries, Retry-After, ETags) and what may be told of a URL.
Does not: whether the pages make a complete snapshot, where that is kept (attributes.py).
"""

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina

from recsys_platform.common.errors import AttributesError
from recsys_platform.common.http_logging import discreet_http

REMEDY = "Check RECSYS_USERS_URL and RECSYS_BOOKS_URL and that the service is up."
_NOT_A_PAGE = "did not answer with a page of records (page, per_page, total, total_pages, data)"
_AGAIN = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class Endpoint:
    """A paginated JSON endpoint and how patiently it is asked.

    `id_field` names the field that tells its records apart. `attempts` are tries of one request; the wait between them starts at
    `backoff_seconds` and doubles, or is what the server asks for, but at most `longest_wait_seconds`. After
    `patience_seconds` the whole fetch gives up, however politely the server keeps us waiting.
    """

    url: str
    id_field: str
    per_page: int = 500
    timeout_seconds: float = 10
    attempts: int = 4
    backoff_seconds: float = 0.2
    longest_wait_seconds: float = 60
    patience_seconds: float = 1800

    def deadline(self) -> float:
        """When, on the monotonic clock, a fetch that starts now gives up."""
        return time.monotonic() + self.patience_seconds


@dataclass(frozen=True)
class Page:
    """One page: its records as delivered, what it says of the whole, and by which ETag it is known.

    `url_digest` stands for the URL it was asked by, keys and all; `following` is the next link, empty without one.
    `size_bytes` is what it took to transfer. `unchanged`: the server said so (304), the records are those of the last time.
    """

    records: list[Any]
    total: int
    total_pages: int | None = None
    following: str = ""
    url_digest: str = ""
    etag: str = ""
    size_bytes: int = 0
    unchanged: bool = False


@dataclass(frozen=True)
class _Visit:
    """One walk: who asks whom, what is known from the last time by URL digest, and when it must be over."""

    client: httpx.Client
    endpoint: Endpoint
    known: Mapping[str, Page]
    until: float


class _Trouble(Exception):  # noqa: N818 - not an error yet: it may pass
    """A request that failed, in words without secrets; `wait` is how many seconds the server asked for."""

    def __init__(self, what: str, *, why: str = "", passing: bool = False, wait: float | None = None) -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.what, self.why, self.passing, self.wait = what, why, passing, wait


def walk(endpoint: Endpoint, known: Mapping[str, Page], until: float) -> Iterator[Page]:
    """The pages in order; ends where the endpoint says so, at an empty page, or where it delivers more than it promised.

    RFC 8288 `next` links are followed where they are sent, else pages are counted. Raises `AttributesError`.
    """
    with discreet_http(), _client(endpoint) as client:
        visit = _Visit(client, endpoint, known, until)
        url, number, delivered, linked, asked = numbered(endpoint, 1), 1, 0, False, set[str]()
        while url:
            asked.add(url)
            page = _patiently(visit, url)
            yield page
            number, delivered, linked = number + 1, delivered + len(page.records), linked or bool(page.following)
            if not page.records or delivered > page.total:
                return
            url = page.following or ("" if linked or not _more(page, number, delivered) else numbered(endpoint, number))
            if url in asked:
                raise AttributesError(f"{shown(url)} was linked as the next page twice. {REMEDY}")


def numbered(endpoint: Endpoint, number: int) -> str:
    """The URL of a page by its number (from 1), without user and password."""
    url = httpx.URL(endpoint.url).copy_with(username=None, password=None)
    return str(url.copy_merge_params({"page": number, "per_page": endpoint.per_page}))


def shown(url: str) -> str:
    """A URL as it may be told: without user, password, query and fragment, where keys may stand."""
    return str(httpx.URL(url).copy_with(username=None, password=None, query=None, fragment=None))


def without_own_query(endpoint: Endpoint, link: str) -> str:
    """A link without those query parameters that the endpoint's own URL brings, where keys may stand."""
    if not link:
        return ""
    own = set(httpx.URL(endpoint.url).params.multi_items())
    kept = [item for item in httpx.URL(link).params.multi_items() if item not in own]
    return str(httpx.URL(link).copy_with(params=kept or None))


def with_own_query(endpoint: Endpoint, link: str) -> str:
    """Undo `without_own_query`."""
    both = httpx.URL(endpoint.url).params.merge(httpx.URL(link).params)
    return str(httpx.URL(link).copy_with(params=both)) if link else ""


def _client(endpoint: Endpoint) -> httpx.Client:
    return httpx.Client(
        timeout=endpoint.timeout_seconds,
        headers={"Accept": "application/json"},
        follow_redirects=True,
        max_redirects=5,
    )


def _more(page: Page, number: int, delivered: int) -> bool:
    return delivered < page.total if page.total_pages is None else number <= page.total_pages


def _patiently(visit: _Visit, url: str) -> Page:
    """Ask until there is an answer; `AttributesError` when it is not worth it any more."""
    endpoint, tries = visit.endpoint, 0
    try:
        for attempt in stamina.retry_context(
            on=_waiting(visit),
            attempts=endpoint.attempts,
            timeout=None,
            wait_initial=endpoint.backoff_seconds,
            wait_jitter=endpoint.backoff_seconds,
            wait_max=endpoint.longest_wait_seconds,
        ):
            with attempt:
                tries = attempt.num
                return _ask(visit, url)
    except _Trouble as trouble:
        often = f" after {tries} tries" if trouble.passing else ""
        why = f": {trouble.why}" if trouble.why else ""
        raise AttributesError(f"{shown(url)} {trouble.what}{often}{why}. {REMEDY}") from None
    raise AssertionError("retry_context either returns or raises")


def _waiting(visit: _Visit) -> Callable[[Exception], bool | float]:
    """Stamina's backoff hook: False to give up, True for its own backoff, seconds where the server names them."""

    def hook(error: Exception) -> bool | float:
        if not isinstance(error, _Trouble) or not error.passing:
            return False
        wait = None if error.wait is None else min(error.wait, visit.endpoint.longest_wait_seconds)
        if time.monotonic() + (wait or 0) > visit.until:
            return False
        return True if wait is None else wait

    return hook


def _ask(visit: _Visit, url: str) -> Page:
    known = visit.known.get(url_digest(url))
    headers = {"If-None-Match": known.etag} if known else {}
    try:
        with visit.client.stream("GET", url, headers=headers, auth=_auth(visit.endpoint, url)) as response:
            _refuse_failure(response, known)
            body = b"" if response.status_code == httpx.codes.NOT_MODIFIED else _body(response, visit)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise _Trouble("did not answer", why=str(error), passing=True) from None
    except httpx.TooManyRedirects:
        raise _Trouble("redirected too often") from None
    following = _following(visit.endpoint, response)
    if known and response.status_code == httpx.codes.NOT_MODIFIED:
        return replace(known, unchanged=True, following=following or known.following)
    page = _parse(body)
    size = response.num_bytes_downloaded
    etag = response.headers.get("etag", "")
    return replace(page, following=following, url_digest=url_digest(url), etag=etag, size_bytes=size)


def _auth(endpoint: Endpoint, url: str) -> tuple[str, str] | None:
    """User and password of the endpoint's URL, for its own host only."""
    own = httpx.URL(endpoint.url)
    return (own.username, own.password) if own.userinfo and _origin(own) == _origin(httpx.URL(url)) else None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _refuse_failure(response: httpx.Response, known: Page | None) -> None:
    status = response.status_code
    if response.is_success or (known and status == httpx.codes.NOT_MODIFIED):
        return
    passing = response.is_server_error or status in _AGAIN
    raise _Trouble(f"answered {status}", passing=passing, wait=retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110 §10.2.3), None without a usable one; never negative.

    A date is measured from the server's own `Date`, if it sends one, so that clocks need not agree.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("date", "")) or dt.datetime.now(dt.UTC))).total_seconds())


def _http_date(text: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _body(response: httpx.Response, visit: _Visit) -> bytes:
    """All of the body; the time-out is for one read, so a body that drips is held to the deadline here."""
    chunks = []
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        if time.monotonic() > visit.until:
            raise _Trouble(f"was not read to its end within {visit.endpoint.patience_seconds:g} seconds")
    return b"".join(chunks)


def _following(endpoint: Endpoint, response: httpx.Response) -> str:
    """The `next` link, absolute; `AttributesError` if it leads to another host than the endpoint or the answering one."""
    link = response.links.get("next", {}).get("url", "")
    if not link:
        return ""
    try:
        target = response.url.join(link)
    except httpx.InvalidURL:
        raise AttributesError(f"{shown(str(response.url))} links to a next page that is no URL. {REMEDY}") from None
    if _origin(target) not in (_origin(response.url), _origin(httpx.URL(endpoint.url))):
        raise AttributesError(
            f"{shown(str(response.url))} links to a next page on {target.scheme}://{target.netloc.decode()}, which is "
            "another server: it was not followed. Check the endpoint."
        )
    return str(target.copy_with(username=None, password=None, fragment=None))


def _parse(body: bytes) -> Page:
    try:
        page = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # cut off, or a proxy's page while the service restarts: it may pass
        raise _Trouble(_NOT_A_PAGE, why="it is not JSON", passing=True) from None
    try:
        pages = page.get("total_pages")
        read = Page(page["data"], int(page["total"]), None if pages is None else int(pages))
    except (AttributeError, ValueError, KeyError, TypeError):
        raise _Trouble(_NOT_A_PAGE) from None
    if not isinstance(read.records, list):
        raise _Trouble(_NOT_A_PAGE)
    return read


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def url_digest(url: str) -> str:
    """What stands for a URL where the URL itself may not be written; the order of its parameters does not matter."""
    parsed = httpx.URL(url)
    return hashlib.sha256(f"{shown(url)} {sorted(parsed.params.multi_items())}".encode()).hexdigest()
