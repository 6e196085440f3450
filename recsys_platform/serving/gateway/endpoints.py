"""An endpoint: one declaration for routing, access, validation and the OpenAPI document.

Belongs here: what happens to every request before and after its handler. Does not: the handlers (handlers.py), the list of endpoints
(api.py).
"""

import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.keys import Role
from recsys_platform.serving.gateway.problems import ProblemError, problem_response
from recsys_platform.serving.gateway.schemas import NoQuery
from recsys_platform.serving.gateway.state import Gateway

MOST_BYTES = 1_000_000
_JSON = "application/json"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Call:
    """A request that passed access, limits and validation."""

    request_id: str
    caller: Caller
    path: Mapping[str, str]
    query: Any
    body: Any
    headers: Mapping[str, str]


Handler = Callable[[Gateway, Call], Any]
"""Returns a struct, which becomes JSON, or a Response."""


@dataclass(frozen=True)
class Endpoint:
    """One method and path. `roles`: who may call it, None for everybody; there is no default, so that none is open by forgetting.

    `cost`: tokens of the caller's bucket. `body_forms`: for the document, where a body may have several forms.
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
    cost: int = 1
    problems: tuple[str, ...] = field(default=())


def route_of(endpoint: Endpoint, gateway: Gateway) -> Route:
    """Return the route that serves an endpoint."""
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(endpoint.body).decode if endpoint.body is not None else None

    async def serve(request: Request) -> Response:
        started, request_id = time.perf_counter(), _request_id(request)
        try:
            response = await _answer(endpoint, gateway, request, request_id, encode, decode)
        except ProblemError as error:
            response = problem_response(error, request_id)
        except Exception:  # noqa: BLE001  # no request is answered with a broken connection
            gateway.log_failure(endpoint.path, request_id)
            detail = "Something broke in the gateway; the request id is in its log. Try again."
            response = problem_response(ProblemError("internal", detail), request_id)
        response.headers["x-request-id"] = request_id
        gateway.metrics.observe(endpoint.path, response.status_code, time.perf_counter() - started)
        return response

    return Route(endpoint.path, serve, methods=[endpoint.method], name=endpoint.summary)


async def _answer(
    endpoint: Endpoint,
    gateway: Gateway,
    request: Request,
    request_id: str,
    encode: Callable[[Any], bytes],
    decode: Callable[[bytes], Any] | None,
) -> Response:
    caller = gateway.access.caller_of(request.headers, endpoint.roles)
    limits = gateway.limits.take(caller, endpoint.cost) if endpoint.roles is not None else {}
    query = _validated(lambda: msgspec.convert(dict(request.query_params), endpoint.query, strict=False), "query")
    content = await _limited_body(request) if decode else b""
    body = _validated(lambda: decode(content), "body") if decode else None
    call = Call(request_id, caller, request.path_params, query, body, request.headers)
    found = endpoint.handler(gateway, call)
    if not isinstance(found, Response):
        found = Response(encode(found), endpoint.status, media_type=_JSON)
    found.headers.update(limits)
    return found


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())


def _validated(convert: Callable[[], Any], what: str) -> Any:
    try:
        return convert()
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError("invalid-request", f"The {what} is not valid: {error}.") from error


async def _limited_body(request: Request) -> bytes:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise ProblemError("too-large", f"A body has at most {MOST_BYTES:,} bytes: send less at once.")
    return content
