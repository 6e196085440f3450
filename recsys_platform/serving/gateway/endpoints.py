"""An endpoint: one declaration for routing, access, validation and the OpenAPI document.

Belongs here: what happens to every request before and after its handler. Does not: the handlers (handlers.py), the list of endpoints
(api.py).
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from inspect import isawaitable
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from recsys_platform.common.random_ids import random_uuid
from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Role
from recsys_platform.serving.gateway.problems import ProblemError, problem_reply
from recsys_platform.serving.gateway.replies import Header, Reply, send_reply
from recsys_platform.serving.gateway.schemas import NoQuery
from recsys_platform.serving.gateway.state import Gateway
from recsys_platform.serving.routing import Route

MOST_BYTES, MOST_QUERY_BYTES = 1_000_000, 16_384
PATH_ID = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=500, pattern=r"^[^\x00/]+$", description="An id as the events and marts have it."
    ),
]
"""No id has a NUL in it: keys of guests begin with one."""
CALLER = "recsys.caller"
"""Where the scope of a request has its Caller, for the access log."""


class Call(msgspec.Struct, frozen=True):
    """A request that passed access, limits and validation."""

    request_id: str
    caller: Caller
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[bytes, bytes]
    started: float = 0.0
    """When the handler was called, by `time.perf_counter`."""


Handler = Callable[[Gateway, Call], Any]
"""Returns a struct, which becomes JSON, or a Reply; or something to wait for that gives one of them."""


@dataclass(frozen=True)
class Endpoint:
    """One method and path. `roles`: who may call it, None for everybody; there is no default, so that none is open by forgetting.

    `cost`: tokens of the caller's bucket. `body_forms`, `other_statuses`: for the document, where a body has several forms, and a good
    answer may have another status. `asks_model`: the handler may wait for a model host.
    `reader_of`: whose events the answer depends on; those that other gateways heard of are loaded before. `route_of`: the route of a
    request, to count one that fails.
    """

    method: str
    path: str
    handler: Handler
    roles: frozenset[Role] | None
    summary: str
    answer: type[Any]
    query: type[Any] = NoQuery
    body: Any = None
    body_forms: tuple[type[Any], ...] = ()
    status: int = 200
    other_statuses: tuple[int, ...] = ()
    cost: int = 1
    problems: tuple[str, ...] = field(default=())
    asks_model: bool = False
    reader_of: Callable[[Call], str | None] | None = None
    route_of: Callable[[Gateway, Call], Route] | None = None


class EndpointApp:
    """An endpoint as an ASGI application: Starlette's requests and responses would cost as much as the answer."""

    def __init__(self, endpoint: Endpoint, gateway: Gateway) -> None:
        """`endpoint`: what is served. `gateway`: what its handler may need."""
        self.endpoint, self.gateway = endpoint, gateway
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(endpoint.body).decode if endpoint.body is not None else None
        # A struct, because msgspec works out any other type at each call.
        self._path = msgspec.defstruct("Path", [(name, PATH_ID) for name in re.findall(r"{(\w+)}", endpoint.path)])
        self._convert_query = partial(msgspec.convert, type=endpoint.query, strict=False)
        self._query_of = lru_cache(1 << 10)(self._parse_query)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        started, roles = time.perf_counter(), self.endpoint.roles
        headers = dict(reversed(scope["headers"]))  # the first of a name that is there twice
        request_id = random_uuid()  # never the client's: clicks must find one list
        limits: Sequence[Header] = ()
        try:
            caller = scope[CALLER] = await self.gateway.access.caller_of(headers, roles)
            if roles is not None:  # every answer to a caller has the `RateLimit` fields, whatever its status
                buckets, cost = self.gateway.limits, self.endpoint.cost
                limits = await buckets.take_shared(caller, cost) if buckets.is_shared else buckets.take(caller, cost)
                caller.check_roles(roles)
            reply = await self._reply(scope, receive, caller, headers, request_id)
        except ProblemError as error:
            reply = problem_reply(error, request_id)
        except Exception:  # noqa: BLE001  # no request is answered with a broken connection
            self.gateway.log_failure(self.endpoint.path, request_id)
            detail = "Something broke in the gateway; the request id is in its log. Try again."
            reply = problem_reply(ProblemError("internal", detail), request_id)
        await send_reply(reply, (*limits, (b"x-request-id", request_id.encode())), send)
        self.gateway.metrics.observe(self.endpoint.path, reply.status, time.perf_counter() - started)

    async def _reply(
        self, scope: Scope, receive: Receive, caller: Caller, headers: Mapping[bytes, bytes], request_id: str
    ) -> Reply:
        endpoint, gateway = self.endpoint, self.gateway
        query = self._query_of(scope["query_string"])
        path = scope["path_params"]
        if path:
            _validated("path", msgspec.convert, path, self._path)
        body = await self._body(receive) if self._decode else None
        call = Call(request_id, caller, path, query, body, headers, time.perf_counter())
        if gateway.recent.is_shared and endpoint.reader_of:
            named = endpoint.reader_of(call)
            await gateway.recent.load(gateway.recommendations.ids_of(named) if named else ())
        try:
            return await self._handled(call)
        except ProblemError:
            raise
        except Exception:
            if endpoint.route_of:
                gateway.count_failure(endpoint.route_of(gateway, call))
            raise

    async def _handled(self, call: Call) -> Reply:
        endpoint, gateway = self.endpoint, self.gateway
        if endpoint.asks_model and gateway.is_remote:  # a model host may take its time: others are answered meanwhile
            found = await run_in_threadpool(endpoint.handler, gateway, call)
        else:
            found = endpoint.handler(gateway, call)
        if not isinstance(found, Reply) and isawaitable(found):
            found = await found
        if gateway.recent.is_shared and endpoint.reader_of:
            await gateway.recent.save()  # nothing, but for a reader's first answer of an experiment
        return found if isinstance(found, Reply) else Reply(self._encode(found), endpoint.status)

    def _parse_query(self, text: bytes) -> Any:
        if len(text) > MOST_QUERY_BYTES:  # what is parsed is remembered
            raise ProblemError("invalid-request", f"The query has more than {MOST_QUERY_BYTES:,} bytes.")
        pairs = _pairs_of(text.decode("latin-1"))
        return _validated("query", self._convert_query, pairs)

    async def _body(self, receive: Receive) -> Any:
        content = await _limited_body(receive)
        decode = self._decode
        assert decode is not None  # noqa: S101  # for mypy: asked before
        return _validated("body", _decoded_body, content, self.endpoint.body, decode)


def _pairs_of(text: str) -> dict[str, str]:
    """The parameters of a query string; the last of a name that is there twice."""
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True))
    parts = (part.partition("=") for part in text.split("&") if part)
    return {name: value for name, _, value in parts}


def _validated(what: str, convert: Callable[..., Any], *given: Any) -> Any:
    try:
        return convert(*given)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError("invalid-request", f"The {what} is not valid: {error}.") from error


def _decoded_body(content: bytes, kind: Any, decode: Callable[[bytes], Any]) -> Any:
    """The body as a struct. JSON has one kind of number: 3.0 is taken where an integer is asked for."""
    try:
        return decode(content)
    except msgspec.ValidationError:
        return msgspec.convert(_with_integers(msgspec.json.decode(content)), kind)


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_integers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_integers(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


async def _limited_body(receive: Receive) -> bytes:
    content, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ProblemError("invalid-request", "The connection ended before the body did.")
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if len(content) > MOST_BYTES:
            raise ProblemError("too-large", f"A body has at most {MOST_BYTES:,} bytes: send less at once.")
    return content
