"""What requests and answers of the API look like; the OpenAPI document is made from these.

Belongs here: the bodies and query parameters, with their limits. Does not: what is done with them (handlers.py).
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from recsys_platform.serving.recommending import RecommendedBook, Source

Id = Annotated[
    str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]+$", description="An id as the events and marts have it.")
]
Count = Annotated[int, Meta(ge=1, le=100, description="How many books.")]
Offset = Annotated[int, Meta(ge=0, le=1000, description="How many books to skip; past the end the list is empty.")]
_NO_BLANK_FIRST = r"^[^\x00-\x20\x7f-\xa0\s\ufeff]"
"""Characters that some kinds of regular expressions take as blank and others do not are named: a schema must mean one thing."""
Surface = Annotated[
    str,
    Meta(pattern=_NO_BLANK_FIRST, max_length=100, description="Where the list is shown, such as `home`; it is logged."),
]
Language = Annotated[str, Meta(max_length=20, description="Only books in a language such as `en`; by default in any.")]
_NO_ID_OR_ONE = r"^[^\x00/]*$"
Names = Annotated[tuple[Annotated[str, Meta(max_length=500)], ...], Meta(max_length=100)]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list."""

    k: Count = 20
    offset: Offset = 0
    surface: Surface = "api"
    language: Language = ""
    categories: Annotated[str, Meta(max_length=500, description="Categories, separated by commas.")] = ""
    # An address of more than 64 kB is refused by the HTTP parser, and a character may need 12 bytes of it.
    exclude: Annotated[str, Meta(max_length=4000, description="Book ids to leave out, separated by commas.")] = ""


class BooksQuery(ListQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of a list that may be asked for with or without a reader."""

    user_id: Annotated[
        str,
        Meta(
            max_length=500,
            pattern=_NO_ID_OR_ONE,
            description="The reader who sees the list: it leaves out finished books, and clicks join it.",
        ),
    ] = ""
    anonymous_id: Annotated[
        str,
        Meta(
            max_length=500, pattern=_NO_ID_OR_ONE, description="The tracker's id of the device of a guest who sees it."
        ),
    ] = ""


class HomeQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query parameters of the home page."""

    k: Count = 10
    language: Language = ""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes of a book; a catalog may have less."""

    book_id: str = ""
    title: str | None = None
    author: str | None = None
    language: str | None = None
    categories: list[str] | None = None
    reading_minutes: float | None = None
    is_premium: bool | None = None


class Item(msgspec.Struct, frozen=True, gc=False):
    """A recommended book. `score`: comparable within the list only; null for a promoted book."""

    rank: int
    book_id: str
    score: float | None
    reason: str
    because_book_id: str | None
    request_id: str
    book: Annotated[msgspec.Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/Book"})]
    """A `Book`, as the snapshot has it in JSON."""


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """A list of books. `source`: what answered (`live`, `published`, `popular`, or `none`)."""

    request_id: str
    source: Source
    model: str
    model_version: str
    experiment: str | None
    variant: str | None
    items: list[Item]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """One list of the home page, with the title to show above it."""

    name: str
    title: str
    source: Source
    model_version: str
    experiment: str | None
    variant: str | None
    items: list[Item]


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The shelves of a home page; no book is on two of them."""

    request_id: str
    shelves: list[Shelf]


class GuestEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a guest did with a book."""

    event: Annotated[str, Meta(min_length=1, max_length=100, examples=["Book Finished"])]
    book_id: Id
    rating: Annotated[float, Meta(ge=1, le=5)] | None = None


class GuestRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reader without an account: recent events, oldest first, and what the app knows."""

    anonymous_id: Annotated[str, Meta(max_length=500, description="The tracker's id of the device, if known.")] = ""
    events: Annotated[list[GuestEvent], Meta(max_length=100)] = []
    k: Count = 20
    offset: Offset = 0
    surface: Surface = "api"
    language: Language = ""
    interests: Names = ()
    categories: Names = ()
    exclude: Names = ()


class RankRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Books to put in order for a reader."""

    user_id: Id
    book_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=500)]
    surface: Surface = "api"


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """The given books in order, best first; `unknown` are those that the model does not know."""

    request_id: str
    source: Source
    model: str
    model_version: str
    items: list[Item]
    unknown: list[str]


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An event of Segment's format; it needs a message id, a time, and a user or a device."""

    message_id: Id
    timestamp: str
    type: str = "track"
    event: Annotated[str, Meta(description="Its name. `Answers Counted` is the API's own: it is rejected.")] = ""
    user_id: str | None = None
    anonymous_id: str | None = None
    properties: Annotated[
        dict[str, Any],
        Meta(
            description="What the event is about: `book_id`, and of a recommended book its `request_id` and `position`.",
            extra_json_schema={"additionalProperties": True},
        ),
    ] = {}


class EventBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Events of Segment's format."""

    batch: Annotated[list[Event], Meta(min_length=1, max_length=500)]


class EventVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event: accepted, or rejected for a reason."""

    index: int
    message_id: str | None
    accepted: bool
    reason: str | None = None


class EventVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each event, in order."""

    accepted: int
    rejected: int
    events: list[EventVerdict]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was answered as it was: the exposure that was logged."""

    request_id: str
    user_id: str | None
    source: Source
    model: str
    model_version: str
    items: list[RecommendedBook]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State of the gateway. `snapshot` and `models`: what is served now."""

    status: str
    snapshot: str | None = None
    models: dict[str, str] = {}
    detail: str | None = None
