"""What of an event a destination may see.

Belongs here: the allow-list of properties, hashing of ids. Does not: which destination has which (config.py).

Of an event only its name, ids, time and named properties go out; never its context or traits. An id that looks like an e-mail address
goes out hashed or not at all.
"""

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from recsys_platform.common.pseudonyms import holds_email

BOOK_PROPERTIES = (
    "book_id",
    "bookId",
    "request_id",
    "requestId",
    "surface",
    "source",
    "model",
    "model_version",
    "experiment",
    "variant",
    "items",
    "position",
    "rating",
    "chapter",
    "chapters",
)
"""Properties about books and lists, none about a person."""


class _Event(msgspec.Struct):
    """The parts of a posted event that may go out, under all their names."""

    type: Any = None
    event: Any = None
    messageId: Any = None  # noqa: N815  # Segment's names
    message_id: Any = None
    userId: Any = None  # noqa: N815
    user_id: Any = None
    anonymousId: Any = None  # noqa: N815
    anonymous_id: Any = None
    timestamp: Any = None
    originalTimestamp: Any = None  # noqa: N815
    original_timestamp: Any = None
    receivedAt: Any = None  # noqa: N815
    properties: dict[str, msgspec.Raw] = {}


_DECODER = msgspec.json.Decoder(_Event)


@dataclass(frozen=True)
class Selection:
    """Chooses track events and what of them goes out.

    `names`: of events; all if empty. `properties`: those that go out. `hash_key`: ids go out as their HMAC-SHA256 with this key, as
    they are without one.
    """

    names: Collection[str] = ()
    properties: Collection[str] = BOOK_PROPERTIES
    hash_key: bytes | None = None

    def __call__(self, content: bytes) -> bytes:
        """The chosen events of a file of JSON lines, as JSON lines."""
        chosen = (self._selected_event(line) for line in content.splitlines())
        return b"".join(msgspec.json.encode(event) + b"\n" for event in chosen if event)

    def _selected_event(self, line: bytes) -> dict[str, Any] | None:
        try:
            event = _DECODER.decode(line)
        except msgspec.DecodeError:  # properties that are no object, a damaged line
            return None
        name = first_text(event.event)
        if not _is_track(event.type, name) or (self.names and name not in self.names):
            return None
        ids, message_id = self._ids_of(event), self._message_id_of(event)
        if not ids or message_id is None:
            return None
        return {
            "type": "track",
            "event": name,
            "messageId": message_id,
            **ids,
            "timestamp": first_text(
                event.timestamp, event.originalTimestamp, event.original_timestamp, event.receivedAt
            ),
            "properties": {name: value for name, value in event.properties.items() if name in self.properties},
        }

    def _ids_of(self, event: _Event) -> dict[str, str] | None:
        """The ids of user and device; None if one must not go out as it is."""
        ids = {
            "userId": first_text(event.userId, event.user_id),
            "anonymousId": first_text(event.anonymousId, event.anonymous_id),
        }
        if self.hash_key is None and any(map(_is_address, ids.values())):
            return None
        return {name: self._hashed(each) for name, each in ids.items() if each}

    def _message_id_of(self, event: _Event) -> str | None:
        """The id of the event, which some apps make of an address; None if it must not go out as it is."""
        found = first_text(event.messageId, event.message_id)
        if not _is_address(found):
            return found
        return None if self.hash_key is None else self._hashed(found)

    def _hashed(self, text: str) -> str:
        if self.hash_key is None:
            return text
        return hmac.new(self.hash_key, text.encode(), hashlib.sha256).hexdigest()


def _is_track(kind: Any, name: str) -> bool:
    """Whether an event is a track call: by its type, in any case, or without one by its name, as the marts read it."""
    return (first_text(kind).lower() or ("track" if name else "")) == "track"


def _is_address(text: str) -> bool:
    """Whether an id looks like an e-mail address: wider than in the marts, since what leaves cannot be called back."""
    return "@" in text or holds_email(text)


def first_text(*values: Any) -> str:
    """The first value that is a text or a number and not empty, as text."""
    for value in values:
        is_known = isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))
        if is_known and (text := str(value).strip()):
            return text
    return ""
