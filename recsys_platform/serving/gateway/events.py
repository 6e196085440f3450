"""Posted events: validated, kept for the reader's next answer, and spooled to the hub.

Belongs here: what is accepted, and what an event changes at once. Does not: landing (exposures.py).
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from recsys_platform.common.placeholders import is_no_id
from recsys_platform.ingestion.envelope import ENVELOPE
from recsys_platform.serving.answer_counts import COUNTED
from recsys_platform.serving.gateway.endpoints import Call
from recsys_platform.serving.gateway.handlers import LONGEST_ID, VIEWED, guest_key
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.schemas import EventVerdict, EventVerdicts
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.recent_events import BookEvent
from recsys_platform.serving.signals import ALIASED, RATED, SIGNED_IN, SIGNED_OUT, TRAITS_SET, Signals, package_signals

MOST_EVENTS = 500
_BOOK = ("book_id", "bookId")
_USER, _DEVICE = ("userId", "user_id"), ("anonymousId", "anonymous_id")
_TIMES = ("timestamp", "originalTimestamp", "original_timestamp", "receivedAt", "received_at")
_PREVIOUS = ("previousId", "previous_id")
_OF_APPS = {VIEWED, SIGNED_IN, SIGNED_OUT, ALIASED, TRAITS_SET}
"""Events about who is who and what was shown."""
_WITH_REQUEST = {"Recommendation Clicked", "Recommendation Dismissed"}
"""Events that the marts take with a request id only."""
_OLDEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


async def post_events(gateway: Gateway, call: Call) -> EventVerdicts:
    """Take events of Segment's format, one or a batch; each is answered."""
    records, now, signals = _records_of(call.body), gateway.now(), _signals_of(gateway)
    verdicts = [_verdict(call, at, record, now, signals) for at, record in enumerate(records)]
    received = {"receivedAt": now.isoformat(timespec="milliseconds")}
    accepted = [records[each.index] | received for each in verdicts if each.accepted]
    if accepted and not gateway.spool.append(*accepted):
        raise ProblemError("not-ready", "The events could not be stored: send them again.", {"retry-after": "5"})
    if gateway.recent.is_shared:
        await _load_visitors(gateway, accepted, signals)
    for record in accepted:
        _remember(gateway, record, signals, now)
    if gateway.recent.is_shared:
        await gateway.recent.save()
    gateway.metrics.events.labels("accepted").inc(len(accepted))
    gateway.metrics.events.labels("rejected").inc(len(verdicts) - len(accepted))
    return EventVerdicts(accepted=len(accepted), rejected=len(verdicts) - len(accepted), events=verdicts)


def _signals_of(gateway: Gateway) -> Signals:
    """Names and weights of the marts: those of the snapshot, or of the package before there is one."""
    snapshot = gateway.follower.served.snapshot
    return snapshot.signals if snapshot else package_signals()


def _records_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a body: one, or those of `batch`."""
    found = body.get("batch", [body])
    if not isinstance(found, list) or not 0 < len(found) <= MOST_EVENTS:
        raise ProblemError("invalid-request", f"`batch` must be a list of 1 to {MOST_EVENTS} events.")
    return [each if isinstance(each, dict) else {} for each in found]


def _verdict(call: Call, at: int, record: Mapping[str, Any], now: dt.datetime, signals: Signals) -> EventVerdict:
    problems = (
        *_envelope_problems(record),
        *_id_problems(record),
        *_time_problems(record, now),
        *_name_problems(record, signals),
        *_token_problems(call, record, signals),
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


def _name_problems(record: Mapping[str, Any], signals: Signals) -> Iterator[str]:
    """Canaries are judged by what gateways count: nobody else may say it."""
    if COUNTED.lower() in (_text(record, "event").lower(), _event_name(record, signals).lower()):
        yield f"the event {COUNTED} is written by the API alone: it cannot be posted"


def _token_problems(call: Call, record: Mapping[str, Any], signals: Signals) -> Iterator[str]:
    """A token of one reader tells of that reader and books alone: who signs in and what was shown others have to say."""
    if call.caller.user_id is None:
        return
    if _text(record, *_USER) != call.caller.user_id:
        yield "another reader than the token's"
    if _text(record, "type") != "track" or _event_name(record, signals) in _OF_APPS or _text(record, *_DEVICE):
        yield "a reader's token may post events about books, without a device: the app's key posts others"


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The first value that is a text or a number and not empty, as text."""
    values = (record.get(name) for name in names)
    known = (value for value in values if isinstance(value, str | int | float) and not isinstance(value, bool))
    return next((text for value in known if (text := str(value).strip())), "")


async def _load_visitors(gateway: Gateway, records: Iterable[Mapping[str, Any]], signals: Signals) -> None:
    """Learn what other gateways know of the devices of events, of guests who sign in, and of ids that are joined."""
    devices, readers = set[str](), set[str]()
    for record in records:
        user, device, name = _text(record, *_USER), _text(record, *_DEVICE), _event_name(record, signals)
        if user and name in (SIGNED_IN, ALIASED):
            device = _text(record, *_PREVIOUS) if name == ALIASED else device
            readers |= {guest_key(device), gateway.recommendations.reader_of(user)} | (
                {device} if name == ALIASED else set()
            )
            devices.add(device)
        elif not user:
            devices.add(device)
    await gateway.recent.load(readers - {guest_key(""), ""}, devices - {""})


def _event_name(record: Mapping[str, Any], signals: Signals) -> str:
    """The name that the marts give an event: of `track` its own, of another type that type, both by the seed `event_names`."""
    own = _text(record, "event")
    kind = _text(record, "type").lower() or ("track" if own else "")
    if kind == "identify" and not _text(record, *_USER):
        return TRAITS_SET
    return signals.name_of(own if kind == "track" else kind)


def _remember(gateway: Gateway, record: Mapping[str, Any], signals: Signals, now: dt.datetime) -> None:
    """Add a book event to its reader. A device belongs to who signed in on it last, as the marts stitch it."""
    given, device = _text(record, *_USER), _text(record, *_DEVICE)
    user, name = gateway.recommendations.reader_of(given) if given else "", _event_name(record, signals)
    if device and name == SIGNED_OUT:
        gateway.recent.sign_out(device)
    elif user and device and name == SIGNED_IN:
        _sign_in(gateway, device, user)
    elif user and name == ALIASED:
        _join_ids(gateway, _text(record, *_PREVIOUS), user)
    reader = user or gateway.recent.user_of(device) or guest_key(device)
    event = _book_event(gateway, record, name, now)
    if event and signals.changes_lists(event.name, event.rating):
        gateway.recent.add(reader, [event])


def _sign_in(gateway: Gateway, device: str, user: str) -> None:
    if gateway.recent.user_of(device) is None:  # what was done while nobody was signed in
        gateway.recent.move(guest_key(device), user)
        gateway.keep_unit_of_guest(device, user)
    gateway.recent.sign_in(device, user)


def _join_ids(gateway: Gateway, previous: str, user: str) -> None:
    """Join an id, of a device or of a reader, to a reader: an alias of a device is a sign-in on it."""
    if not previous or previous == user:
        return
    _sign_in(gateway, previous, user)
    # Copied, not moved: until a snapshot knows the alias, the other id is asked for as well.
    if done := gateway.recent.of(gateway.recommendations.reader_of(previous))[1]:
        gateway.recent.add(user, done)


def _book_event(gateway: Gateway, record: Mapping[str, Any], name: str, now: dt.datetime) -> BookEvent | None:
    """The event as the marts will have it; None if it is about no book, or not valid there."""
    properties = record.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    book, moment = _text(properties, *_BOOK), _moment_of(record, now)
    if not book or moment is None or moment < _OLDEST:
        return None
    if name in _WITH_REQUEST and not _text(properties, "request_id", "requestId"):
        return None
    return BookEvent(
        message_id=gateway.recommendations.pseudonyms.of(_text(record, "messageId", "message_id"))[:LONGEST_ID],
        name=name[:LONGEST_ID],
        book_id=book,
        at=moment.isoformat(),
        rating=_stars(_text(properties, "rating")) if name == RATED else None,
        received=int(now.timestamp()),
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
