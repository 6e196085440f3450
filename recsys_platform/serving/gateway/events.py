"""Posted events: validated, kept for the reader's next answer, and spooled to the hub.

Belongs here: what is accepted, and what an event changes at once. Does not: landing (exposures.py).
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from recsys_platform.common.clock import utc_now
from recsys_platform.common.placeholders import is_no_id
from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.serving.gateway.endpoints import Call
from recsys_platform.serving.gateway.handlers import LONGEST_ID, VIEWED, guest_key
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.schemas import EventVerdict, EventVerdicts
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.recent_events import RATED, BookEvent

MOST_EVENTS = 500
_BOOK = ("book_id", "bookId")
_USER, _DEVICE = ("userId", "user_id"), ("anonymousId", "anonymous_id")
_TIMES = ("timestamp", "originalTimestamp", "original_timestamp", "receivedAt", "received_at")
_SIGN_INS = {"identify", "Signed In", "User Signed In", "Logged In", "User Logged In"}
_SIGN_OUTS = {"Signed Out", "User Signed Out", "Logged Out", "User Logged Out"}


async def post_events(gateway: Gateway, call: Call) -> EventVerdicts:
    """Take events of Segment's format, one or a batch; each is answered."""
    records, now = _records_of(call.body), utc_now()
    verdicts = [_verdict(call, at, record, now) for at, record in enumerate(records)]
    received = {"receivedAt": now.isoformat(timespec="milliseconds")}
    accepted = [records[each.index] | received for each in verdicts if each.accepted]
    if accepted and not gateway.spool.append(*accepted):
        raise ProblemError("not-ready", "The events could not be stored: send them again.", {"retry-after": "5"})
    if gateway.recent.is_shared:
        await _load_visitors(gateway, accepted)
    for record in accepted:
        _remember(gateway, record)
    if gateway.recent.is_shared:
        await gateway.recent.save()
    gateway.metrics.events.labels("accepted").inc(len(accepted))
    gateway.metrics.events.labels("rejected").inc(len(verdicts) - len(accepted))
    return EventVerdicts(accepted=len(accepted), rejected=len(verdicts) - len(accepted), events=verdicts)


def _records_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a body: one, or those of `batch`."""
    found = body.get("batch", [body])
    if not isinstance(found, list) or not 0 < len(found) <= MOST_EVENTS:
        raise ProblemError("invalid-request", f"`batch` must be a list of 1 to {MOST_EVENTS} events.")
    return [each if isinstance(each, dict) else {} for each in found]


def _verdict(call: Call, at: int, record: Mapping[str, Any], now: dt.datetime) -> EventVerdict:
    problems = (
        *_envelope_problems(record),
        *_id_problems(record),
        *_time_problems(record, now),
        *_token_problems(call, record),
    )
    reason = next(iter(problems), None)
    return EventVerdict(
        index=at, message_id=_text(record, "messageId", "message_id") or None, accepted=reason is None, reason=reason
    )


def _envelope_problems(record: Mapping[str, Any]) -> Iterator[str]:
    """Why a record is rejected by the envelope that ingestion holds it to."""
    for need in ENVELOPE["segment"]:
        if not _text(record, *(path.removeprefix("$.") for path in need.paths)):
            yield need.reason


def _id_problems(record: Mapping[str, Any]) -> Iterator[str]:
    properties = record.get("properties")
    book = _text(properties, *_BOOK) if isinstance(properties, dict) else ""
    ids = {"user id": _text(record, *_USER), "anonymous id": _text(record, *_DEVICE), "book id": book}
    for what, found in ids.items():
        if found and (is_no_id(found) or len(found) > LONGEST_ID or "\0" in found):
            yield f"no {what}: a placeholder, too long, or with a character that no id has"


def _time_problems(record: Mapping[str, Any], now: dt.datetime) -> Iterator[str]:
    if _moment_of(record, now) is None:
        yield "no timestamp: it is not of ISO 8601"


def _token_problems(call: Call, record: Mapping[str, Any]) -> Iterator[str]:
    """A token of one reader tells of that reader and books alone: who signs in and what was shown others have to say."""
    if call.caller.user_id is None:
        return
    if _text(record, *_USER) != call.caller.user_id:
        yield "another reader than the token's"
    if (
        _text(record, "type") != "track"
        or _text(record, "event") in {VIEWED, *_SIGN_INS, *_SIGN_OUTS}
        or _text(record, *_DEVICE)
    ):
        yield "a reader's token may post events about books, without a device: the app's key posts others"


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The first value that is a text or a number and not empty, as text."""
    values = (record.get(name) for name in names)
    known = (value for value in values if isinstance(value, str | int | float) and not isinstance(value, bool))
    return next((text for value in known if (text := str(value).strip())), "")


async def _load_visitors(gateway: Gateway, records: Iterable[Mapping[str, Any]]) -> None:
    """Learn what other gateways know of the devices of events, and of guests who sign in."""
    devices = {_text(record, *_DEVICE) for record in records if not _text(record, *_USER) or _is_of(record, _SIGN_INS)}
    guests = {_text(record, *_DEVICE) for record in records if _text(record, *_USER) and _is_of(record, _SIGN_INS)}
    await gateway.recent.load([guest_key(device) for device in guests - {""}], devices - {""})


def _is_of(record: Mapping[str, Any], names: Collection[str]) -> bool:
    """Whether the type or the name of a record is one of some names."""
    return _text(record, "type") in names or _text(record, "event") in names


def _remember(gateway: Gateway, record: Mapping[str, Any]) -> None:
    """Add a book event to its reader. A device belongs to who signed in on it last, as the marts stitch it."""
    user, device = _text(record, *_USER), _text(record, *_DEVICE)
    if device and _is_of(record, _SIGN_OUTS):
        gateway.recent.sign_out(device)
    elif user and device and _is_of(record, _SIGN_INS):
        if gateway.recent.user_of(device) is None:  # what was done while nobody was signed in
            gateway.recent.move(guest_key(device), user)
        gateway.recent.sign_in(device, user)
    reader = user or gateway.recent.user_of(device) or guest_key(device)
    served = gateway.follower.served.snapshot
    event = _book_event(record)
    if event and (served is None or served.signals.changes_lists(event.name, event.rating)):
        gateway.recent.add(reader, [event])


def _book_event(record: Mapping[str, Any]) -> BookEvent | None:
    properties = record.get("properties")
    book = _text(properties, *_BOOK) if isinstance(properties, dict) else ""
    moment = _moment_of(record, utc_now())
    if not book or moment is None or not isinstance(properties, dict):
        return None
    name = _text(record, "event")
    return BookEvent(
        message_id=_text(record, "messageId", "message_id")[:LONGEST_ID],
        name=name[:LONGEST_ID],
        book_id=book,
        at=moment.isoformat(),
        rating=_stars(_text(properties, "rating")) if name == RATED else None,
    )


def _moment_of(record: Mapping[str, Any], now: dt.datetime) -> dt.datetime | None:
    """When it happened, in UTC, not after now: a clock may be wrong. None if it is not a time."""
    try:
        found = dt.datetime.fromisoformat(_text(record, *_TIMES))
        return min(now, found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC))
    except (ValueError, OverflowError):
        return None


def _stars(text: str) -> float | None:
    try:
        found = float(text)
    except (ValueError, OverflowError):
        return None
    return found if 1 <= found <= 5 else None
