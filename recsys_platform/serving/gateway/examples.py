"""Examples of requests and answers, for the OpenAPI document and the developers' portal.

Belongs here: values only; a test holds each to its schema. Does not: the schemas (schemas.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ID = "602575f7-1c40-47d4-b7f9-b6b7f9c308b7"
_BOOK: dict[str, Any] = {
    "book_id": "b00489",
    "title": "The Hidden Engine of Business",
    "author": "Greta Egger",
    "language": "es",
    "categories": ["business", "money"],
    "reading_minutes": 18,
    "is_premium": False,
}
_OTHER: dict[str, Any] = {
    "book_id": "b00326",
    "title": "The Curious Promise of Psychology",
    "author": "Omar Keller",
    "language": "es",
    "categories": ["psychology", "health"],
    "reading_minutes": 12,
    "is_premium": False,
}


@dataclass(frozen=True)
class Example:
    """An answer of an operation, and the body that it answers."""

    answer: Any
    body: Mapping[str, Any] | None = None
    more_bodies: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bodies(self) -> dict[str, Any]:
        """All bodies by name."""
        return {"example": self.body, **self.more_bodies}


def _item(rank: int, book: Mapping[str, Any], score: float, reason: str, because: str | None = None) -> dict[str, Any]:
    return {
        "rank": rank,
        "book_id": book["book_id"],
        "score": score,
        "reason": reason,
        "because_book_id": because,
        "request_id": _ID,
        "book": book,
    }


def _listed(source: str, label: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": _ID,
        "source": source,
        "model": label.rpartition("-v")[0],
        "model_version": label,
        "experiment": None,
        "variant": "production",
        "items": list(items),
    }


def _shelf(name: str, title: str, source: str, label: str, *items: dict[str, Any]) -> dict[str, Any]:
    own = [item | {"request_id": f"{_ID}.{name}"} for item in items]
    listed = _listed(source, label, *own)
    return {"name": name, "title": title} | {key: listed[key] for key in _OF_SHELF}


_OF_SHELF = ("source", "model_version", "experiment", "variant", "items")
_LIKED = _item(1, _BOOK, 2.907, "matches your reading", "b00476")
_SECOND = _item(2, _OTHER, 2.112, "matches your reading")
_POPULAR = _item(1, _OTHER, 0.652, "popular in your language")
_FINISHED = {
    "messageId": "5b0f5e0a-6f6e-4b59-9f0a-6a3f1f4f2f10",
    "timestamp": "2026-11-28T10:00:00Z",
    "type": "track",
    "event": "Book Finished",
    "userId": "u0000013",
    "anonymousId": "device-1",
    "properties": {"book_id": "b00489", "request_id": _ID},
}
_ACCEPTED = {"index": 0, "message_id": _FINISHED["messageId"], "accepted": True, "reason": None}

PARAMETERS: Mapping[str, str | int] = {
    "user_id": "u0000013",
    "book_id": "b00489",
    "anonymous_id": "device-1",
    "request_id": _ID,
    "k": 10,
    "offset": 0,
    "surface": "home",
    "language": "es",
    "categories": "business,money",
    "exclude": "b00001,b00002",
}
"""By the name of a parameter."""

PROBLEM_EXAMPLE = {
    "type": "urn:recsys:problem:invalid-request",
    "title": "The request is not valid",
    "status": 422,
    "detail": "The query is not valid: Expected `int` <= 100 - at `$.k`.",
    "request_id": _ID,
}

EXAMPLES: Mapping[str, Example] = {
    "recommendations": Example(_listed("live", "blend-v18", _LIKED, _SECOND)),
    "guest_recommendations": Example(
        _listed("live", "blend-v18", _LIKED, _SECOND),
        body={
            "anonymous_id": "device-1",
            "events": [{"event": "Book Finished", "book_id": "b00476"}],
            "k": 10,
            "language": "es",
            "interests": ["business"],
        },
    ),
    "home": Example(
        {
            "request_id": _ID,
            "shelves": [
                _shelf("for_you", "For you", "live", "blend-v18", _LIKED),
                _shelf("popular", "Popular now", "popular", "popularity-v10", _POPULAR),
            ],
        }
    ),
    "rank": Example(
        {
            "request_id": _ID,
            "source": "live",
            "model": "blend",
            "model_version": "blend-v18",
            "items": [_LIKED, _SECOND],
            "unknown": ["b99999"],
        },
        body={"user_id": "u0000013", "book_ids": ["b00326", "b00489", "b99999"]},
    ),
    "similar": Example(_listed("published", "lightfm-v15", _item(1, _OTHER, 0.68, "similar to this book"))),
    "popular": Example(_listed("popular", "popularity-v10", _POPULAR)),
    "post_events": Example(
        {
            "accepted": 1,
            "rejected": 1,
            "events": [
                _ACCEPTED,
                {"index": 1, "message_id": None, "accepted": False, "reason": "no message id"},
            ],
        },
        body=_FINISHED,
        more_bodies={"a batch": {"batch": [_FINISHED]}},
    ),
    "explanation": Example(
        {
            "request_id": _ID,
            "user_id": "u0000013",
            "source": "live",
            "model": "blend",
            "model_version": "blend-v18",
            "items": [
                {
                    "rank": 1,
                    "book_id": "b00489",
                    "score": 2.907,
                    "reason": "matches your reading",
                    "because_book_id": "b00476",
                    "propensity": 1.0,
                }
            ],
        }
    ),
    "healthz": Example({"status": "ok", "snapshot": None, "models": {}, "detail": None}),
    "readyz": Example(
        {
            "status": "ready",
            "snapshot": "20261128T230128_e1dcf99c7bb3-404efee41dcf",
            "models": {"production": "blend-v18"},
            "detail": None,
        }
    ),
    "metrics": Example('recsys_answers_total{asked="model",fallback="no",source="live"} 1042.0\n'),
}
"""By the id of an operation."""

QUICK_STARTS: Mapping[str, str] = {
    "Python": """\
from recsys_client import Recsys

api = Recsys("http://127.0.0.1:8000", token=key)
found = api.recommendations("u0000013", k=10)
print([item.book.title for item in found.items])
""",
    "TypeScript": """\
import { createRecsys } from "recsys-client";

const api = createRecsys("http://127.0.0.1:8000", key);
const query = { params: { path: { user_id: "u0000013" }, query: { k: 10 } } };
const { data, error } = await api.GET("/v1/users/{user_id}/recommendations", query);
console.log(error?.detail ?? data?.items.map((item) => item.book.title));
""",
}
"""The first lines with the clients in `clients/`; a test runs them."""
