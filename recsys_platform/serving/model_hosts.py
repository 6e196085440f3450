"""Models on other machines: asked within a deadline, and left alone for a while when they do not answer.

Belongs here: which host is asked, deadlines, retries. Does not: what is answered instead (recommending.py), the host
(model_host/), endpoints of SageMaker (sagemaker/runtime.py).
"""

import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import httpx
import msgspec

from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.breaker import Breaker, CircuitOpenError
from recsys_platform.serving.errors import BackendError, NoSuchModelError, RequestRefusedError
from recsys_platform.serving.following import Served
from recsys_platform.serving.model_host.contract import HostAnswer, HostRequest
from recsys_platform.serving.recommending import Answer, Query, RecommendedBook
from recsys_platform.serving.snapshot import Profile
from recsys_platform.serving.tracing import Headers

_LOG = logging.getLogger(__name__)
DEADLINE_SECONDS = 0.06
"""Of a whole answer's budget of 80 ms; what is left is for the fallbacks."""
CONNECT_SECONDS = 0.02
MOST_BYTES = 6 * 1024 * 1024
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(HostAnswer).decode


class Host(Protocol):
    """A place where models answer."""

    def invoke(self, alias: str, content: bytes, seconds: float) -> bytes:
        """The answer to a request. Raises BackendError if there is none within so many seconds."""


class HttpHost:
    """A model host, over connections that are kept."""

    def __init__(self, url: str, headers: Headers = dict) -> None:
        """`url`: such as `http://host:8080`; `{variant}` in it stands for the alias of the model, as in `…/models/{variant}`.

        `headers`: gives further headers of each request.
        """
        self._url, self._headers = url.rstrip("/"), headers
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=30)
        own = {"accept-encoding": "identity", "content-type": "application/json"}
        self._client = httpx.Client(limits=limits, follow_redirects=False, headers=own)

    def invoke(self, alias: str, content: bytes, seconds: float) -> bytes:
        """The answer to a request."""
        until = time.monotonic() + seconds
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        request: dict[str, Any] = {"content": content, "timeout": timeout, "headers": self._headers()}
        try:
            with self._client.stream("POST", self._address(alias), **request) as response:
                return _content_of(response, until)
        except httpx.HTTPError as error:
            raise BackendError(type(error).__name__) from error

    def _address(self, alias: str) -> str:
        if "{variant}" in self._url:
            return f"{self._url.replace('{variant}', alias)}/invocations"
        # Another model than production's is asked for by name: production's list must not pass as a variant's.
        return f"{self._url}/invocations" if alias == PRODUCTION else f"{self._url}/models/{alias}/invocations"


def _content_of(response: httpx.Response, until: float) -> bytes:
    if response.status_code == 404:
        raise NoSuchModelError("status 404")
    if 400 <= response.status_code < 500:
        raise RequestRefusedError(f"status {response.status_code}")
    if response.status_code != 200:
        raise BackendError(f"status {response.status_code}")
    found = b""
    for part in response.iter_raw():
        found += part
        if len(found) > MOST_BYTES or time.monotonic() > until:
            raise BackendError("an answer that is too long or too slow")
    return found


def _invoke(
    host: Host, alias: str, content: bytes, seconds: float
) -> HostAnswer | RequestRefusedError | NoSuchModelError:
    """The answer; what a host refuses or lacks is no failure of the host, so it must not open the circuit for other requests."""
    try:
        return _decoded(host.invoke(alias, content, seconds))
    except (RequestRefusedError, NoSuchModelError) as error:
        return error


class ModelHosts:
    """Asks one of several equal model hosts, in turn; safe for threads.

    An invocation changes nothing and carries its seed, so it may be repeated: one that fails before the deadline goes to the next
    host, and at last to the first again, whose connection may just have been an old one.
    """

    def __init__(self, hosts: Mapping[str, Host], deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """`hosts`: by the names that the log gives them."""
        self._hosts = list(hosts.items())
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._turn = itertools.count()
        self._deadline = deadline_seconds
        self._versions: dict[str, str] = {}

    @property
    def version(self) -> str:
        """The model versions that answered last, by alias."""
        return "".join(f"|{alias}={label}" for alias, label in sorted(self._versions.items()))

    def recommend(self, served: Served, alias: str, profile: Profile, query: Query, seed: int) -> Answer | None:
        """The list of the model for a profile; None if no host has it, or not yet."""
        request = HostRequest(
            **_reader_fields(profile),
            language=query.language or profile.language,
            exclude=query.exclude,
            categories=query.categories,
            only_language=query.language,
            k=query.offset + query.k,
            seed=seed,
        )
        try:
            return self._answer(served, alias, request, query.offset)
        except NoSuchModelError:
            if alias == PRODUCTION:
                raise
            return None

    def rank(self, served: Served, alias: str, profile: Profile, books: Sequence[str]) -> Answer | None:
        """Given books in order."""
        request = HostRequest(**_reader_fields(profile), language=profile.language, books=tuple(books))
        found = self._answer(served, alias, request, 0)
        return found if found.items else None

    def _answer(self, served: Served, alias: str, request: HostRequest, offset: int) -> Answer:
        found = self._ask(alias, _encode(request))
        self._versions[alias] = found.version
        snapshot = served.snapshot
        # A host may already know a book of which this gateway has no attributes yet.
        known = [each for each in found.items if snapshot is None or snapshot.book(each.book_id) is not None]
        items = [
            RecommendedBook(
                rank=rank,
                book_id=each.book_id,
                score=each.score,
                reason=each.reason,
                because_book_id=each.because,
                propensity=each.propensity,
            )
            for rank, each in enumerate(known, 1)
        ]
        return Answer(items=items[offset:], source="live", model=found.model, model_version=found.version)

    def _ask(self, alias: str, content: bytes) -> HostAnswer:
        """The answer of the first host that gives one before the deadline."""
        until, lacks = time.monotonic() + self._deadline, False
        for name, host in self._hosts_in_turn():
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                with self._breaker_of(name, alias).attempt():
                    found = _invoke(host, alias, content, left)
            except CircuitOpenError:
                continue
            except BackendError as error:
                _LOG.warning("The model host %s failed: %s", name, error)
                continue
            if isinstance(found, HostAnswer):
                return found
            _LOG.warning("The model host %s refused a request: %s", name, found)
            if isinstance(found, RequestRefusedError):
                raise found
            lacks = True
        raise NoSuchModelError("No model host has it.") if lacks else BackendError("No model host answered in time.")

    def _breaker_of(self, host: str, alias: str) -> Breaker:
        """The breaker of a model on a host: one that fails, such as a canary, must not keep anybody from the others."""
        if (host, alias) not in self._breakers:
            self._breakers.setdefault((host, alias), Breaker(f"{host} {alias}"))
        return self._breakers[host, alias]

    def _hosts_in_turn(self) -> Iterator[tuple[str, Host]]:
        first = next(self._turn) % len(self._hosts)
        yield from (*self._hosts[first:], *self._hosts[: first + 1])


def _decoded(content: bytes) -> HostAnswer:
    try:
        return _decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackendError("an answer of another form") from error


def _reader_fields(profile: Profile) -> dict[str, Any]:
    return {
        "history": profile.history,
        "finished": profile.finished,
        "interests": profile.interests,
        "tier": "free" if profile.free else "premium",
        "out": profile.out,
    }
