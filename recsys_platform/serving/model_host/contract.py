"""What is asked of a model host and what it answers, as JSON and CSV; the gateway and the host share it.

Belongs here: the forms of requests and answers. Does not: HTTP (app.py), who asks (serving/model_hosts.py).
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from recsys_platform.serving.recommending import Answer, Query
from recsys_platform.serving.snapshot import Profile

Book = Annotated[str, Meta(max_length=500)]
_LIST_COLUMNS = ("history", "finished", "interests", "out", "exclude", "categories", "books")
_SEPARATOR = "|"
CSV_COLUMNS = ("request", "rank", "book_id", "score", "propensity", "because", "reason", "model", "version")


class HostRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One reader and what is asked for; books are ids, the history is oldest first.

    `finished`: the books that may explain a recommendation, the history by default. `out`: books that the list rules exclude for this
    reader. `exclude`: books to leave out of this list. `categories`, `only_language`: to choose from. `seed`: of exploration.
    `books`: books to put in order instead of making a list.
    """

    history: tuple[Book, ...] = ()
    finished: tuple[Book, ...] | None = None
    language: str = ""
    interests: tuple[str, ...] = ()
    tier: str = "free"
    out: tuple[Book, ...] = ()
    exclude: tuple[Book, ...] = ()
    categories: tuple[str, ...] = ()
    only_language: str = ""
    k: Annotated[int, Meta(ge=1, le=2000)] = 20
    seed: Annotated[int, Meta(ge=0)] = 0
    books: tuple[Book, ...] | None = None

    @property
    def profile(self) -> Profile:
        """The reader."""
        return Profile(
            language=self.language,
            free=self.tier == "free",
            interests=self.interests,
            history=self.history,
            finished=self.history if self.finished is None else self.finished,
            out=self.out,
        )

    @property
    def query(self) -> Query:
        """The list that is asked for."""
        return Query(k=self.k, language=self.only_language, categories=self.categories, exclude=self.exclude)


class HostItem(msgspec.Struct, frozen=True, kw_only=True):
    """A book of a list, best first. `score`: null for a promoted book. `because`: the finished book that speaks most for it."""

    book_id: str
    score: float | None
    propensity: float
    because: str | None
    reason: str


class HostAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A list and the model version that made it."""

    items: tuple[HostItem, ...]
    model: str
    version: str


def host_answer(answer: Answer) -> HostAnswer:
    """Return an answer in the form of the contract."""
    items = tuple(
        HostItem(
            book_id=each.book_id,
            score=each.score,
            propensity=each.propensity,
            because=each.because_book_id,
            reason=each.reason,
        )
        for each in answer.items
    )
    return HostAnswer(items=items, model=answer.model, version=answer.model_version)


def requests_in_csv(content: bytes) -> list[HostRequest]:
    """Return the requests of a CSV text with a header, one a row; lists are separated by `|`. Raises ValidationError."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise msgspec.ValidationError(f"it is not CSV in UTF-8 ({error})") from error
    if not rows:
        raise msgspec.ValidationError("it has no row below the header")
    return [msgspec.convert(_fields_of(row), HostRequest, strict=False) for row in rows]


def _fields_of(row: dict[Any, Any]) -> dict[str, Any]:
    """The fields of a row that are not empty."""
    if None in row or None in row.values():
        raise msgspec.ValidationError("a row has more or fewer fields than the header")
    filled = {name: value for name, value in row.items() if value}
    return {name: value.split(_SEPARATOR) if name in _LIST_COLUMNS else value for name, value in filled.items()}


def answers_as_csv(answers: Sequence[HostAnswer]) -> bytes:
    """Return answers as CSV with a header, one row a book; `request` counts the requests from 0."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(row for request, answer in enumerate(answers) for row in _rows_of(request, answer))
    return text.getvalue().encode()


def _rows_of(request: int, answer: HostAnswer) -> Iterable[tuple[Any, ...]]:
    for rank, each in enumerate(answer.items, 1):
        made = (each.score, each.propensity, each.because, each.reason, answer.model, answer.version)
        yield (request, rank, each.book_id, *made)
