"""Fetch complete attribute snapshots from JSON endpoints and store them in the hub.

Belongs here: when a fetch is complete, storing it, and the ETags that make the next fetch cheaper.
Does not: HTTP (rest_client.py), reading snapshots back (snapshots.py).

`validators/{kind}.json` holds, for each page of the last fetch, its ETag and its number of records. Every page is requested again;
one that the endpoint answers with 304 is taken from the last snapshot.
"""

import datetime as dt
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import stamina

from recsys_platform.common.errors import AttributesError, HubError
from recsys_platform.common.placeholders import is_no_id
from recsys_platform.hub.layout import Attributes, attributes_key
from recsys_platform.hub.object_store import Hub
from recsys_platform.sources.rest_client import Endpoint, Page, redact_url, walk, with_own_query, without_own_query
from recsys_platform.sources.snapshots import read_records

MAX_PASSES = 3  # over all pages, if the data changes in between


@dataclass(frozen=True)
class Snapshot:
    """Every record of an endpoint, page by page."""

    pages: tuple[Page, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records in the order of the pages."""
        return [record for page in self.pages for record in page.records]

    @property
    def unchanged(self) -> bool:
        """Whether the endpoint answered 304 for every page."""
        return all(page.unchanged for page in self.pages)

    @property
    def bytes_fetched(self) -> int:
        """Bytes transferred for page bodies."""
        return sum(page.size_bytes for page in self.pages if not page.unchanged)

    @property
    def bytes_saved(self) -> int:
        """Bytes that were not transferred because pages are unchanged."""
        return sum(page.size_bytes for page in self.pages if page.unchanged)


class _DataChanged(Exception):  # noqa: N818 - not an error yet: the next pass may succeed
    """The pages contradict each other, usually because the data changed between two requests."""


def fetch_snapshot(endpoint: Endpoint, last: Sequence[Page] = ()) -> Snapshot:
    """Fetch every record of the endpoint, each once. Raises `AttributesError` instead of returning an incomplete snapshot.

    `last`: the pages of the last fetch (`last_fetch`); their ETags are sent along. If the data changes between two requests, the
    fetch starts over without them.
    """
    until = endpoint.deadline()
    known = {page.url_digest: page for page in last if page.etag}
    try:
        for attempt in stamina.retry_context(
            on=_DataChanged, attempts=MAX_PASSES, timeout=None, wait_initial=endpoint.backoff_seconds, wait_jitter=0
        ):
            with attempt:
                return _fetch_all_pages(endpoint, known if attempt.num == 1 else {}, until)
    except _DataChanged as error:
        raise AttributesError(
            f"{redact_url(endpoint.url)} {error}, the last of {MAX_PASSES} times: nothing was stored. Fetch again."
        ) from None
    raise AssertionError("retry_context either returns or raises")


def require_answer(endpoint: Endpoint) -> None:
    """Raise `AttributesError` unless the endpoint answers with a valid first page."""
    next(iter(walk(endpoint, {}, endpoint.deadline())))


def store_snapshot(hub: Hub, kind: Attributes, day: dt.date, records: Sequence[dict[str, Any]]) -> None:
    """Write the snapshot of a day as gzipped JSON lines, in one object, so that the write is atomic."""
    hub.put(attributes_key(kind, day), _gzip_json_lines(records))


def store_fetched(hub: Hub, kind: Attributes, day: dt.date, endpoint: Endpoint, snapshot: Snapshot) -> None:
    """Write the snapshot, then the validators for the next fetch.

    After a crash between the two the validators do not match the snapshot; `last_fetch` detects that.
    """
    packed = _gzip_json_lines(snapshot.records)
    hub.put(attributes_key(kind, day), packed)
    pages = [_page_note(endpoint, page) for page in snapshot.pages]
    note = {"snapshot": attributes_key(kind, day), "sha256": hashlib.sha256(packed).hexdigest(), "pages": pages}
    hub.put(validators_key(kind), json.dumps(note, indent=1).encode())


def last_fetch(hub: Hub, kind: Attributes, endpoint: Endpoint) -> tuple[Page, ...]:
    """The pages of the last fetch with their records; empty if there was none or its snapshot was replaced since."""
    try:
        note = json.loads(hub.get(validators_key(kind)))
        packed = hub.get(note["snapshot"])
        if hashlib.sha256(packed).hexdigest() != note["sha256"]:
            return ()
        records = iter(read_records(packed))
        return tuple(_page_from_note(endpoint, page, list(islice(records, page["records"]))) for page in note["pages"])
    except (HubError, ValueError, KeyError, TypeError):
        return ()


def validators_key(kind: Attributes) -> str:
    """The key of the last fetch's validators."""
    return f"validators/{kind}.json"


def _fetch_all_pages(endpoint: Endpoint, known: Mapping[str, Page], until: float) -> Snapshot:
    """One pass over all pages. Raises `_DataChanged` if they contradict each other, `AttributesError` if a record is not valid."""
    pages: list[Page] = []
    ids: set[str] = set()
    for page in walk(endpoint, known, until):
        pages.append(page)
        if page.total != pages[0].total:
            raise _DataChanged(
                f"promised {pages[0].total} records on its first page and {page.total} on page {len(pages)}"
            )
        _collect_ids(endpoint, page, len(pages), ids)
    if len(ids) != pages[0].total:
        raise _DataChanged(f"promised {pages[0].total} records and delivered {len(ids)}")
    if not ids:
        raise AttributesError(f"{redact_url(endpoint.url)} has no records: nothing was stored. Check the endpoint.")
    return Snapshot(tuple(pages))


def _collect_ids(endpoint: Endpoint, page: Page, number: int, ids: set[str]) -> None:
    """Check the ids of a page and add them to `ids`."""
    for place, record in enumerate(page.records, start=1):
        problem = _id_problem(record, endpoint.id_field)
        if problem:
            raise AttributesError(
                f"{redact_url(endpoint.url)} has a record {problem} (page {number}, record {place}): nothing was stored. "
                "Fix the record, or check that RECSYS_USERS_URL and RECSYS_BOOKS_URL are not mixed up."
            )
        found = record[endpoint.id_field]
        if str(found) in ids:
            raise _DataChanged(f"delivered {endpoint.id_field} {found} twice, again on page {number}")
        ids.add(str(found))


def _id_problem(record: Any, id_field: str) -> str | None:
    """What is wrong with the id of a record, or None."""
    if not isinstance(record, dict):
        return "that is not an object"
    found = record.get(id_field)
    if found is None or found == "":
        return f"without {id_field}"
    if isinstance(found, float):
        return f"whose {id_field} is {found}, a number with a decimal point; ids are text or whole numbers"
    if isinstance(found, bool) or not isinstance(found, str | int):
        return f"whose {id_field} is {json.dumps(found)}, neither text nor a whole number"
    if is_no_id(str(found)):
        return f"whose {id_field} is {found!r}, a placeholder"
    return None


def _gzip_json_lines(records: Sequence[dict[str, Any]]) -> bytes:
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    # An unpaired surrogate is legal in JSON's escapes but cannot be encoded: it becomes a question mark.
    return gzip.compress("".join(lines).encode(errors="replace"), compresslevel=6, mtime=0)


def _page_note(endpoint: Endpoint, page: Page) -> dict[str, Any]:
    return {
        "url": page.url_digest,
        "etag": page.etag,
        "records": len(page.records),
        "total": page.total,
        "total_pages": page.total_pages,
        "next": without_own_query(endpoint, page.next_url),
        "bytes": page.size_bytes,
    }


def _page_from_note(endpoint: Endpoint, note: Mapping[str, Any], records: list[Any]) -> Page:
    return Page(
        records=records,
        total=note["total"],
        total_pages=note["total_pages"],
        next_url=with_own_query(endpoint, note["next"]),
        url_digest=note["url"],
        etag=note["etag"],
        size_bytes=note["bytes"],
    )
