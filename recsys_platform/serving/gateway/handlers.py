"""The handlers: from a validated call to an answer.

Belongs here: which list is asked for, and the exposure of each. Does not: events (events.py), access and limits (endpoints.py).
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType
from starlette.concurrency import run_in_threadpool

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.common.languages import primary_subtag
from recsys_platform.common.random_ids import random_uuid
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.gateway.endpoints import Call
from recsys_platform.serving.gateway.prepared_lists import Prepared, ShownList
from recsys_platform.serving.gateway.problems import ProblemError
from recsys_platform.serving.gateway.replies import Reply
from recsys_platform.serving.gateway.schemas import (
    BooksQuery,
    Explanation,
    GuestRequest,
    Health,
    Item,
    ListQuery,
    Ranked,
    RankRequest,
    Recommended,
)
from recsys_platform.serving.gateway.state import Gateway, Shown
from recsys_platform.serving.recent_events import GUEST, BookEvent, with_events
from recsys_platform.serving.recommending import (
    ANYBODY,
    Answer,
    Query,
    RecommendedBook,
    pack_answer,
    unpack_answer,
)
from recsys_platform.serving.routing import NO_EXPERIMENT, Route
from recsys_platform.serving.snapshot import Profile

VIEWED, LONGEST_ID = "Recommendations Viewed", 500
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PRODUCTION = Route()
_KEY_BYTES = 500
_CACHE_CONTROL = b"cache-control", b"private, no-cache"
_PLACE = b"00000000-0000-0000-0000-request-id-0"
"""Stands in a body where the request id goes; no id of ours has letters beyond f."""
_EXPOSURE = (
    b'{"type":"track","event":"%b","messageId":"%%b","userId":%%b,"anonymousId":%%b,"timestamp":"%%b",'
    b'"properties":{"request_id":%%b,%%b}\n'
) % VIEWED.encode()
"""A line of the spool; the properties end with what `_shown` gives."""


class Exposure(msgspec.Struct, frozen=True):
    """One list that a visitor was shown: the request that a click will name, where, by which route, to whom."""

    request_id: str
    surface: str
    route: Route = _PRODUCTION
    user_id: str | None = None
    anonymous_id: str = ""
    started: float = 0.0
    """When the request began, by `time.perf_counter`."""


class ListKey(NamedTuple):
    """What a reader's list depends on. `user_id`: as the marts have it."""

    user_id: str
    epoch: int
    version: str
    route: Route
    query: ListQuery

    @property
    def size(self) -> int:
        """About how many bytes it takes: books to leave out may be many."""
        query = self.query
        return _KEY_BYTES + len(self.user_id) + len(query.exclude) + len(query.categories) + len(query.surface)


def recommendations(gateway: Gateway, call: Call) -> Reply | Awaitable[Reply]:
    """Recommendations for a reader; 304 if the list is the one of `If-None-Match`."""
    user_id = call.path["user_id"]
    call.caller.check_reader(user_id)
    key = _list_key(gateway, gateway.recommendations.reader_of(user_id), call.query)
    prepared = gateway.lists.get(key)
    if prepared is not None:
        gateway.metrics.count_cached("hit")
    elif gateway.is_remote or gateway.shared_lists:
        return _reply_later(gateway, call, key)
    else:
        prepared = _made_list(gateway, key)
    return _list_reply(gateway, call, key, prepared)


def _list_key(gateway: Gateway, user_id: str, query: ListQuery) -> ListKey:
    """Everything that a list depends on; an event or a new version gives another key, so nothing has to be deleted."""
    route = _route_of_reader(gateway, user_id, query.surface)
    return ListKey(user_id, gateway.recommendations.epoch(user_id), gateway.recommendations.version, route, query)


def _made_list(gateway: Gateway, key: ListKey) -> Prepared:
    """A list that is made now, and kept unless it stands in for another."""
    gateway.metrics.count_cached("miss")
    asked, route = _query_of(key.query), key.route
    answer = gateway.recommendations.for_user(key.user_id, asked, alias=route.model, salt=key.query.surface)
    prepared = _prepared(gateway, answer, key.query.surface, route, _etag(key))
    if not answer.stands_in and key == _list_key(gateway, key.user_id, key.query):  # nothing changed meanwhile
        gateway.lists.keep(key, prepared, prepared.size + key.size)
    return prepared


async def _reply_later(gateway: Gateway, call: Call, key: ListKey) -> Reply:
    """The reply, where a list may come from another gateway, or from a model host that takes its time.

    Of many requests for one list one asks, and the others wait for it.
    """
    task = gateway.computing.get(key)
    if task is None:
        task = gateway.computing[key] = asyncio.ensure_future(_shared_list(gateway, key))
        task.add_done_callback(lambda _: gateway.computing.pop(key, None))
    else:
        gateway.metrics.count_cached("hit")
    return _list_reply(gateway, call, key, await asyncio.shield(task))


async def _shared_list(gateway: Gateway, key: ListKey) -> Prepared:
    """The list of another gateway, or one that is made now and given to others."""
    lists = gateway.shared_lists
    if lists and (found := await lists.get(_etag(key))):
        gateway.metrics.count_cached("hit")
        gateway.lists.keep(key, found, found.size + key.size)
        return found
    prepared = await run_in_threadpool(_made_list, gateway, key) if gateway.is_remote else _made_list(gateway, key)
    if lists and gateway.lists.get(key) is prepared:
        lists.keep(prepared)
    return prepared


def _list_reply(gateway: Gateway, call: Call, key: ListKey, prepared: Prepared) -> Reply:
    """The reply of a list, which is an exposure with a request id of its own, wherever the list comes from."""
    exposure = Exposure(call.request_id, key.query.surface, key.route, call.path["user_id"], started=call.started)
    _log_shown(gateway, exposure, prepared)
    gateway.metrics.count_answer(prepared.source, "model")
    etag = prepared.etag.encode()
    headers = (b"etag", etag), _CACHE_CONTROL
    if _is_known(etag, call.headers.get(b"if-none-match", b"")):
        return Reply(status=304, headers=headers)
    return Reply(prepared.body.replace(_PLACE, call.request_id.encode()), headers=headers)


def _is_known(etag: bytes, known: bytes) -> bool:
    """Whether the header `If-None-Match` names an answer; proxies that compress mark its name as weak."""
    return etag in known and etag in (each.strip().removeprefix(b"W/") for each in known.split(b","))


def _etag(key: ListKey) -> str:
    return f'"{hashlib.blake2b(msgspec.json.encode(key), digest_size=16).hexdigest()}"'


def _prepared(gateway: Gateway, answer: Answer, surface: str, route: Route, etag: str) -> Prepared:
    body = msgspec.json.encode(_recommended(gateway, _PLACE.decode(), answer, route))
    shown = _shown_list(answer, surface, route)
    return Prepared(shown.source, shown.properties, shown.answer, shown.stands_in, etag, body)


def guest_recommendations(gateway: Gateway, call: Call) -> Recommended:
    """Recommendations for a reader without an account, by the events of the request and those of the device."""
    body: GuestRequest = call.body
    call.caller.check_device(body.anonymous_id)
    asked = Query(
        k=body.k,
        offset=body.offset,
        language=language_of(body.language),
        categories=_lower(body.categories),
        exclude=body.exclude,
    )
    route = route_of_guest(gateway, call)
    profile = _guest_profile(gateway, body)
    answer = gateway.recommendations.for_guest(profile, asked, call.request_id, alias=route.model)
    exposure = Exposure(call.request_id, body.surface, route, anonymous_id=body.anonymous_id, started=call.started)
    log_exposure(gateway, exposure, answer)
    gateway.metrics.count_answer(answer.source, "model")
    return _recommended(gateway, call.request_id, answer, route)


def _guest_profile(gateway: Gateway, body: GuestRequest) -> Profile:
    known = gateway.recommendations.profile(guest_key(body.anonymous_id)) if body.anonymous_id else Profile()
    profile = msgspec.structs.replace(known, language=language_of(body.language), interests=body.interests)
    snapshot = gateway.follower.served.snapshot
    if snapshot is None:
        return profile
    name_of = snapshot.signals.name_of
    events = [
        BookEvent(str(at), name_of(e.event), e.book_id, f"{at:06d}", e.rating) for at, e in enumerate(body.events)
    ]
    return with_events(profile, events, snapshot.signals, hide_finished=snapshot.rules.rules.finished)


def route_of_list(gateway: Gateway, call: Call) -> Route:
    """The route of a reader's list."""
    reader = gateway.recommendations.reader_of(call.path["user_id"])
    return _route_of_reader(gateway, reader, call.query.surface)


def _route_of_reader(gateway: Gateway, reader: str, surface: str) -> Route:
    return gateway.route_of(reader, surface, lambda: gateway.recommendations.profile_or_empty(reader))


def route_of_guest(gateway: Gateway, call: Call) -> Route:
    """The route of a guest's list; production's without a device."""
    body: GuestRequest = call.body
    if not body.anonymous_id:
        return _PRODUCTION
    return gateway.route_of(guest_key(body.anonymous_id), body.surface, lambda: Profile(language_of(body.language)))


def reader_of_path(call: Call) -> str:
    """The reader whom a path names."""
    return call.path["user_id"]


def reader_of_rank(call: Call) -> str:
    """The reader for whom books are put in order."""
    body: RankRequest = call.body
    return body.user_id


def reader_of_query(call: Call) -> str | None:
    """The reader, or the key of the guest, for whom a list that needs no reader is made."""
    query: BooksQuery = call.query
    user_id = query.user_id or call.caller.user_id
    return user_id or (guest_key(query.anonymous_id) if query.anonymous_id else None)


def guest_of_body(call: Call) -> str | None:
    """The key of the guest whose device is given."""
    body: GuestRequest = call.body
    return guest_key(body.anonymous_id) if body.anonymous_id else None


def guest_key(anonymous_id: str) -> str:
    """The key of a device among readers; no user id has a NUL in it."""
    return f"{GUEST}{anonymous_id}"


def rank(gateway: Gateway, call: Call) -> Ranked:
    """Put given books in order for a reader."""
    body: RankRequest = call.body
    call.caller.check_reader(body.user_id)
    answer = gateway.recommendations.rank(gateway.recommendations.reader_of(body.user_id), body.book_ids)
    exposure = Exposure(call.request_id, body.surface, user_id=body.user_id, started=call.started)
    log_exposure(gateway, exposure, answer)
    gateway.metrics.count_answer(answer.source, "model", fallback=_is_fallback_order(gateway, answer))
    known = {each.book_id for each in answer.items}
    return Ranked(
        request_id=call.request_id,
        source=answer.source,
        model=answer.model,
        model_version=answer.model_version,
        items=answer_items(gateway, answer.items, call.request_id),
        unknown=[book for book in dict.fromkeys(body.book_ids) if book not in known],
    )


def _is_fallback_order(gateway: Gateway, answer: Answer) -> bool:
    """Whether an order of given books stands in for that of a model; not where the model knows none of the books."""
    served = gateway.follower.served
    if not answer.items:
        return served.snapshot is None
    has_model = gateway.is_remote or PRODUCTION in served.models
    return answer.stands_in or (answer.source != "live" and not has_model)


def similar(gateway: Gateway, call: Call) -> Recommended:
    """Books that are similar to a book; for a reader or guest, if one is named or the token is a reader's."""
    exposure, profile = _optional_reader(gateway, call)
    answer = gateway.recommendations.similar(call.path["book_id"], _query_of(call.query), profile)
    if answer is None:
        raise ProblemError("not-found", "There is no such book in the item catalog.")
    return _shown_to_reader(gateway, call, answer, exposure)


def popular(gateway: Gateway, call: Call) -> Recommended:
    """Popular books of a language, or of all; for a reader or guest, if one is named or the token is a reader's."""
    exposure, profile = _optional_reader(gateway, call)
    answer = gateway.recommendations.popular(_query_of(call.query), profile)
    return _shown_to_reader(gateway, call, answer, exposure)


def _optional_reader(gateway: Gateway, call: Call) -> tuple[Exposure | None, Profile]:
    """Who sees a list that needs no reader. Without one nothing is logged: no click could be joined to a visitor."""
    query: BooksQuery = call.query
    user_id = query.user_id or call.caller.user_id
    if user_id:
        call.caller.check_reader(user_id)
    call.caller.check_device(query.anonymous_id)
    if not (user_id or query.anonymous_id):
        return None, ANYBODY
    visitor: Any = {"user_id": user_id, "anonymous_id": query.anonymous_id}
    exposure = Exposure(call.request_id, query.surface, **visitor, started=call.started)
    reader = gateway.recommendations.reader_of(user_id or guest_key(query.anonymous_id))
    return exposure, gateway.recommendations.profile(reader)


def _shown_to_reader(gateway: Gateway, call: Call, answer: Answer, exposure: Exposure | None) -> Recommended:
    if exposure is not None:
        log_exposure(gateway, exposure, answer)
    return _counted(gateway, call, answer)


def explanation(gateway: Gateway, call: Call) -> Explanation:
    """The exposure of a request, from the newest ones of this process."""
    found = gateway.exposures.get(call.path["request_id"])
    if found is None:
        raise ProblemError(
            "not-found", "No such request among the newest of this gateway: look in marts.fct_exposures."
        )
    user_id, answer = found.user_id, unpack_answer(found.answer)
    if call.caller.user_id is not None and call.caller.user_id != user_id:
        raise ProblemError("not-found", "No such request among the newest of this gateway.")
    return Explanation(
        request_id=call.path["request_id"],
        user_id=None if user_id is None else gateway.pseudonyms.of(user_id),
        source=answer.source,
        model=answer.model,
        model_version=answer.model_version,
        items=list(answer.items),
    )


def healthz(gateway: Gateway, call: Call) -> Health:
    """The process is alive."""
    return Health(status="ok")


def readyz(gateway: Gateway, call: Call) -> Reply:
    """Whether lists can be answered, and from what."""
    served = gateway.follower.served
    models = {alias: model.artifact.label for alias, model in served.models.items()}
    version = served.snapshot.version if served.snapshot else None
    detail = gateway.follower.error or gateway.spool.trouble
    if not version:
        detail = gateway.follower.error or "There is no serving snapshot yet: `recsys run` writes it."
    state = Health(status="ready" if version else "not ready", snapshot=version, models=models, detail=detail)
    return Reply(msgspec.json.encode(state), 200 if version else 503)


def metrics(gateway: Gateway, call: Call) -> Reply:
    """Metrics for Prometheus."""
    return Reply(metrics_of(gateway), media_type=METRICS_TYPE.encode())


def metrics_of(gateway: Gateway) -> bytes:
    """The metrics as of now, as Prometheus reads them."""
    gateway.metrics.set_spool(gateway.spool)
    gateway.metrics.set_ages(gateway.follower.served.ages(naive_utc_now()))
    return gateway.metrics.text()


def _query_of(given: Any) -> Query:
    return Query(
        k=given.k,
        offset=given.offset,
        language=language_of(given.language),
        categories=_lower(_split(given.categories)),
        exclude=_split(given.exclude),
    )


@lru_cache(1_000)
def language_of(text: str) -> str:
    """The primary subtag of what is asked for; a text that names no language is one that no book has."""
    return (primary_subtag(text) or text.lower()) if text else ""


def _split(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    parts = (part.strip() for part in text.split(","))
    return tuple(part for part in parts if 0 < len(part) <= LONGEST_ID)  # no book has a longer id


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in names)


def _counted(gateway: Gateway, call: Call, answer: Answer) -> Recommended:
    gateway.metrics.count_answer(answer.source)
    return _recommended(gateway, call.request_id, answer, _PRODUCTION)


def _recommended(gateway: Gateway, request_id: str, answer: Answer, route: Route) -> Recommended:
    return Recommended(
        request_id=request_id,
        source=answer.source,
        model=answer.model,
        model_version=answer.model_version,
        experiment=route.experiment,
        variant=route.variant,
        items=answer_items(gateway, answer.items, request_id),
    )


def answer_items(gateway: Gateway, books: Sequence[RecommendedBook], request_id: str) -> list[Item]:
    """The books of an answer with their attributes."""
    snapshot = gateway.follower.served.snapshot
    found = snapshot.books([each.book_id for each in books]) if snapshot else [None] * len(books)
    return [
        Item(each.rank, each.book_id, each.score, each.reason, each.because_book_id, request_id, Raw(book or b"{}"))
        for each, book in zip(books, found, strict=True)
    ]


def _shown_list(answer: Answer, surface: str, route: Route) -> ShownList:
    properties = _shown_properties(answer, surface, route)
    return ShownList(answer.source, properties, pack_answer(answer), answer.stands_in)


def _shown_properties(answer: Answer, surface: str, route: Route) -> bytes:
    """The properties of an exposure after the request id: all that requests for the same list have in common."""
    properties = {
        "surface": surface,
        "source": answer.source,
        "model": answer.model or answer.source,
        "model_version": answer.model_version or answer.source,
        "experiment": route.experiment or NO_EXPERIMENT,
        "variant": route.variant,
        "items": _shown_books(answer),
    }
    return msgspec.json.encode(properties)[1:]


class _ShownBook(msgspec.Struct, frozen=True, gc=False):
    """An item of an exposure. One that chance had a part in names the draw."""

    book_id: str
    position: int
    propensity: float
    draw_id: str | UnsetType = UNSET


def _shown_books(answer: Answer) -> list[_ShownBook]:
    draw_id = answer.draw_id
    return [
        _ShownBook(each.book_id, each.rank, each.propensity, UNSET if each.propensity == 1 else draw_id)
        for each in answer.items
    ]


def log_exposure(gateway: Gateway, exposure: Exposure, answer: Answer) -> None:
    """Write what was shown to the spool, before the answer goes out."""
    _log_shown(gateway, exposure, _shown_list(answer, exposure.surface, exposure.route))


def _log_shown(gateway: Gateway, exposure: Exposure, shown: ShownList) -> None:
    """Write an exposure, of which what it has in common with others is encoded already."""
    request_id, user_id, encode, at = exposure.request_id, exposure.user_id, msgspec.json.encode, gateway.now()
    line = _EXPOSURE % (
        random_uuid().encode(),  # not the request id, which an app may use as the message id of a click
        encode(user_id),
        encode(exposure.anonymous_id or (None if user_id else f"guest-{request_id}")),
        at.isoformat(timespec="milliseconds").encode(),
        encode(request_id),
        shown.properties,
    )
    gateway.spool.append_lines(line)
    if gateway.counts is not None:
        took = time.perf_counter() - exposure.started
        gateway.counts.add(exposure.route, shown.source, at, took, is_error=shown.stands_in)
    kept = Shown(user_id, shown.answer, shown.source, exposure.route)
    gateway.exposures.keep(request_id, kept, _KEY_BYTES + len(shown.answer))
