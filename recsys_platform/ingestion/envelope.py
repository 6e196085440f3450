"""What a record of each tracker must carry to be accepted: an id, a time, and a user or device.

The decision is data, so that each warehouse engine can make it in its own SQL over millions of records.
"""

from dataclasses import dataclass

from recsys_platform.hub.layout import Source


@dataclass(frozen=True)
class Requirement:
    """At least one of these JSON paths must hold a non-empty value, else the record is rejected for `reason`."""

    reason: str
    paths: tuple[str, ...]


ENVELOPE: dict[Source, tuple[Requirement, ...]] = {
    "segment": (
        Requirement("no message id", ("$.messageId", "$.message_id")),
        Requirement(
            "no timestamp",
            ("$.timestamp", "$.originalTimestamp", "$.original_timestamp", "$.receivedAt", "$.received_at"),
        ),
        Requirement("no user or anonymous id", ("$.userId", "$.user_id", "$.anonymousId", "$.anonymous_id")),
    ),
    "pinpoint": (
        Requirement("no event type", ("$.event_type",)),
        Requirement("no event timestamp", ("$.event_timestamp",)),
        Requirement("no client or user id", ("$.client.client_id", "$.endpoint.User.UserId", "$.endpoint.Id")),
    ),
    "matomo": (
        Requirement("no site id (idsite)", ("$.idsite",)),
        Requirement("no timestamp (cdt)", ("$.cdt",)),
        Requirement("no user or visitor id (uid, _id, cid)", ("$.uid", "$._id", "$.cid")),
    ),
}

NOT_AN_OBJECT = "not a JSON object"
