"""Fetch complete attribute snapshots from JSON endpoints and keep them in the hub.

Belongs here: when a fetch is complete, how it is stored, what is remembered of it so that the next one can be spared.
Does not: HTTP (endpoint.py), reading snapshots to compare them (snapshots.py).

Beside the snapshots lies one small object a kind, `validators/{kind}.json`: the ETag of each page and how many of the snapshot's
records it delivered. A page that the endpoint answers with 304 is taken from there; every page is asked.
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
from recsys_platform.sources.rest_client import Endpoint, Page, shown, walk, with_own_query, without_own_query
from recsys_platform.sources.snapshots import read_records

WALKS = 3  # through all pages, if the data changes meanwhile


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
        """Whether every page was answered with 304."""
        return all(page.unchanged for page in self.pages)

    @property
    def bytes_fetched(self) -> int:
        """What was transferred for bodies of pages."""
        return sum(page.size_bytes for page in self.pages if not page.unchanged)

    @property
    def bytes_saved(self) -> int:
        """What unchanged pages took to transfer when they were last fetched."""
        return sum(page.size_bytes for page in self.pages if page.unchanged)


class _Moved(Exception):  # noqa: N818 - the usual reason is data that changes while we page
    """The pages do not make one whole."""


def fetch_snapshot(endpoint: Endpoint, last: Sequence[Page] = ()) -> Snapshot:
    """Every record of the endpoint, each once; `AttributesError` rather than a part of them.

    `last`: the pages of the last fetch (`last_fetch`), whose ETags are sent along. If the data changes while we page, we start
    over without them.
    """
    until = endpoint.deadline()
    known = {page.url_digest: page for page in last if page.etag}
    try:
        for attempt in stamina.retry_context(
            on=_Moved, attempts=WALKS, timeout=None, wait_initial=endpoint.backoff_seconds, wait_jitter=0
        ):
            with attempt:
                return _complete(endpoint, known if attempt.num == 1 else {}, until)
    except _Moved as error:
        raise AttributesError(
            f"{shown(endpoint.url)} {error}, the last of {WALKS} times: nothing was stored. Fetch again."
        ) from None
    raise AssertionError("retry_context either returns or raises")


def require_answer(endpoint: Endpoint) -> None:
    """`AttributesError` unless the endpoint answers with a first page."""
    next(iter(walk(endpoint, {}, endpoint.deadline())))


def store_snapshot(hub: Hub, kind: Attributes, day: dt.date, records: Sequence[dict[str, Any]]) -> None:
    """Write the snapshot of a day as gzipped JSON lines: one object, so that it is there whole or not at all."""
    hub.put(attributes_key(kind, day), _packed(records))


def store_fetched(hub: Hub, kind: Attributes, day: dt.date, endpoint: Endpoint, snapshot: Snapshot) -> None:
    """Write the snapshot, then what the next fetch needs to know of it.

    A crash between the two leaves validators that name another content than the snapshot holds; `last_fetch` notices.
    """
    packed = _packed(snapshot.records)
    hub.put(attributes_key(kind, day), packed)
    pages = [_noted(endpoint, page) for page in snapshot.pages]
    note = {"snapshot": attributes_key(kind, day), "sha256": hashlib.sha256(packed).hexdigest(), "pages": pages}
    hub.put(validators_key(kind), json.dumps(note, indent=1).encode())


def last_fetch(hub: Hub, kind: Attributes, endpoint: Endpoint) -> tuple[Page, ...]:
    """The pages of the last fetch with their records; none if there was none or its snapshot has been replaced since."""
    try:
        note = json.loads(hub.get(validators_key(kind)))
        packed = hub.get(note["snapshot"])
        if hashlib.sha256(packed).hexdigest() != note["sha256"]:
            return ()
        records = iter(read_records(packed))
        return tuple(_recalled(endpoint, page, list(islice(records, page["records"]))) for page in note["pages"])
    except (HubError, ValueError, KeyError, TypeError):
        return ()


def validators_key(kind: Attributes) -> str:
    """The key of what is remembered of the last fetch; outside the snapshots, whose folders are days."""
    return f"validators/{kind}.json"


def _complete(endpoint: Endpoint, known: Mapping[str, Page], until: float) -> Snapshot:
    """One walk; `_Moved` if the pages contradict each other, `AttributesError` if they never can make a snapshot."""
    pages: list[Page] = []
    ids: set[str] = set()
    for page in walk(endpoint, known, until):
        pages.append(page)
        if page.total != pages[0].total:
            raise _Moved(f"promised {pages[0].total} records on its first page and {page.total} on page {len(pages)}")
        _collect(endpoint, page, len(pages), ids)
    if len(ids) != pages[0].total:
        raise _Moved(f"promised {pages[0].total} records and delivered {len(ids)}")
    if not ids:
        raise AttributesError(f"{shown(endpoint.url)} has no records: nothing was stored. Check the endpoint.")
    return Snapshot(tuple(pages))


def _collect(endpoint: Endpoint, page: Page, number: int, ids: set[str]) -> None:
    """Add the ids of a page to those seen before."""
    for place, record in enumerate(page.records, start=1):
        problem = _id_problem(record, endpoint.id_field)
        if problem:
            raise AttributesError(
                f"{shown(endpoint.url)} has a record {problem} (page {number}, record {place}): nothing was stored. "
                "Mend the record, or check that RECSYS_USERS_URL and RECSYS_BOOKS_URL are not mixed up."
            )
        found = record[endpoint.id_field]
        if str(found) in ids:
            raise _Moved(f"delivered {endpoint.id_field} {found} twice, again on page {number}")
        ids.add(str(found))


def _id_problem(record: Any, id_field: str) -> str | None:
    """What is wrong with the id of a record, or None."""
    if not isinstance(record, dict):
        return "that is no object"
    found = record.get(id_field)
    if found is None or found == "":
        return f"without {id_field}"
    if isinstance(found, float):
        return f"whose {id_field} is {found}, a number with a decimal point; ids are text or whole numbers"
    if isinstance(found, bool) or not isinstance(found, str | int):
        return f"whose {id_field} is {json.dumps(found)}, neither text nor a whole number"
    if is_no_id(str(found)):
        return f"whose {id_field} is {found!r}, which names nobody and nothing"
    return None


def _packed(records: Sequence[dict[str, Any]]) -> bytes:
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    # Half a surrogate pair is legal in JSON's escapes but in no encoding: it becomes a question mark.
    return gzip.compress("".join(lines).encode(errors="replace"), compresslevel=6, mtime=0)


def _noted(endpoint: Endpoint, page: Page) -> dict[str, Any]:
    return {
        "url": page.url_digest,
        "etag": page.etag,
        "records": len(page.records),
        "total": page.total,
        "total_pages": page.total_pages,
        "next": without_own_query(endpoint, page.following),
        "bytes": page.size_bytes,
    }


def _recalled(endpoint: Endpoint, note: Mapping[str, Any], records: list[Any]) -> Page:
    return Page(
        records=records,
        total=note["total"],
        total_pages=note["total_pages"],
        following=with_own_query(endpoint, note["next"]),
        url_digest=note["url"],
        etag=note["etag"],
        size_bytes=note["bytes"],
    )
