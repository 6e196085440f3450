"""Amazon Personalize: events for its event tracker, by `PutEvents`.

Belongs here: its requests. Does not: the data sets for training (exports/).
"""

import datetime as dt
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from recsys_platform.common.aws import client, error_code
from recsys_platform.common.batches import BatchLimits, PutError
from recsys_platform.serving.delivery import DeadLetter
from recsys_platform.serving.destinations.selection import first_text
from recsys_platform.serving.destinations.sending import dead_letter
from recsys_platform.serving.destinations.streams import IN_BACKGROUND

POSITIVE_EVENTS = (
    "Book Viewed",
    "Book Started",
    "Chapter Completed",
    "Book Finished",
    "Book Saved",
    "Recommendation Clicked",
)
"""Personalize takes every event as a good one: removals, dismissals and ratings are not sent unless they are named."""
_MOST_EVENTS, _MOST_SHOWN, _LONGEST_ID = 10, 25, 256
"""https://docs.aws.amazon.com/personalize/latest/dg/API_UBS_PutEvents.html."""
_WRONG = {"InvalidInputException", "ValidationException"}
_LIMITS = BatchLimits(500, 4_000_000, 100_000)


class _Properties(msgspec.Struct):
    book_id: Any = None
    bookId: Any = None  # noqa: N815
    rating: Any = None
    items: Any = None


class _Event(msgspec.Struct):
    event: str
    messageId: str  # noqa: N815
    timestamp: str
    properties: _Properties
    userId: str = ""  # noqa: N815
    anonymousId: str = ""  # noqa: N815


_Readable = tuple[bytes, _Event]
"""An event as it was posted, and what Personalize needs of it."""


@dataclass(frozen=True)
class _Request:
    """Events of one reader on one device, and the request for them."""

    events: Sequence[_Readable]

    @property
    def lines(self) -> list[bytes]:
        return [line for line, _ in self.events]

    @property
    def content(self) -> dict[str, Any]:
        user, session = _session_of(self.events[0][1])
        sent = [_event_for_personalize(event) for _, event in self.events]
        return {"sessionId": session, "eventList": sent} | ({"userId": user} if user else {})

    def halves(self) -> list["_Request"]:
        middle = len(self.events) // 2
        return [_Request(self.events[:middle]), _Request(self.events[middle:])]


@dataclass
class Personalize:
    """An event tracker, by its tracking id. The session is the device, or else the reader."""

    tracking_id: str
    limits: BatchLimits = _LIMITS
    client: Any = field(default_factory=lambda: client("personalize-events", IN_BACKGROUND))

    def put(self, batch: list[bytes], dead: list[DeadLetter]) -> tuple[list[bytes], str]:
        """Send a batch, in a request for each reader and device and at most ten events.

        A request that is refused is sent again in halves, so that only the event that is wrong is dead.
        """
        events, buried = _readable_events(batch, dead), len(dead)
        waiting, is_sent = deque(_requests_of(events)), buried > 0
        while waiting:
            request = waiting.popleft()
            try:
                self.client.put_events(trackingId=self.tracking_id, **request.content)
            except (ClientError, BotoCoreError) as error:
                why = str(error).rstrip(".")
                if not _is_refused(error):
                    if not is_sent:
                        raise PutError(why) from error
                    return [line for each in (request, *waiting) for line in each.lines], why
                if len(request.events) > 1:
                    waiting.extendleft(reversed(request.halves()))
                    continue
                dead.append(dead_letter(request.lines[0], why))
            is_sent = True
        return [], ""


def _is_refused(error: Exception) -> bool:
    """Whether the request itself is wrong; botocore refuses some before they are sent."""
    return isinstance(error, ParamValidationError) or (isinstance(error, ClientError) and error_code(error) in _WRONG)


def _readable_events(batch: Sequence[bytes], dead: list[DeadLetter]) -> list[_Readable]:
    """The events that Personalize can take; the others are dead."""
    found = []
    for line in batch:
        try:
            event = msgspec.json.decode(line, type=_Event)
            _moment_of(event)
        except ValueError as error:  # msgspec's too
            dead.append(dead_letter(line, f"it cannot be read: {error}"))
            continue
        problem = _problem_of(event)
        if problem:
            dead.append(dead_letter(line, problem))
        else:
            found.append((line, event))
    return found


def _problem_of(event: _Event) -> str | None:
    if not (event.userId or event.anonymousId):
        return "no user and no device"
    if not (_book_of(event) or _books_shown(event)):
        return "no book"
    longest = max(map(len, (event.userId, event.anonymousId, event.messageId, _book_of(event))))
    return f"an id of more than {_LONGEST_ID} characters" if longest > _LONGEST_ID else None


def _requests_of(events: Sequence[_Readable]) -> Iterator[_Request]:
    ordered = sorted(events, key=lambda pair: _session_of(pair[1]))  # stable: in order within a session
    for _, group in groupby(ordered, key=lambda pair: _session_of(pair[1])):
        pairs = list(group)
        for start in range(0, len(pairs), _MOST_EVENTS):
            yield _Request(pairs[start : start + _MOST_EVENTS])


def _session_of(event: _Event) -> tuple[str, str]:
    """The user and the session of an event."""
    return event.userId, event.anonymousId or event.userId


def _book_of(event: _Event) -> str:
    return first_text(event.properties.book_id, event.properties.bookId)


def _books_shown(event: _Event) -> list[str]:
    """The books of a list that was shown, as far as Personalize takes them: what else stands in it harms no event."""
    items = event.properties.items if isinstance(event.properties.items, list) else []
    books = [first_text(each.get("book_id")) for each in items if isinstance(each, dict)]
    return [book for book in books if 0 < len(book) <= _LONGEST_ID][:_MOST_SHOWN]


def _event_for_personalize(event: _Event) -> dict[str, Any]:
    rating = event.properties.rating
    optional = {
        "itemId": _book_of(event),
        "eventValue": float(rating) if isinstance(rating, int | float) else None,
        "impression": _books_shown(event),
    }
    return {
        "eventId": event.messageId,
        "eventType": event.event,
        "sentAt": _moment_of(event),
        **{name: value for name, value in optional.items() if value},
    }


def _moment_of(event: _Event) -> dt.datetime:
    found = dt.datetime.fromisoformat(event.timestamp)
    return found.replace(tzinfo=found.tzinfo or dt.UTC)
