"""A REST client for paginated JSON endpoints.

Belongs here: requesting all pages (links, page numbers, retries, Retry-After, ETags) and redacting URLs.
Does not: whether the pages form a complete snapshot, storing it (attributes.py).
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

from recsys_platform.common.clock import utc_now
from recsys_platform.common.errors import AttributesError
from recsys_platform.common.http_logging import suppress_http_logs

REMEDY = "Check RECSYS_USERS_URL and RECSYS_BOOKS_URL and that the service is up."
_NOT_A_PAGE = "did not answer with a page of records (page, per_page, total, total_pages, data)"
_RETRY_STATUSES = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class Endpoint:
    """A paginated JSON endpoint and its retry settings.

    `id_field` is the field that identifies a record. `attempts` is the number of tries for one request. The wait between them starts
    at `backoff_seconds` and doubles, or follows the server's Retry-After, up to `max_wait_seconds`. The whole fetch fails after
    `total_timeout_seconds`.
    """

    url: str
    id_field: str
    per_page: int = 500
    timeout_seconds: float = 10
    attempts: int = 4
    backoff_seconds: float = 0.2
    max_wait_seconds: float = 60
    total_timeout_seconds: float = 1800

    def deadline(self) -> float:
        """When, on the monotonic clock, a fetch that starts now times out."""
        return time.monotonic() + self.total_timeout_seconds


@dataclass(frozen=True)
class Page:
    """One page: its records as delivered, the totals it reports, and its ETag.

    `url_digest` is a hash of the request's URL, query included; `next_url` is the next link, empty if there is none.
    `size_bytes`: bytes transferred. `unchanged`: the server answered 304, so the records are those of the last fetch.
    """

    records: list[Any]
    total: int
    total_pages: int | None = None
    next_url: str = ""
    url_digest: str = ""
    etag: str = ""
    size_bytes: int = 0
    unchanged: bool = False


@dataclass(frozen=True)
class _Walk:
    """One pass over all pages: client, endpoint, the pages of the last fetch by URL digest, and the deadline."""

    client: httpx.Client
    endpoint: Endpoint
    known: Mapping[str, Page]
    until: float


class _FailedRequest(Exception):  # noqa: N818 - not an error yet: it may be temporary
    """A failed request, described without secrets; `wait`: the seconds in the server's Retry-After."""

    def __init__(self, what: str, *, why: str = "", temporary: bool = False, wait: float | None = None) -> None:
        super().__init__(f"{what}: {why}" if why else what)
        self.what, self.why, self.temporary, self.wait = what, why, temporary, wait


def walk(endpoint: Endpoint, known: Mapping[str, Page], until: float) -> Iterator[Page]:
    """Request the pages in order, up to the last one, an empty one, or more records than the reported total.

    Follows RFC 8288 `next` links if the endpoint sends them, otherwise counts pages. Raises `AttributesError`.
    """
    with suppress_http_logs(), _http_client(endpoint) as client:
        visit = _Walk(client, endpoint, known, until)
        url, number, delivered, linked, requested = page_url(endpoint, 1), 1, 0, False, set[str]()
        while url:
            requested.add(url)
            page = _request_with_retries(visit, url)
            yield page
            number, delivered, linked = number + 1, delivered + len(page.records), linked or bool(page.next_url)
            if not page.records or delivered > page.total:
                return
            url = page.next_url or (
                "" if linked or not _has_more_pages(page, number, delivered) else page_url(endpoint, number)
            )
            if url in requested:
                raise AttributesError(f"{redact_url(url)} was linked as the next page twice. {REMEDY}")


def page_url(endpoint: Endpoint, number: int) -> str:
    """The URL of a page by number (from 1), without user and password."""
    url = httpx.URL(endpoint.url).copy_with(username=None, password=None)
    return str(url.copy_merge_params({"page": number, "per_page": endpoint.per_page}))


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment, which may hold credentials."""
    return str(httpx.URL(url).copy_with(username=None, password=None, query=None, fragment=None))


def without_own_query(endpoint: Endpoint, link: str) -> str:
    """A link without the query parameters of the endpoint's own URL, which may hold credentials."""
    if not link:
        return ""
    own = set(httpx.URL(endpoint.url).params.multi_items())
    kept = [item for item in httpx.URL(link).params.multi_items() if item not in own]
    return str(httpx.URL(link).copy_with(params=kept or None))


def with_own_query(endpoint: Endpoint, link: str) -> str:
    """The inverse of `without_own_query`."""
    both = httpx.URL(endpoint.url).params.merge(httpx.URL(link).params)
    return str(httpx.URL(link).copy_with(params=both)) if link else ""


def _http_client(endpoint: Endpoint) -> httpx.Client:
    return httpx.Client(
        timeout=endpoint.timeout_seconds,
        headers={"Accept": "application/json"},
        follow_redirects=True,
        max_redirects=5,
    )


def _has_more_pages(page: Page, number: int, delivered: int) -> bool:
    return delivered < page.total if page.total_pages is None else number <= page.total_pages


def _request_with_retries(visit: _Walk, url: str) -> Page:
    """Request a page with retries; raises `AttributesError` when they are used up."""
    endpoint, tries = visit.endpoint, 0
    try:
        for attempt in stamina.retry_context(
            on=_retry_hook(visit),
            attempts=endpoint.attempts,
            timeout=None,
            wait_initial=endpoint.backoff_seconds,
            wait_jitter=endpoint.backoff_seconds,
            wait_max=endpoint.max_wait_seconds,
        ):
            with attempt:
                tries = attempt.num
                return _request_page(visit, url)
    except _FailedRequest as failure:
        often = f" after {tries} tries" if failure.temporary else ""
        why = f": {failure.why}" if failure.why else ""
        raise AttributesError(f"{redact_url(url)} {failure.what}{often}{why}. {REMEDY}") from None
    raise AssertionError("retry_context either returns or raises")


def _retry_hook(visit: _Walk) -> Callable[[Exception], bool | float]:
    """Stamina's backoff hook: False to give up, True for its own backoff, seconds if the server sent Retry-After."""

    def hook(error: Exception) -> bool | float:
        if not isinstance(error, _FailedRequest) or not error.temporary:
            return False
        wait = None if error.wait is None else min(error.wait, visit.endpoint.max_wait_seconds)
        if time.monotonic() + (wait or 0) > visit.until:
            return False
        return True if wait is None else wait

    return hook


def _request_page(visit: _Walk, url: str) -> Page:
    known = visit.known.get(url_digest(url))
    headers = {"If-None-Match": known.etag} if known else {}
    try:
        with visit.client.stream("GET", url, headers=headers, auth=_basic_auth(visit.endpoint, url)) as response:
            _refuse_failure(response, known)
            body = b"" if response.status_code == httpx.codes.NOT_MODIFIED else _read_body(response, visit)
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise _FailedRequest("did not answer", why=str(error), temporary=True) from None
    except httpx.TooManyRedirects:
        raise _FailedRequest("redirected too often") from None
    next_url = _next_link(visit.endpoint, response)
    if known and response.status_code == httpx.codes.NOT_MODIFIED:
        return replace(known, unchanged=True, next_url=next_url or known.next_url)
    page = _parse_page(body)
    size = response.num_bytes_downloaded
    etag = response.headers.get("etag", "")
    return replace(page, next_url=next_url, url_digest=url_digest(url), etag=etag, size_bytes=size)


def _basic_auth(endpoint: Endpoint, url: str) -> tuple[str, str] | None:
    """User and password of the endpoint's URL, sent to its own host only."""
    own = httpx.URL(endpoint.url)
    return (own.username, own.password) if own.userinfo and _url_origin(own) == _url_origin(httpx.URL(url)) else None


def _url_origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _refuse_failure(response: httpx.Response, known: Page | None) -> None:
    status = response.status_code
    if response.is_success or (known and status == httpx.codes.NOT_MODIFIED):
        return
    temporary = response.is_server_error or status in _RETRY_STATUSES
    raise _FailedRequest(f"answered {status}", temporary=temporary, wait=retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds in a `Retry-After` header (RFC 9110 §10.2.3), at least 0; None without a valid one.

    A date is compared with the response's `Date` header if there is one, so that the clocks need not agree.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    return max(0.0, (until - (_http_date(headers.get("date", "")) or utc_now())).total_seconds())


def _http_date(text: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _read_body(response: httpx.Response, visit: _Walk) -> bytes:
    """Read the whole body. The client's timeout is per read, so the deadline for a slow body is checked here."""
    chunks = []
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        if time.monotonic() > visit.until:
            raise _FailedRequest(f"was not read to its end within {visit.endpoint.total_timeout_seconds:g} seconds")
    return b"".join(chunks)


def _next_link(endpoint: Endpoint, response: httpx.Response) -> str:
    """The absolute `next` link; raises `AttributesError` if it leads to a host other than the endpoint's or the responding one."""
    link = response.links.get("next", {}).get("url", "")
    if not link:
        return ""
    try:
        target = response.url.join(link)
    except httpx.InvalidURL:
        raise AttributesError(
            f"{redact_url(str(response.url))} links to a next page that is not a valid URL. {REMEDY}"
        ) from None
    if _url_origin(target) not in (_url_origin(response.url), _url_origin(httpx.URL(endpoint.url))):
        raise AttributesError(
            f"{redact_url(str(response.url))} links to a next page on {target.scheme}://{target.netloc.decode()}, which is "
            "another server: it was not followed. Check the endpoint."
        )
    return str(target.copy_with(username=None, password=None, fragment=None))


def _parse_page(body: bytes) -> Page:
    try:
        page = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):  # truncated, or a proxy's error page while the service restarts
        raise _FailedRequest(_NOT_A_PAGE, why="it is not JSON", temporary=True) from None
    try:
        pages = page.get("total_pages")
        read = Page(page["data"], int(page["total"]), None if pages is None else int(pages))
    except (AttributeError, ValueError, KeyError, TypeError):
        raise _FailedRequest(_NOT_A_PAGE) from None
    if not isinstance(read.records, list):
        raise _FailedRequest(_NOT_A_PAGE)
    return read


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def url_digest(url: str) -> str:
    """A hash that identifies a URL without revealing it; the order of its query parameters does not matter."""
    parsed = httpx.URL(url)
    return hashlib.sha256(f"{redact_url(url)} {sorted(parsed.params.multi_items())}".encode()).hexdigest()
