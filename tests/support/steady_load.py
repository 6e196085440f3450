"""A steady load of valid requests from a process of its own, which judges every answer.

    with steady_load(Plan(urls=[…], key=…, readers=[…], books=[…], labels=[…])) as load:
        …break something…
    assert load.report.wrong == []

The process ends when its input does, so it does not outlive whoever started it. A request that nobody answered (refused connection,
connection that broke) is counted apart: it is a failure unless the fault was that the gateway itself is gone.
"""

import http.client
import itertools
import random
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

ROOT = Path(__file__).parents[2]
MOST_WRONG = 20
SOURCES = ("live", "published", "popular")


class Plan(msgspec.Struct, kw_only=True):
    """What is asked of whom, and what may be answered.

    `urls`: of gateways, asked in turn, or each visitor always the same one if `sticky`. `labels`: model versions that may answer.
    `sources`: sources that may answer. `variants`: of experiments, besides production. `pause`: seconds between two requests of a
    visitor. `remembers`: whether an event must show in every later list of its reader. `agrees`: whether lists, entity tags
    and variants are those of one gateway, whichever answers. `explains`: whether the gateway that answered can be asked again.
    `requests`: how many there are in all; as many as time allows by default.
    """

    urls: list[str]
    key: str
    readers: list[str]
    books: list[str]
    labels: list[str]
    sources: list[str] = msgspec.field(default_factory=lambda: list(SOURCES))
    variants: list[str] = []
    visitors: int = 3
    pause: float = 0.01
    sticky: bool = False
    remembers: bool = True
    agrees: bool = False
    explains: bool = True
    requests: int = 0
    timeout: float = 20.0


class Report(msgspec.Struct, kw_only=True):
    """What was answered. `wrong`: the first answers that are not right; `exposed`: the request ids of all lists that were shown."""

    answered: int = 0
    unanswered: int = 0
    n_wrong: int = 0
    wrong: list[str] = []
    kinds: dict[str, int] = {}
    exposed: list[str] = []
    posted: list[str] = []
    seconds: list[float] = []

    def source(self, name: str) -> int:
        """How many lists came from a source."""
        return sum(count for kind, count in self.kinds.items() if kind.endswith(f" {name}"))

    def slowest(self, share: float = 0.0) -> float:
        """Seconds of the slowest answer, or of the one that only `share` of all were slower than."""
        ordered = sorted(self.seconds, reverse=True)
        return ordered[int(share * len(ordered))] if ordered else 0.0


class Load:
    """A load that runs; `report` is there once it ended."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        command = [sys.executable, "-m", "tests.support.steady_load"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT)
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(plan) + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has begun
        self.report = Report()

    def end(self) -> Report:
        """End the load; return what was answered."""
        output, _ = self._process.communicate(timeout=120 + self.plan.requests)
        assert self._process.returncode == 0
        self.report = msgspec.json.decode(output, type=Report)
        return self.report


@contextmanager
def steady_load(plan: Plan) -> Iterator[Load]:
    """Requests go on while the block runs; the report is complete after it."""
    load = Load(plan)
    try:
        yield load
    finally:
        load.end()


class WrongError(Exception):
    """An answer that is not right."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise WrongError(what)


class Visitor:
    """One client after another request; `readers` are of this visitor alone, so that nobody else changes their lists."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number, self.report = plan, number, Report()
        self.readers = plan.readers[number :: plan.visitors]
        self.chance = random.Random(number)
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._urls = itertools.cycle(plan.urls[number % len(plan.urls) :] + plan.urls[: number % len(plan.urls)])
        self._url = next(self._urls)
        self.counts: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """Forget what a gateway that is gone may have forgotten too."""
        self.finished: dict[str, set[str]] = {reader: set() for reader in self.readers}
        self.variants: dict[str, str] = {}
        self.etags: OrderedDict[str, str] = OrderedDict()
        self.last: tuple[str, str] | None = None

    def run(self, ended: threading.Event) -> None:
        most = self.plan.requests // self.plan.visitors or sys.maxsize
        kinds = (kind for kind in itertools.cycle(KINDS) if self.plan.explains or kind is not explanation)
        for kind in itertools.islice(kinds, most):
            if ended.is_set():
                break
            started = time.perf_counter()
            try:
                source = kind(self)
                self.counts[f"{kind.__name__} {source}"] += 1
                self.report.answered += 1
                self.report.seconds.append(round(time.perf_counter() - started, 5))
            except WrongError as error:
                self.report.n_wrong += 1
                self.report.wrong = [*self.report.wrong, f"{kind.__name__}: {error}"][:MOST_WRONG]
            except (OSError, http.client.HTTPException):
                self.report.unanswered += 1
                self._connections.clear()
                self.forget()
                time.sleep(0.05)
            if self.plan.pause:
                time.sleep(self.plan.pause)
        self.report.kinds = dict(self.counts)

    def ask(
        self, method: str, path: str, body: Any = None, *, url: str | None = None, **headers: str
    ) -> tuple[int, Any, str]:
        """Status, content and entity tag of an answer. The gateway is the next one in turn, unless it is named."""
        if url is None and not self.plan.sticky:
            self._url = next(self._urls)
        url = url or self._url
        connection = self._connections.get(url)
        if connection is None:
            place = urlsplit(url)
            connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=self.plan.timeout)
            self._connections[url] = connection
        content = msgspec.json.encode(body) if body is not None else None
        sent = {"authorization": f"Bearer {self.plan.key}", "content-type": "application/json", **headers}
        connection.request(method, path, content, sent)
        answer = connection.getresponse()
        found = answer.read()
        expect(answer.status < 400, f"status {answer.status} of {method} {path}: {found[:200]!r}")
        self.answered_id = answer.headers.get("x-request-id", "")
        expect(bool(self.answered_id), "no request id")
        return answer.status, msgspec.json.decode(found) if found else None, answer.headers.get("etag", "")

    def reader(self) -> str:
        return self.chance.choice(self.readers)

    def expect_list(
        self,
        answer: Any,
        most: int,
        *,
        without: set[str] = frozenset(),
        request_id: str = "",  # type: ignore[assignment]
    ) -> str:
        """The source of a list that is as it should be."""
        source, items = answer["source"], answer["items"]
        where = f"{source} list {answer.get('request_id', request_id)}"
        books = [each["book_id"] for each in items]
        expect(source in self.plan.sources, f"{where}: not one of the sources {self.plan.sources}")
        expect(len(books) <= most, f"{where}: {len(books)} books, not {most}")
        expect(bool(books) or "none" in self.plan.sources, f"{where}: no books")
        expect(len(set(books)) == len(books), f"{where}: a book twice in {books}")
        expect(not without & set(books), f"{where}: {without & set(books)} should not be there")
        expect([each["rank"] for each in items] == list(range(1, len(items) + 1)), f"{where}: ranks")
        expect({each["request_id"] for each in items} <= {request_id or answer["request_id"]}, f"{where}: request ids")
        expect(all(each["book"]["book_id"] == each["book_id"] for each in items), f"{where}: another book's attributes")
        self._expect_provenance(answer, where)
        return str(source)

    def _expect_provenance(self, answer: Any, where: str) -> None:
        label = answer["model_version"]
        if answer["source"] != "none":
            expect(label in self.plan.labels, f"{where}: the model version {label!r} is unknown")
            expect(
                answer.get("model") in (None, label.rpartition("-v")[0], label),
                f"{where}: {answer.get('model')} {label}",
            )
        variant = answer.get("variant", "production")
        known = ["production", *(self.plan.variants if answer.get("experiment") else [])]
        expect(variant in known, f"{where}: the variant {variant} is unknown")

    def expect_variant(self, reader: str, answer: Any) -> None:
        """A reader is in one variant, whichever gateway answers."""
        if self.plan.agrees:
            first = self.variants.setdefault(reader, answer["variant"])
            expect(answer["variant"] == first, f"{reader} is in {answer['variant']}, and was in {first}")

    def out_of(self, reader: str) -> set[str]:
        return self.finished[reader] if self.plan.remembers else set()


def recommendations(visitor: Visitor) -> str:
    reader, excluded, k = visitor.reader(), visitor.chance.sample(visitor.plan.books, 2), visitor.chance.randint(1, 8)
    path = f"/v1/users/{reader}/recommendations?k={k}&exclude={','.join(excluded)}"
    _, answer, _ = visitor.ask("GET", path)
    visitor.report.exposed.append(answer["request_id"])
    visitor.last = visitor._url, answer["request_id"]
    visitor.expect_variant(reader, answer)
    return visitor.expect_list(answer, k, without={*excluded, *visitor.out_of(reader)})


def cached(visitor: Visitor) -> str:
    """The same list again and again, by its entity tag."""
    reader = visitor.reader()
    path = f"/v1/users/{reader}/recommendations"
    known = visitor.etags.get(reader, "")
    status, answer, etag = visitor.ask("GET", path, **{"if-none-match": known} if known else {})
    visitor.report.exposed.append(visitor.answered_id)
    if status == 304:
        expect(etag == known, f"304 with another entity tag than {known}")
        return "304"
    expect(not (visitor.plan.agrees and known), f"another list of {reader}, who did nothing")
    visitor.expect_variant(reader, answer)
    visitor.etags[reader] = etag
    return visitor.expect_list(answer, 20, without=visitor.out_of(reader))


def guest(visitor: Visitor) -> str:
    books = visitor.chance.sample(visitor.plan.books, 3)
    events = [{"event": "Book Finished", "book_id": book} for book in books]
    _, answer, _ = visitor.ask("POST", "/v1/recommendations", {"k": 5, "events": events})
    visitor.report.exposed.append(answer["request_id"])
    return visitor.expect_list(answer, 5, without=set(books) if answer["source"] != "none" else set())


def home(visitor: Visitor) -> str:
    reader = visitor.reader()
    _, answer, _ = visitor.ask("GET", f"/v1/users/{reader}/home?k=4")
    shelves = answer["shelves"]
    expect(bool(shelves) or "none" in visitor.plan.sources, "a home page without shelves")
    for shelf in shelves:
        own_id = f"{answer['request_id']}.{shelf['name']}"
        visitor.report.exposed.append(own_id)
        visitor.expect_list(shelf, 4, without=visitor.out_of(reader), request_id=own_id)
    books = [each["book_id"] for shelf in shelves for each in shelf["items"]]
    expect(len(set(books)) == len(books), f"a book on two shelves: {books}")
    return str(shelves[0]["source"]) if shelves else "none"


def rank(visitor: Visitor) -> str:
    books = [*visitor.chance.sample(visitor.plan.books, 4), "no-such-book"]
    _, answer, _ = visitor.ask("POST", "/v1/rank", {"user_id": visitor.reader(), "book_ids": books})
    visitor.report.exposed.append(answer["request_id"])
    ranked = [each["book_id"] for each in answer["items"]]
    expect(
        sorted([*ranked, *answer["unknown"]]) == sorted(books), f"ranked {ranked} and {answer['unknown']} of {books}"
    )
    if answer["source"] != "none":
        expect(answer["unknown"] == ["no-such-book"], f"unknown books: {answer['unknown']}")
    expect(answer["source"] in visitor.plan.sources, f"ranked by {answer['source']}")
    return str(answer["source"])


def similar(visitor: Visitor) -> str:
    book = visitor.chance.choice(visitor.plan.books)
    _, answer, _ = visitor.ask("GET", f"/v1/books/{book}/similar?k=3")
    expect(book not in [each["book_id"] for each in answer["items"]], f"{book} is similar to itself")
    return f"similar {answer['source']}"


def popular(visitor: Visitor) -> str:
    _, answer, _ = visitor.ask("GET", "/v1/popular?k=5")
    return visitor.expect_list(answer, 5)


def finish(visitor: Visitor) -> str:
    """Finish a book: no later list of the reader may have it."""
    reader = visitor.reader()
    visitor.etags.pop(reader, None)
    left = [book for book in visitor.plan.books if book not in visitor.finished[reader]]
    book, message_id = visitor.chance.choice(left), str(uuid.uuid4())
    record = {
        **{"type": "track", "messageId": message_id, "userId": reader, "anonymousId": f"d-{reader}"},
        "event": "Book Finished" if len(visitor.finished[reader]) < 4 else "Book Viewed",  # some books must be left
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "properties": {"book_id": book},
    }
    status, answer, _ = visitor.ask("POST", "/v1/events", record)
    expect(status == 202 and answer["accepted"] == 1, f"an event was not accepted: {answer}")
    visitor.report.posted.append(message_id)
    if record["event"] == "Book Finished":
        visitor.finished[reader].add(book)
    return "accepted"


def explanation(visitor: Visitor) -> str:
    if visitor.last is None:
        return recommendations(visitor)
    url, request_id = visitor.last
    _, answer, _ = visitor.ask("GET", f"/v1/recommendations/{request_id}/explanation", url=url)
    expect(answer["request_id"] == request_id, "the explanation of another request")
    return "explained"


KINDS: Sequence[Callable[[Visitor], str]] = (
    *(recommendations, cached, guest, recommendations, home, cached),
    *(rank, similar, recommendations, popular, finish, cached, explanation),
)


def merged(reports: Sequence[Report]) -> Report:
    """The reports of all visitors as one."""
    kinds: Counter[str] = Counter()
    for each in reports:
        kinds.update(each.kinds)
    return Report(
        answered=sum(each.answered for each in reports),
        unanswered=sum(each.unanswered for each in reports),
        n_wrong=sum(each.n_wrong for each in reports),
        wrong=[what for each in reports for what in each.wrong][:MOST_WRONG],
        kinds=dict(kinds),
        **{name: [one for each in reports for one in getattr(each, name)] for name in ("exposed", "posted", "seconds")},
    )


def main() -> None:
    plan, ended = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan), threading.Event()
    visitors = [Visitor(plan, number) for number in range(plan.visitors)]
    threads = [threading.Thread(target=each.run, args=(ended,), daemon=True) for each in visitors]
    for thread in threads:
        thread.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()  # until it is closed
    if not plan.requests:
        ended.set()
    for thread in threads:
        thread.join(timeout=60 + plan.requests)
    sys.stdout.buffer.write(msgspec.json.encode(merged([each.report for each in visitors])))


if __name__ == "__main__":
    main()
