"""Posted events: validated, kept for the reader's next answer, and spooled to the hub.

Belongs here: what is accepted, and what an event changes at once. Does not: landing (exposures.py).
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from recsys_platform.common.clock import utc_now
from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.serving.gateway.endpoints import Call
from recsys_platform.serving.gateway.handlers import guest_key
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.schemas import EventVerdict, EventVerdicts
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.recent_events import BookEvent

MOST_EVENTS = 500
_BOOK = ("book_id", "bookId")
_SIGN_INS = {"identify", "Signed In", "User Signed In", "Logged In", "User Logged In"}


def post_events(gateway: Gateway, call: Call) -> EventVerdicts:
    """Take events of Segment's format, one or a batch; each is answered."""
    records = _records_of(call.body)
    received = utc_now().isoformat(timespec="milliseconds")
    verdicts = [_verdict(gateway, call, at, record) for at, record in enumerate(records)]
    accepted = [records[each.index] | {"receivedAt": received} for each in verdicts if each.accepted]
    if accepted and not gateway.spool.append(*accepted):
        raise ProblemError("not-ready", "The events could not be stored: send them again.", {"retry-after": "5"})
    _remember(gateway, accepted)
    gateway.metrics.events.labels("accepted").inc(len(accepted))
    gateway.metrics.events.labels("rejected").inc(len(verdicts) - len(accepted))
    return EventVerdicts(accepted=len(accepted), rejected=len(verdicts) - len(accepted), events=verdicts)


def _records_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a body: one, or those of `batch`."""
    found = body.get("batch", [body])
    if not isinstance(found, list) or not 0 < len(found) <= MOST_EVENTS:
        raise ProblemError("invalid-request", f"`batch` must be a list of 1 to {MOST_EVENTS} events.")
    return [each if isinstance(each, dict) else {} for each in found]


def _verdict(gateway: Gateway, call: Call, at: int, record: Mapping[str, Any]) -> EventVerdict:
    reason = _rejection_reason(record)
    if reason is None and call.caller.user_id is not None and _text(record, "userId", "user_id") != call.caller.user_id:
        reason = "another reader than the token's"
    message_id = _text(record, "messageId", "message_id") or None
    return EventVerdict(index=at, message_id=message_id, accepted=reason is None, reason=reason)


def _rejection_reason(record: Mapping[str, Any]) -> str | None:
    """Why a record is rejected, by the envelope that ingestion holds it to; None if it is accepted."""
    for need in ENVELOPE["segment"]:
        if not _text(record, *(path.removeprefix("$.") for path in need.paths)):
            return need.reason
    return None


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The first value that is not empty, as text."""
    values = (record.get(name) for name in names)
    return next((str(value) for value in values if value not in (None, "")), "")


def _remember(gateway: Gateway, records: list[dict[str, Any]]) -> None:
    """Add book events to their readers, and give a guest's events to the account of a sign-in."""
    by_reader: dict[str, list[BookEvent]] = defaultdict(list)
    for record in records:
        user, device = _text(record, "userId", "user_id"), _text(record, "anonymousId", "anonymous_id")
        if event := _book_event(record):
            by_reader[user or guest_key(device)].append(event)
        if user and device and _SIGN_INS & {_text(record, "type"), _text(record, "event")}:
            gateway.recent.move(guest_key(device), user)
    for reader, events in by_reader.items():
        gateway.recent.add(reader, events)


def _book_event(record: Mapping[str, Any]) -> BookEvent | None:
    properties = record.get("properties")
    book = _text(properties, *_BOOK) if isinstance(properties, dict) else ""
    if not book or not isinstance(properties, dict):
        return None
    rating = properties.get("rating")
    return BookEvent(
        message_id=_text(record, "messageId", "message_id"),
        name=_text(record, "event"),
        book_id=book,
        at=_text(record, "timestamp", "originalTimestamp", "original_timestamp", "receivedAt"),
        rating=float(rating) if isinstance(rating, int | float) and not isinstance(rating, bool) else None,
    )
