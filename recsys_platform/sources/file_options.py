"""The options for importing your own files: column names, rating scale, time formats, event names.

Belongs here: the options and their checks. Does not: reading files (tabular.py), importing them (file_import.py).
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from recsys_platform.common.errors import InputError
from recsys_platform.sources.attribute_columns import JOINED, LISTS
from recsys_platform.sources.tabular import Layout

OwnFile = Literal["interactions", "books", "users"]
OWN_FILES: tuple[OwnFile, ...] = get_args(OwnFile)
COLUMNS: dict[OwnFile, tuple[str, ...]] = {
    "interactions": ("user_id", "book_id", "timestamp", "rating", "event"),
    "books": (
        "book_id", "title", "author", "language", "categories", "published_at", "reading_minutes", "is_premium",
        "is_available", "description",
    ),
    "users": ("user_id", "country", "language", "tier", "interests", "created_at", "email"),
}  # fmt: skip
TIMES = ("timestamp", "published_at", "created_at")
# The events that need no properties but a user, a book and a rating.
EVENTS = ("Book Viewed", "Book Started", "Book Finished", "Book Saved", "Book Removed", "Book Rated")


@dataclass(frozen=True)
class ImportOptions:
    """How to read your own files.

    `columns`: our column name → the file's, for every file that has it; `own_columns`: the same for one file. `events`: the file's
    event name in lower case → ours, empty to skip such rows. `time_formats`: our column name → format. `unrated`: the rating that
    stands for "not rated". `last_day`: all times are shifted by whole days so that the last event falls on this day.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    own_columns: Mapping[OwnFile, Mapping[str, str]] = field(default_factory=dict)
    headerless: frozenset[OwnFile] = frozenset()
    encoding: str = "utf-8"
    rating_scale: tuple[float, float] | None = None
    unrated: float | None = None
    decimal_comma: bool = False
    time_formats: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    last_day: dt.date | None = None

    def layout(self, file: OwnFile) -> Layout:
        """The options that apply to one of the files."""
        anywhere = {ours: theirs for ours, theirs in self.columns.items() if ours in COLUMNS[file]}
        return Layout(
            columns=anywhere,
            own_columns=self.own_columns.get(file, {}),
            header=file not in self.headerless,
            encoding=self.encoding,
            names=COLUMNS[file],
            lists=(*LISTS, *JOINED),
            extras=file != "interactions",
        )

    @property
    def left_out(self) -> frozenset[str]:
        """The events (as `event_key`) whose rows are skipped."""
        return frozenset(theirs for theirs, ours in self.events.items() if not ours)


def parse_options(
    *,
    columns: Iterable[str] = (),
    book_columns: Iterable[str] = (),
    headerless: Sequence[str] = (),
    encoding: str = "utf-8",
    rating_scale: str | None = None,
    unrated: float | None = None,
    decimal_comma: bool = False,
    time_formats: Iterable[str] = (),
    events: Iterable[str] = (),
    last_day: dt.date | None = None,
) -> ImportOptions:
    """Parse the options of the command line. Raises InputError for one that is not valid."""
    anywhere, own = columns_of(columns)
    own["books"].update(pair(text, option="--book-column", example="book_id=id") for text in book_columns)
    return ImportOptions(
        columns=anywhere,
        own_columns=own,
        headerless=headerless_of(headerless),
        encoding=encoding,
        rating_scale=scale_of(rating_scale) if rating_scale else None,
        unrated=unrated,
        decimal_comma=decimal_comma,
        time_formats=time_formats_of(time_formats),
        events=events_of(events),
        last_day=last_day,
    )


def columns_of(texts: Iterable[str]) -> tuple[dict[str, str], dict[OwnFile, dict[str, str]]]:
    """Parse `ours=theirs` into `columns` and `file.ours=theirs` into `own_columns`."""
    anywhere: dict[str, str] = {}
    own: dict[OwnFile, dict[str, str]] = {file: {} for file in OWN_FILES}
    known = {name for names in COLUMNS.values() for name in names}
    for text in texts:
        ours, theirs = pair(text, option="--column", example="user_id=userId")
        file = next((file for file in OWN_FILES if ours.startswith(f"{file}.")), None)
        if file is not None:
            own[file][ours.removeprefix(f"{file}.")] = theirs
        elif ours in known:
            anywhere[ours] = theirs
        else:
            raise InputError(
                f"--column {text}: {ours} is not one of our columns ({', '.join(sorted(known))}). Write OURS=THEIRS, or, for "
                f"another attribute of books, books.{ours}={theirs}."
            )
    return anywhere, own


def events_of(texts: Iterable[str]) -> dict[str, str]:
    """Parse `theirs=ours` into `events`; an empty right side skips such rows."""
    names = {event_key(name): name for name in EVENTS}
    found = {}
    for text in texts:
        theirs, sign, ours = text.rpartition("=")
        if not sign or not theirs or (ours.strip() and event_key(ours) not in names):
            raise InputError(
                f"--event {text} is not of the form THEIRS=OURS: write, for example, 'click=Book Viewed'; ours is one of "
                f"{', '.join(EVENTS)}, or nothing to leave such rows out."
            )
        found[event_key(theirs)] = names.get(event_key(ours), "")
    return found


def event_key(name: str) -> str:
    """An event name normalized for comparison: lower case, blanks for underscores."""
    return name.strip().lower().replace("_", " ")


def headerless_of(texts: Sequence[str]) -> frozenset[OwnFile]:
    """Check the names of files without a header."""
    for text in texts:
        if text not in OWN_FILES:
            raise InputError(f"--no-header {text}: there is no such file. Give one of {', '.join(OWN_FILES)}.")
    return frozenset(file for file in OWN_FILES if file in texts)


def time_formats_of(texts: Iterable[str]) -> dict[str, str]:
    """Parse `format` (for `timestamp`) and `column=format`."""
    pairs = (
        text.split("=", 1) if text.startswith(tuple(f"{name}=" for name in TIMES)) else ("timestamp", text)
        for text in texts
    )
    return {name: given for name, given in pairs}


def scale_of(text: str) -> tuple[float, float]:
    """Parse `lowest:highest`."""
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low = high = 0.0
    if not low < high < float("inf"):
        raise InputError(f"--rating-scale {text} is not of the form LOWEST:HIGHEST: write, for example, 0.5:5.")
    return low, high


def pair(text: str, *, option: str, example: str) -> tuple[str, str]:
    """Parse `ours=theirs`."""
    ours, sign, theirs = text.partition("=")
    if not (sign and ours.strip() and theirs.strip()):
        raise InputError(f"{option} {text} is not of the form OURS=THEIRS: write, for example, {example}.")
    return ours.strip(), theirs.strip()
