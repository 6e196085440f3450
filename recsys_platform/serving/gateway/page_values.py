"""What the page at `/` says: readers to choose, shelves of cards, and what was clicked.

Belongs here: from an answer to the values of the template. Does not: requests and forms (page.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from recsys_platform.serving.gateway.schemas import Home, Item, Shelf
from recsys_platform.serving.recent_events import BookEvent
from recsys_platform.serving.snapshot import Profile, Snapshot

CLICKS: Mapping[str, tuple[str, str]] = {
    "finished": ("Book Finished", "finished"),
    "dismissed": ("Recommendation Dismissed", "not for this reader"),
}
"""By the value of a button: the event, and what the page says of it afterwards."""
_SOURCE_LABELS = {"live": "the model, asked now", "published": "lists of the last run", "popular": "popular books"}
_LOOKED_AT, _CHOICES, _RECENT, _TINTS = 400, 10, 10, 6


@dataclass(frozen=True)
class View:
    """What is asked of the page. `seen`: the books of the first list before a click, so that new ones can be marked."""

    reader: str = ""
    language: str = ""
    clicked: str = ""
    book: str = ""
    seen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A reader to choose. `label`: the id and what the snapshot knows."""

    user_id: str
    label: str
    language: str


@dataclass(frozen=True)
class Card:
    """A book on the page. `letter`, `tint`: of its first category, instead of a picture."""

    book_id: str
    request_id: str
    title: str
    author: str
    reason: str
    facts: tuple[str, ...]
    letter: str
    tint: int
    is_new: bool


class _Book(msgspec.Struct):
    """What the page shows of a book; a catalog may have less."""

    title: str | None = None
    author: str | None = None
    language: str | None = None
    categories: list[str] | None = None
    reading_minutes: float | None = None
    is_premium: bool | None = None


_decode_book = msgspec.json.Decoder(_Book).decode


def page_values(
    snapshot: Snapshot, view: View, home: Home, profile: Profile, events: Sequence[BookEvent]
) -> dict[str, Any]:
    """Return the values of the template. `events`: what the reader did since the snapshot was written."""
    choices = _readers_to_choose(snapshot)
    return {
        "view": view,
        "choices": choices,
        "languages": sorted({each.language for each in choices if each.language}),
        "profile": _profile_facts(profile),
        "notice": _notice(snapshot, view),
        "shelves": [_shelf_values(snapshot, each, view) for each in home.shelves],
        "seen": ",".join(item.book_id for item in home.shelves[0].items) if home.shelves else "",
        "snapshot": snapshot.version,
        "done": [(event.name, _title_of(snapshot, event.book_id)) for event in reversed(events[-_RECENT:])],
    }


def _readers_to_choose(snapshot: Snapshot) -> list[Choice]:
    """A few readers who differ: the first of each language and tier, with and without history."""
    found: dict[tuple[str, bool, bool], Choice] = {}
    for user_id, profile in snapshot.first_profiles(_LOOKED_AT):
        kind = (profile.language, profile.free, bool(profile.history))
        found.setdefault(kind, Choice(user_id, f"{user_id} · {_profile_facts(profile)}", profile.language))
    return sorted(found.values(), key=lambda choice: choice.user_id)[:_CHOICES]


def _profile_facts(profile: Profile) -> str:
    history = f"{len(profile.finished)} finished, {len(profile.history)} liked"
    known = [profile.language, "" if profile.free else "premium", history, ", ".join(profile.interests)]
    return " · ".join(filter(None, known))


def _notice(snapshot: Snapshot, view: View) -> str:
    if view.clicked not in CLICKS or not view.book:
        return ""
    return f"{_title_of(snapshot, view.book)}: {CLICKS[view.clicked][1]}. The shelves below were made after that."


def _shelf_values(snapshot: Snapshot, shelf: Shelf, view: View) -> dict[str, Any]:
    marks_new = bool(view.seen) and shelf.name == "for_you"
    return {
        "name": shelf.name,
        "title": shelf.title,
        "source": shelf.source,
        "source_label": _SOURCE_LABELS.get(shelf.source, ""),
        "model": shelf.model_version,
        "variant": f"{shelf.experiment}: {shelf.variant}" if shelf.experiment else f"variant {shelf.variant}",
        "cards": [_card(snapshot, each, is_new=marks_new and each.book_id not in view.seen) for each in shelf.items],
    }


def _card(snapshot: Snapshot, item: Item, *, is_new: bool) -> Card:
    book, because = _decode_book(bytes(item.book)), item.because_book_id
    category = next(iter(book.categories or ()), "")
    return Card(
        book_id=item.book_id,
        request_id=item.request_id,
        title=book.title or item.book_id,
        author=book.author or "",
        reason=f"because you finished {_title_of(snapshot, because)}" if because else item.reason,
        facts=tuple(_book_facts(book)),
        letter=(category or book.title or item.book_id)[:1].upper(),
        tint=sum(category.encode()) % _TINTS,
        is_new=is_new,
    )


def _book_facts(book: _Book) -> Iterable[str]:
    yield from (book.categories or [])[:2]
    if book.reading_minutes:
        yield f"{book.reading_minutes:.0f} min"
    if book.language:
        yield book.language
    if book.is_premium:
        yield "premium"


def _title_of(snapshot: Snapshot, book_id: str) -> str:
    found = snapshot.book(book_id)
    return (_decode_book(found).title if found else None) or book_id
