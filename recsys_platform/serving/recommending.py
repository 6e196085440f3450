"""Recommendations at request time, with fallbacks: live, published, popular. A valid request is always answered.

Belongs here: which source answers, and the items of an answer. Does not: HTTP (gateway/), the exposure log (exposures.py).
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, repeat
from typing import Literal, Protocol

import msgspec
import numpy as np

from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.pseudonyms import Pseudonyms
from recsys_platform.recommender.arrays import BoolArray
from recsys_platform.recommender.lists.contracts import REASON_OF_PROMOTED
from recsys_platform.recommender.lists.exploration import seed_of
from recsys_platform.recommender.lists.list_builder import CATEGORY
from recsys_platform.recommender.lists.live import LiveList, LiveReader
from recsys_platform.recommender.lists.published_tables import MATCHES, OWN_LANGUAGE, POPULAR, REASONS
from recsys_platform.recommender.ranking.top_k import NONE
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.errors import BackendError
from recsys_platform.serving.following import Served, ServedModel
from recsys_platform.serving.recent_events import GUEST, RecentEvents, events_to_merge, with_events
from recsys_platform.serving.snapshot import EVERYONE, ListedBook, Profile, Snapshot

_LOG = logging.getLogger(__name__)
Source = Literal["live", "published", "popular", "none"]
Kind = Literal["published", "similar", "popular"]
SIMILAR, NEW = "similar to this book", "new"
NEWEST = "newest"
"""Stands for the model of a list of new books."""
ANYBODY = Profile()
"""The profile where nobody is asked for: no book is out, no tier restricts."""
EXPLORED = 20
"""Largest length of the beginning of a list in which exploration draws: half of the pool must be left to draw from."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: up to `k` books after `offset`, of some categories (any if empty), without `exclude`.

    `language`: only books in it, a primary subtag such as `en`; any if empty.
    """

    k: int = 20
    offset: int = 0
    language: str = ""
    categories: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def first_page(self) -> "Query":
        """What is asked, from the beginning."""
        return msgspec.structs.replace(self, offset=0)


class RecommendedBook(msgspec.Struct, frozen=True, gc=False):
    """A book of an answer; `propensity` is the probability of the book at its rank."""

    rank: int
    book_id: str
    score: float | None
    reason: str
    because_book_id: str | None
    propensity: float


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer: `source` says what answered, `model` and `model_version` what made the list."""

    items: Sequence[RecommendedBook]
    source: Source
    model: str
    model_version: str
    stands_in: bool = False
    """Whether a better source failed: such an answer is not kept."""
    draw_id: str = ""
    """Names what chance drew, for the books with a propensity below 1: another answer of the same draw repeats it."""


pack_answer = msgspec.msgpack.Encoder().encode
unpack_answer = msgspec.msgpack.Decoder(Answer).decode


class Backend(Protocol):
    """Asks the model of an alias, here or on another machine; raises BackendError if it does not answer in time."""

    @property
    def version(self) -> str:
        """A text that changes when another model version answers, if the state that is served does not tell."""

    def recommend(self, served: Served, alias: str, profile: Profile, query: Query, seed: int) -> Answer | None:
        """The list of the model for a profile; None if there is no such model. `seed`: of the exploration slots."""

    def rank(self, served: Served, alias: str, profile: Profile, books: Sequence[str]) -> Answer | None:
        """Given books in order, without those that the model does not know; None if it knows none."""


class ShadowTraffic(Protocol):
    """Compares lists with those of another model, later."""

    @property
    def rule(self) -> object | None:
        """What is compared; None while nothing is."""

    def compare(
        self, served: Served, profile: Profile, query: Query, seed: int, answer: Answer, seconds: float
    ) -> None:
        """Compare a list, which took so many seconds, without making anybody wait."""


class InProcess:
    """Asks the models of this process."""

    version = ""

    def recommend(self, served: Served, alias: str, profile: Profile, query: Query, seed: int) -> Answer | None:
        """The list of the model for a profile."""
        model = served.models.get(alias)
        return live_answer(model, profile, query, seed) if model else None

    def rank(self, served: Served, alias: str, profile: Profile, books: Sequence[str]) -> Answer | None:
        """Given books in order."""
        model = served.models.get(alias)
        return ranked_answer(model, profile, books) if model else None


class Recommendations:
    """Answers requests from the state that is served now and from readers' recent events."""

    def __init__(
        self,
        served: Callable[[], Served],
        recent: RecentEvents,
        on_failure: Callable[[str], None],
        backend: Backend | None = None,
        pseudonyms: Pseudonyms | None = None,
        shadow: "ShadowTraffic | None" = None,
    ) -> None:
        """`served`: the state of now. `on_failure`: is told each source that failed. `backend`: asks models, here by default.

        `pseudonyms`: how ids that are e-mail addresses stand in the marts. `shadow`: compares some live lists.
        """
        self._served, self._recent, self._on_failure = served, recent, on_failure
        self._backend = backend or InProcess()
        self.pseudonyms, self._shadow = pseudonyms or Pseudonyms(), shadow

    @property
    def version(self) -> str:
        """A text that changes with all that a list depends on, apart from the reader."""
        return f"{self._served().version}{self._backend.version}"

    def reader_of(self, user_id: str) -> str:
        """The id under which the marts have a reader; what takes a reader below takes such an id. A guest's key stays."""
        own, *joined = self.ids_of(user_id)
        if not joined:
            return own
        self._copy_events(own, joined[0])
        return joined[0]

    def ids_of(self, user_id: str) -> tuple[str, ...]:
        """An id as the marts have it, and that of the reader whom it was joined to, if it was."""
        if user_id.startswith(GUEST):
            return (user_id,)
        own, snapshot = self.pseudonyms.of(user_id), self._served().snapshot
        joined = snapshot.alias_of(own) if snapshot and snapshot.has_aliases else None
        return (own,) if joined is None else (own, joined)

    def _copy_events(self, source: str, target: str) -> None:
        """Give a reader what came in under another id, before that was known to be the same reader's."""
        if events := self._recent.of(source)[1]:
            there = {event.message_id for event in self._recent.of(target)[1]}
            if missing := [event for event in events if event.message_id not in there]:
                self._recent.add(target, missing)

    def epoch(self, reader: str) -> int:
        """A number that grows with each event of a reader."""
        return self._recent.of(reader)[0]

    def profile(self, user_id: str) -> Profile:
        """The profile of a reader as of now; an empty one for an unknown reader."""
        snapshot, (_, events) = self._served().snapshot, self._recent.of(user_id)
        known = snapshot.profile(user_id) if snapshot else None
        profile = known or Profile()
        if not events or snapshot is None:
            return profile
        if known is not None:
            known_ids = snapshot.known_ids([event.message_id for event in events])
            events = events_to_merge(events, known_ids, snapshot.events_since)
        return with_events(profile, events, snapshot.signals, hide_finished=snapshot.rules.rules.finished)

    def for_user(self, user_id: str, query: Query, *, alias: str = PRODUCTION, salt: str = "") -> Answer:
        """Recommendations for a reader, known or not.

        What exploration draws depends on the reader, the reader's events, the snapshot, what is asked and `salt`: so all pages of a
        list are of one draw.
        """
        served = self._served()
        snapshot = served.snapshot
        if snapshot is None:
            return _NOTHING
        profile, seed = self.profile_or_empty(user_id), 0
        if self._explores(snapshot):
            seed = seed_of(user_id, str(self.epoch(user_id)), snapshot.version, _unpaged(query), salt)
        sources: list[Callable[[], Answer | None]] = [
            lambda: self._live(served, alias, profile, query, seed),
            lambda: _published(snapshot, user_id, profile, query),
        ]
        found = self._first_answer(chain(sources, _popular_sources(snapshot, profile, query)))
        return _with_draw_id(found, seed) if seed else found

    def _explores(self, snapshot: Snapshot) -> bool:
        """Whether chance may have a part in a list; the rules of model hosts may be others for a moment."""
        return bool(snapshot.rules.exploration.slots) or not isinstance(self._backend, InProcess)

    def _live(self, served: Served, alias: str, profile: Profile, query: Query, seed: int) -> Answer | None:
        """The list of a model, which the shadow may be compared with afterwards."""
        shadow = self._shadow
        if shadow is None or shadow.rule is None:
            return self._backend.recommend(served, alias, profile, query, seed)
        started = time.perf_counter()
        answer = self._backend.recommend(served, alias, profile, query, seed)
        if answer is not None:
            shadow.compare(served, profile, query, seed, answer, time.perf_counter() - started)
        return answer

    def without_model(self, user_id: str, query: Query) -> Answer:
        """Recommendations for a reader by the fallbacks, where the model's take too long."""
        snapshot = self._served().snapshot
        if snapshot is None:
            return _NOTHING
        profile = self.profile_or_empty(user_id)
        sources = [lambda: _published(snapshot, user_id, profile, query), *_popular_sources(snapshot, profile, query)]
        return msgspec.structs.replace(self._first_answer(sources), stands_in=True)

    def for_guest(self, profile: Profile, query: Query, request_id: str, *, alias: str = PRODUCTION) -> Answer:
        """Recommendations for a reader who brings the profile along."""
        served = self._served()
        if served.snapshot is None:
            return _NOTHING
        seed = seed_of("guest", request_id)
        live = [lambda: self._backend.recommend(served, alias, profile, query, seed)]
        return _with_draw_id(self._first_answer([*live, *_popular_sources(served.snapshot, profile, query)]), seed)

    def rank(self, user_id: str, books: Sequence[str], *, alias: str = PRODUCTION) -> Answer:
        """Order books for a reader, finished ones too; unknown books are left out."""
        served = self._served()
        snapshot, profile = served.snapshot, self.profile_or_empty(user_id)
        sources: list[Callable[[], Answer | None]] = [lambda: self._backend.rank(served, alias, profile, books)]
        if snapshot:
            sources.append(lambda: _ranked_by_lists(snapshot, user_id, profile, books))
        return self._first_answer(sources)

    def similar(self, book_id: str, query: Query, profile: Profile = ANYBODY) -> Answer | None:
        """Books similar to a book, for a reader if a profile is given; None for an unknown book."""
        snapshot = self._served().snapshot
        if snapshot is None:
            return _NOTHING
        if snapshot.book(book_id) is None:
            return None
        listed = snapshot.listed("similar", book_id) or []
        return _listed_answer(snapshot, "similar", listed, profile, query, SIMILAR)

    def popular(self, query: Query, profile: Profile = ANYBODY) -> Answer:
        """Popular books of a language, or of all; for a reader if a profile is given."""
        snapshot = self._served().snapshot
        return self._first_answer(_popular_sources(snapshot, profile, query)) if snapshot else _NOTHING

    def newest(self, query: Query, profile: Profile = ANYBODY) -> Answer:
        """The books that were published last; for a reader if a profile is given."""
        snapshot = self._served().snapshot
        if snapshot is None:
            return _NOTHING
        found = _listed_answer(snapshot, "published", snapshot.newest_books, profile, query, NEW)
        return msgspec.structs.replace(found, model=NEWEST, model_version=f"{NEWEST}-{snapshot.version}")

    def profile_or_empty(self, user_id: str) -> Profile:
        """The profile; an empty one if it cannot be read, so that fallbacks answer."""
        try:
            return self.profile(user_id)
        except Exception:  # noqa: BLE001  # whatever breaks behind a source, the next one answers
            _LOG.exception("A profile could not be read")
            self._on_failure("profile")
            return Profile()

    def _first_answer(self, sources: Iterable[Callable[[], Answer | None]]) -> Answer:
        stands_in = False
        for source in sources:
            try:
                if (answer := source()) is not None:
                    return msgspec.structs.replace(answer, stands_in=True) if stands_in else answer
            except BackendError:  # the backend has logged it
                stands_in = True
                self._on_failure("model host")
            except Exception:  # noqa: BLE001  # whatever breaks behind a source, the next one answers
                stands_in = True
                _LOG.exception("A recommendation source failed")
                self._on_failure("source")
        return _NOTHING


_NOTHING = Answer(items=(), source="none", model="", model_version="")


def _with_draw_id(answer: Answer, seed: int) -> Answer:
    """Name the draw of an answer by its seed, if there was one."""
    if all(each.propensity == 1 for each in answer.items):
        return answer
    return msgspec.structs.replace(answer, draw_id=f"{seed:016x}")


def _unpaged(query: Query) -> str:
    parts = (query.language, query.categories, query.exclude)
    return msgspec.json.encode(parts).decode()


def live_answer(model: ServedModel, profile: Profile, query: Query, seed: int) -> Answer:
    """Return the list of a model for a profile. `seed`: of the exploration slots."""
    index = model.index_of
    language = query.language or profile.language
    reader = LiveReader(
        history=_indexes(index, profile.history),
        out=_indexes(index, (*profile.out, *query.exclude)),
        finished=_indexes(index, profile.finished),
        language=language,
        interests=profile.interests,
        free=profile.free,
    )
    books = _live_list(model, reader, query, seed)
    items = _live_items(model, books, language, personal=bool(reader.history))[query.offset :]
    return Answer(items=items, source="live", model=model.artifact.variant, model_version=model.artifact.label)


def _live_list(model: ServedModel, reader: LiveReader, query: Query, seed: int) -> LiveList:
    """The list up to the end of the page. All pages of a reader are parts of one list: what is drawn stands in its beginning."""
    length, among = query.offset + query.k, _books_asked_for(model, query)
    exploration = model.live.builder.exploration
    if not exploration.slots:
        return model.live.recommend(reader, k=length, seed=seed, among=among)
    explored = max((*exploration.slots, min(EXPLORED, exploration.pool // 2)))
    head = model.live.recommend(reader, k=explored, seed=seed, among=among)
    if length <= explored:
        return head.first(length)
    tail = model.live.recommend(reader, k=length, seed=seed, among=among, explore=False)
    return head.followed_by(tail).first(length)


def _indexes(index: Mapping[str, int], books: Collection[str]) -> list[int]:
    """Indexes of the books that the model knows."""
    return [at for at in map(index.get, books) if at is not None]


def _books_asked_for(model: ServedModel, query: Query) -> BoolArray | None:
    """Flags of the books of the categories and the language that are asked for; None for all books."""
    items, asked = model.live.items, None
    if query.categories:
        names = {f"{CATEGORY}{each}" for each in query.categories}
        columns = [at for at, name in enumerate(items.book_features.names) if name in names]
        asked = np.asarray(items.book_features.matrix[:, columns].sum(axis=1)).ravel() > 0
    if query.language:
        spoken: BoolArray = items.book_language == query.language
        asked = spoken if asked is None else asked & spoken
    return asked


def ranked_answer(model: ServedModel, profile: Profile, given: Sequence[str]) -> Answer | None:
    """Order given books for a profile; the books that the model does not know are left out. None if it knows none."""
    books = [book for book in dict.fromkeys(given) if book in model.index_of]
    if not books:
        return None
    index = np.array(_indexes(model.index_of, books))
    reader = LiveReader(_indexes(model.index_of, profile.history), (), (), profile.language, profile.interests)
    scores = model.live.score(reader)[0, index]
    order = np.lexsort((index, -scores)).tolist()
    items = [
        RecommendedBook(
            rank=rank,
            book_id=books[at],
            score=float(scores[at]),
            reason=REASONS[MATCHES if reader.history else POPULAR],
            because_book_id=None,
            propensity=1.0,
        )
        for rank, at in enumerate(order, 1)
    ]
    return Answer(items=items, source="live", model=model.artifact.variant, model_version=model.artifact.label)


def _ranked_by_lists(snapshot: Snapshot, user_id: str, profile: Profile, given: Sequence[str]) -> Answer | None:
    """Order given books as the lists have them: the reader's published one, then the popular one; the others stay as they are given.

    None if the item catalog has none of them.
    """
    own = snapshot.listed("published", user_id) or []
    popular = snapshot.listed("popular", f"language={profile.language}") or snapshot.listed("popular", EVERYONE) or []
    places: dict[str, int] = {}
    for each in (*own, *popular):
        places.setdefault(each.book_id, len(places))
    known = [book for book in dict.fromkeys(given) if snapshot.book(book) is not None]
    reasons = {each.book_id: each.reason or REASONS[MATCHES] for each in own}
    items = [
        RecommendedBook(
            rank=rank,
            book_id=book,
            score=None,
            reason=reasons.get(book, REASONS[POPULAR]),
            because_book_id=None,
            propensity=1.0,
        )
        for rank, book in enumerate(sorted(known, key=lambda book: places.get(book, len(places))), 1)
    ]
    label = snapshot.manifest["model_versions"].get("published" if own else "popular", "")
    source: Source = "published" if own else "popular"
    return Answer(items=items, source=source, model=label.rpartition("-v")[0], model_version=label) if items else None


def _live_items(model: ServedModel, found: LiveList, language: str, *, personal: bool) -> list[RecommendedBook]:
    ids, books, scores = model.artifact.book_ids, found.books.tolist(), found.scores.tolist()
    reasons = repeat(REASONS[MATCHES]) if personal else _reasons_of(model, books, language)
    because = [None if book == NONE else ids[book] for book in found.because.tolist()]
    columns = [ids[book] for book in books], scores, reasons, because, found.propensity.tolist()
    items = list(map(RecommendedBook, count(1), *columns))
    return [_without_score(each) if each.score != each.score else each for each in items]


def _reasons_of(model: ServedModel, books: Sequence[int], language: str) -> Iterator[str]:
    """Why books are shown to a reader whose taste is unknown."""
    spoken = model.live.items.book_language
    return (REASONS[OWN_LANGUAGE if language and spoken[book] == language else POPULAR] for book in books)


def _without_score(promoted: RecommendedBook) -> RecommendedBook:
    return msgspec.structs.replace(promoted, score=None, reason=REASON_OF_PROMOTED)


def _published(snapshot: Snapshot, user_id: str, profile: Profile, query: Query) -> Answer | None:
    listed = snapshot.listed("published", user_id)
    if not listed:
        return None
    found = _listed_answer(snapshot, "published", listed, profile, query, REASONS[MATCHES])
    if found.items or not query.offset:
        return found if found.items else None
    first = _listed_answer(snapshot, "published", listed, profile, query.first_page(), REASONS[MATCHES])
    return found if first.items else None


def _popular_sources(snapshot: Snapshot, profile: Profile, query: Query) -> Iterator[Callable[[], Answer | None]]:
    language = query.language or profile.language

    def popular(segment: str, reason: str) -> Answer | None:
        listed = snapshot.listed("popular", segment)
        return _listed_answer(snapshot, "popular", listed, profile, query, reason) if listed else None

    if language:
        yield lambda: popular(f"language={language}", REASONS[OWN_LANGUAGE])
    yield lambda: popular(EVERYONE, REASONS[POPULAR])


def _listed_answer(
    snapshot: Snapshot, kind: Kind, listed: Sequence[ListedBook], profile: Profile, query: Query, reason: str
) -> Answer:
    """The books of a list that this reader may be shown, in order."""
    out, offset = {*profile.out, *query.exclude}, query.offset
    left = [each for each in listed if each.book_id not in out]
    found = snapshot.books([each.book_id for each in left])
    suits = _suitable_books(snapshot, profile, query)
    kept = [each for each, book in zip(left, found, strict=True) if book is not None and (suits is None or suits(book))]
    page = [
        RecommendedBook(rank, each.book_id, each.score, each.reason or reason, each.because, 1.0)
        for rank, each in enumerate(kept[offset : offset + query.k], offset + 1)
    ]
    label = snapshot.manifest["model_versions"].get(kind, "")
    source: Source = "popular" if kind == "popular" else "published"
    return Answer(items=page, source=source, model=label.rpartition("-v")[0], model_version=label)


class _BookFacts(msgspec.Struct):
    categories: list[str] | None = None
    language: str | None = None
    is_premium: bool | None = None


_decode_facts = msgspec.json.Decoder(_BookFacts).decode


def _suitable_books(snapshot: Snapshot, profile: Profile, query: Query) -> Callable[[bytes], bool] | None:
    """Return whether a book, as JSON, is what is asked for and may be opened by the reader; None if every book is."""
    opens_all = not (profile.free and snapshot.rules.rules.premium)
    if opens_all and not query.language and not query.categories:
        return None
    categories = set(query.categories)

    def suits(book: bytes) -> bool:
        facts = _decode_facts(book)
        if facts.is_premium and not opens_all:
            return False
        if query.language and primary_subtag(facts.language or "") != query.language:
            return False
        return not categories or bool({each.lower() for each in facts.categories or ()} & categories)

    return suits
