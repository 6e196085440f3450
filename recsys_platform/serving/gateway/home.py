"""The home page: shelves from several sources and models, and no book on two of them.

Belongs here: what is on which shelf. Does not: which shelves there are (serving/shelves.py).
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec

from recsys_platform.experiments.assignment import HOLDOUT
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.gateway.endpoints import Call
from recsys_platform.serving.gateway.handlers import Exposure, answer_items, guest_key, language_of, log_exposure
from recsys_platform.serving.gateway.schemas import Home, HomeQuery, Shelf
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.recommending import Answer, Query, RecommendedBook
from recsys_platform.serving.routing import Route
from recsys_platform.serving.shelves import BOOK, ShelfRule
from recsys_platform.serving.snapshot import Profile

_LOG = logging.getLogger(__name__)
SECONDS = 0.08
"""The budget of a page: shelves whose models were not heard of by then have lists that no model made."""
_MOST_ASKED = 1000


def home(gateway: Gateway, call: Call) -> Home:
    """Shelves of one home page by the file of shelves; no book is on two of them."""
    user_id = call.path["user_id"]
    call.caller.check_reader(user_id)
    return home_of_reader(gateway, user_id, call.query, call.request_id)


def home_of_reader(gateway: Gateway, reader: str, asked: HomeQuery, request_id: str, *, surface: str = "home") -> Home:
    """The shelves of a reader or guest. `reader`: a user id, or the `guest_key` of a device. Each shelf is an exposure."""
    started = time.perf_counter()
    is_guest = reader.startswith(guest_key(""))
    user_id, anonymous_id = (None, reader[1:]) if is_guest else (reader, "")
    page = _Page(gateway, gateway.recommendations.reader_of(reader), asked)
    shelves = []
    for rule, route, answer in page.shelves():
        # A shelf is an answer of its own: a click must find the list that it was made in.
        own_id = f"{request_id}.{rule.name}"
        gateway.metrics.count_answer(answer.source, "model" if rule.source == "model" else "list")
        exposure = Exposure(own_id, f"{surface}.{rule.name}", route, user_id, anonymous_id, started)
        log_exposure(gateway, exposure, answer)
        shelves.append(_shelf(gateway, rule.name, page.title_of(rule), own_id, answer, route))
    return Home(request_id=request_id, shelves=shelves)


def _shelf(gateway: Gateway, name: str, title: str, request_id: str, answer: Answer, route: Route) -> Shelf:
    return Shelf(
        name=name,
        title=title,
        source=answer.source,
        model_version=answer.model_version,
        experiment=route.experiment,
        variant=route.variant,
        items=answer_items(gateway, answer.items, request_id),
    )


@dataclass
class _Page:
    """One page while it is made. `shown`: the books of the shelves above."""

    gateway: Gateway
    reader: str
    asked: HomeQuery
    shown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + SECONDS
        self.profile: Profile = self.gateway.recommendations.profile_or_empty(self.reader)
        self.language = language_of(self.asked.language)

    def shelves(self) -> Iterator[tuple[ShelfRule, Route, Answer]]:
        """The shelves that have enough books, from top to bottom."""
        rules = [each for each in self.gateway.follower.routing.shelves if self._is_for_reader(each)]
        routes = {each.name: self._route_of(each) for each in rules}
        ahead = self._asked_ahead(rules, routes)
        for rule in rules:
            answer = self._answer(rule, routes[rule.name], ahead)
            if answer is not None and len(answer.items) >= rule.least:
                self.shown += [each.book_id for each in answer.items]
                yield rule, routes[rule.name], answer

    def title_of(self, rule: ShelfRule) -> str:
        """The title in the language that is asked for, or the reader's."""
        title = rule.title_in(self.language or self.profile.language)
        return title.replace(BOOK, _title_of(self.gateway, self.profile.finished[-1])) if BOOK in title else title

    def _is_for_reader(self, rule: ShelfRule) -> bool:
        has_history = bool(self.profile.history or self.profile.finished)
        if rule.language == "own" and not self.profile.language:
            return False
        if rule.source == "because_finished" and not self.profile.finished:
            return False
        return rule.when == "always" or has_history == (rule.when == "with_history")

    def _route_of(self, rule: ShelfRule) -> Route:
        """The route of a shelf: wherever it is shown, it is that of the home page, experiments included."""
        if rule.source != "model":
            return _PRODUCTION
        found = self.gateway.route_of(self.reader, f"home.{rule.name}", lambda: self.profile, self.language)
        if rule.model == PRODUCTION or found.model != PRODUCTION:
            return found
        if found.experiment is None:
            return Route(rule.model, None, rule.model)
        return Route(rule.model, HOLDOUT, HOLDOUT) if found.experiment == HOLDOUT else found

    def _size_of(self, rule: ShelfRule) -> int:
        return min(rule.size or self.asked.k, self.asked.k)

    def _query_of(self, rule: ShelfRule, k: int, exclude: Sequence[str] = ()) -> Query:
        own = self.profile.language if rule.language == "own" else ""
        categories = tuple(each.strip().lower() for each in rule.categories)
        return Query(k=k, language=self.language or own, categories=categories, exclude=tuple(exclude))

    def _answer(self, rule: ShelfRule, route: Route, ahead: Mapping[str, "Future[Answer]"]) -> Answer | None:
        """The books of a shelf; None if there are none, or if they cannot be found: a shelf that fails stops no other."""
        try:
            if rule.name in ahead:
                return self._without_shown(rule, self._waited_for(rule, ahead[rule.name]))
            return self._found_now(rule, route)
        except Exception:  # noqa: BLE001  # whatever breaks, the other shelves are shown
            _LOG.exception("The shelf %s failed", rule.name)
            self.gateway.metrics.failures.labels("shelf").inc()
            self.gateway.count_failure(route)
            return None

    def _found_now(self, rule: ShelfRule, route: Route) -> Answer | None:
        recommendations, query = self.gateway.recommendations, self._query_of(rule, self._size_of(rule), self.shown)
        if rule.source == "model":
            return recommendations.for_user(self.reader, query, alias=route.model, salt=rule.name)
        if rule.source == "because_finished":
            return recommendations.similar(self.profile.finished[-1], query, self.profile)
        found = recommendations.newest if rule.source == "new" else recommendations.popular
        return found(query, self.profile)

    def _asked_ahead(self, rules: Sequence[ShelfRule], routes: Mapping[str, Route]) -> "Mapping[str, Future[Answer]]":
        """Lists of several models that are elsewhere, asked at the same time; longer ones, since shelves above take books out."""
        of_models = [rule for rule in rules if rule.source == "model"]
        if not self.gateway.is_remote or len(of_models) < 2:
            return {}
        ahead, above = {}, 0
        for rule in rules:
            size = self._size_of(rule)
            if rule.source == "model":
                query = self._query_of(rule, min(size + above, _MOST_ASKED))
                given = {"alias": routes[rule.name].model, "salt": rule.name}
                ask = self.gateway.recommendations.for_user
                ahead[rule.name] = self.gateway.pool.submit(ask, self.reader, query, **given)
            above += size
        return ahead

    def _waited_for(self, rule: ShelfRule, asked: "Future[Answer]") -> Answer:
        """The answer to a question of before, or a list of the fallbacks if that takes too long."""
        try:
            return asked.result(timeout=max(0.0, self.until - time.monotonic()))
        except TimeoutError:
            asked.cancel()
            self.gateway.metrics.failures.labels("shelf").inc()
            return self.gateway.recommendations.without_model(self.reader, self._query_of(rule, _MOST_ASKED))

    def _without_shown(self, rule: ShelfRule, answer: Answer) -> Answer:
        kept = [each for each in answer.items if each.book_id not in self.shown][: self._size_of(rule)]
        ranked: list[RecommendedBook] = [msgspec.structs.replace(each, rank=rank) for rank, each in enumerate(kept, 1)]
        return msgspec.structs.replace(answer, items=ranked)


_PRODUCTION = Route()


def _title_of(gateway: Gateway, book_id: str) -> str:
    snapshot = gateway.follower.served.snapshot
    found = snapshot.book(book_id) if snapshot else None
    return str(msgspec.json.decode(found).get("title") or book_id) if found else book_id
