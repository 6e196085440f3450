"""The app of a simulated reader: what it asks of the API over HTTP, and the events that it posts, at simulated times.

Belongs here: requests, answers, retries. Does not: what a reader does with an answer (visits.py).
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from recsys_platform.common.clock import SIMULATED_DAYS, SIMULATED_TIME
from recsys_platform.common.errors import InputError

Event = dict[str, Any]
Headers = Mapping[str, str]
ATTEMPTS = 20
BUSY = (429, 503)
LONGEST_PAUSE = 5.0
"""Seconds to wait at most before a request that the API refused is sent again."""


@dataclass(frozen=True)
class Response:
    """An answer: status, headers by lower-case name, and the content of its JSON, None without one."""

    status: int
    headers: Headers
    content: Any = None


Ask = Callable[[str, str, Headers, Any], Response]
"""Sends a request: method, path with its query, headers, content for JSON."""


@dataclass(frozen=True)
class ShownList:
    """A list that a reader sees: the request that clicks name, the surface in its exposure, and books at ranks from 1."""

    request_id: str
    surface: str
    ranks: tuple[int, ...]
    book_ids: tuple[str, ...]
    etag: str = ""


@dataclass
class ReaderApp:
    """Asks for lists and posts events. `ask`: sends one request; safe for threads if it is."""

    ask: Ask
    answers: int = field(default=0)

    def begin_day(self, at: int) -> None:
        """Tell the API that a day begins, and when: days before it are over; what it had heard of this one before is forgotten."""
        self._asked("POST", f"{SIMULATED_DAYS}/{iso_time(at)[:10]}", at)

    def recommendations(
        self, user_id: str, *, at: int, k: int, surface: str, last: ShownList | None = None
    ) -> ShownList:
        """The list of a reader at a time (milliseconds since 1970). `last`: shown again if it has not changed."""
        etag = {"if-none-match": last.etag} if last else {}
        found = self._asked("GET", f"/v1/users/{user_id}/recommendations?k={k}&surface={surface}", at, headers=etag)
        request_id, tag = found.headers["x-request-id"], found.headers["etag"]
        if last and found.status == 304:
            return ShownList(request_id, surface, last.ranks, last.book_ids, tag)
        return _shown_list(request_id, surface, found.content["items"], tag)

    def home(self, user_id: str, *, at: int, k: int) -> list[ShownList]:
        """The shelves of a reader's home page."""
        shelves = self._asked("GET", f"/v1/users/{user_id}/home?k={k}", at).content["shelves"]
        return [_shown_list(_request_of(each), f"home.{each['name']}", each["items"]) for each in shelves]

    def for_guest(self, anonymous_id: str, *, at: int, k: int, surface: str, language: str) -> ShownList:
        """The list of somebody who is not signed in."""
        body = {"anonymous_id": anonymous_id, "k": k, "surface": surface, "language": language}
        found = self._asked("POST", "/v1/recommendations", at, content=body).content
        return _shown_list(found["request_id"], surface, found["items"])

    def post(self, events: Sequence[Event], *, at: int) -> None:
        """Post events. Raises InputError if one is rejected."""
        verdicts = self._asked("POST", "/v1/events", at, content={"batch": list(events)}).content
        if verdicts["rejected"]:
            reason = next(each["reason"] for each in verdicts["events"] if not each["accepted"])
            raise InputError(f"The API rejected an event of a simulated reader: {reason}.")

    def _asked(
        self, method: str, path: str, at: int, *, headers: Headers | None = None, content: Any = None
    ) -> Response:
        found = self.ask(method, path, {SIMULATED_TIME: iso_time(at), **(headers or {})}, content)
        if found.status >= 400:
            said = found.content.get("detail") if isinstance(found.content, dict) else found.content
            raise InputError(f"The API answered {method} {path.partition('?')[0]} with {found.status}: {said}")
        self.answers += method == "GET"
        return found


def asks_over_http(url: str, key: str) -> Ask:
    """Return what sends requests to an API; those that it refuses for now are sent again, as an app does.

    Raises InputError if the API cannot be reached, or does not take simulated times.
    """
    client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30)

    def ask(method: str, path: str, headers: Headers, content: Any) -> Response:
        for _ in range(ATTEMPTS):
            found = _send(client, method, path, headers, content)
            if found.status_code not in BUSY:
                break
            time.sleep(min(LONGEST_PAUSE, float(found.headers.get("retry-after", 1))))
        _check_simulated(found, url)
        return Response(found.status_code, found.headers, found.json() if found.content else None)

    return ask


def _send(client: httpx.Client, method: str, path: str, headers: Headers, content: Any) -> httpx.Response:
    try:
        return client.request(method, path, headers=dict(headers), json=content)
    except httpx.HTTPError as error:
        raise InputError(
            f"No API answers at {client.base_url}: start `recsys serve --simulated-clock`, or give its --url ({error})."
        ) from error


def _check_simulated(found: httpx.Response, url: str) -> None:
    if SIMULATED_TIME not in found.headers:
        raise InputError(f"The API at {url} has its own clock: start it with `recsys serve --simulated-clock`.")


def iso_time(at: int) -> str:
    """A time in milliseconds since 1970 as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(at / 1_000, dt.UTC).isoformat(timespec="milliseconds")


def _request_of(shelf: Mapping[str, Any]) -> str:
    return str(shelf["items"][0]["request_id"])


def _shown_list(request_id: str, surface: str, items: Sequence[Mapping[str, Any]], etag: str = "") -> ShownList:
    return ShownList(
        request_id, surface, tuple(each["rank"] for each in items), tuple(each["book_id"] for each in items), etag
    )
