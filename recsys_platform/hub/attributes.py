"""Fetch complete attribute snapshots from JSON endpoints and keep them in the hub."""

import datetime as dt
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import stamina

from recsys_platform.errors import AttributesError
from recsys_platform.hub.keys import Attributes, attributes_key
from recsys_platform.hub.store import Hub


@dataclass(frozen=True)
class Endpoint:
    """A paginated JSON endpoint and how patiently it is asked."""

    url: str
    per_page: int = 500
    timeout_seconds: float = 10
    attempts: int = 4


def fetch_snapshot(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Every record of the endpoint; `AttributesError` rather than a part of them."""
    with httpx.Client(timeout=endpoint.timeout_seconds) as client:
        pages = list(_pages(client, endpoint))
    records = [record for page in pages for record in page["data"]]
    if not records:
        raise AttributesError(f"{shown(endpoint.url)} has no records: nothing was stored. {_REMEDY}")
    if len(records) != pages[0]["total"]:
        raise AttributesError(
            f"{shown(endpoint.url)} promised {pages[0]['total']} records and delivered {len(records)}: "
            "nothing was stored. Fetch again."
        )
    return records


def store_snapshot(hub: Hub, kind: Attributes, day: dt.date, records: Sequence[dict[str, Any]]) -> None:
    """Write the snapshot of a day as gzipped JSON lines: one object, so that it is there whole or not at all."""
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    hub.put(attributes_key(kind, day), gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0))


def shown(url: str) -> str:
    """A URL as it may be told: without user, password and query, where keys may stand."""
    parsed = httpx.URL(url)
    return str(parsed.copy_with(username=None, password=None, query=None))


def _pages(client: httpx.Client, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    """Follow RFC 8288 `next` links where the endpoint sends them, else count pages."""
    number, following = 1, f"{httpx.URL(endpoint.url).copy_merge_params({'page': 1, 'per_page': endpoint.per_page})}"
    asked: set[str] = set()
    while following:
        if following in asked:
            raise AttributesError(f"{shown(following)} was linked as the next page twice. {_REMEDY}")
        asked.add(following)
        response = _get(client, following, endpoint.attempts)
        page = _parse(response)
        yield page
        number += 1
        following = response.links.get("next", {}).get("url", "")
        if following:
            following = str(response.url.join(following))
        elif number <= page["total_pages"]:
            following = str(response.url.copy_merge_params({"page": number}))


def _get(client: httpx.Client, url: str, attempts: int) -> httpx.Response:
    try:
        for attempt in stamina.retry_context(
            on=_worth_retrying, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=10
        ):
            with attempt:
                return client.get(url).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise AttributesError(f"{shown(url)} answered {error.response.status_code}. {_REMEDY}") from error
    except httpx.HTTPError as error:
        raise AttributesError(f"{shown(url)} did not answer after {attempts} tries: {error}. {_REMEDY}") from error
    raise AssertionError("retry_context either returns or raises")


_REMEDY = "Check RECSYS_USERS_URL and RECSYS_BOOKS_URL and that the service is up."


def _worth_retrying(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    return isinstance(error, httpx.TransportError)


def _parse(response: httpx.Response) -> dict[str, Any]:
    try:
        page = response.json()
        return {"total": int(page["total"]), "total_pages": int(page["total_pages"]), "data": list(page["data"])}
    except (ValueError, KeyError, TypeError) as error:
        raise AttributesError(
            f"{shown(str(response.url))} did not answer with a page of records (page, per_page, total, total_pages, data). {_REMEDY}"
        ) from error
