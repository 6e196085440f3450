"""The developers' portal at `/docs`: how to get a key, limits, errors, each endpoint with an example, and a form to try it.

Belongs here: what the portal says, made from the OpenAPI document. Does not: the document (openapi.py), HTML (templates/).
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.serving.gateway.endpoints import MOST_BYTES, Endpoint
from recsys_platform.serving.gateway.events import MOST_EVENTS
from recsys_platform.serving.gateway.examples import QUICK_STARTS
from recsys_platform.serving.gateway.keys import Role
from recsys_platform.serving.gateway.limits import Quotas
from recsys_platform.serving.gateway.openapi import PATH, openapi_document
from recsys_platform.serving.gateway.problems import KINDS
from recsys_platform.serving.gateway.rendering import html_response

PORTAL = "/docs"
_ROLES: Mapping[Role, str] = {
    "app": "the back end of an application: every reader",
    "reader": "one reader, with a token of the identity provider",
    "analyst": "explanations of answers, and the page of shelves to look at",
    "admin": "everything, and clicks on the page of shelves",
}
_HINTS = {
    "invalid-request": "Correct the parameter or field that `detail` names.",
    "unauthenticated": "Send a key that is valid now.",
    "forbidden": "Use a key with one of the roles of the endpoint.",
    "not-found": "Ask for an id that exists.",
    "method-not-allowed": "Use a method of `Allow`.",
    "too-large": f"Send at most {MOST_BYTES:,} bytes.",
    "too-many-requests": "Wait for the seconds of `Retry-After`.",
    "internal": "Try again; report the request id if it stays.",
    "not-ready": "Wait for the seconds of `Retry-After` and send it again.",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter. `place`: path or query; `limits`: type and bounds in words."""

    name: str
    place: str
    limits: str
    description: str
    example: str
    default: str


@dataclass(frozen=True)
class Operation:
    """An endpoint as the portal shows it; `body` and `answer` are examples as JSON."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    roles: str
    cost: int
    parameters: Sequence[Parameter]
    body: str
    status: str
    answer: str
    problems: str
    curl: str


def portal_route(endpoints: Sequence[Endpoint], quotas: Quotas) -> Route:
    """Return the route of the portal, which is rendered when it is first asked for."""

    @cache
    def portal() -> Response:
        return html_response("portal.html", _portal_values(openapi_document(endpoints), quotas))

    async def serve(_: Request) -> Response:
        return portal()

    return Route(PORTAL, serve, methods=["GET"])


def _portal_values(document: Mapping[str, Any], quotas: Quotas) -> dict[str, Any]:
    return {
        "version": document["info"]["version"],
        "operations": list(_operations(document)),
        "tiers": [(tier, rate, burst) for tier, (rate, burst) in quotas.items()],
        "roles": [(role, _ROLES[role]) for role in get_args(Role)],
        "problems": [(kind, status, title, _HINTS.get(kind, "")) for kind, (status, title) in KINDS.items()],
        "most_events": MOST_EVENTS,
        "document": PATH,
        "quick_starts": QUICK_STARTS,
    }


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, given in methods.items():
            yield _operation(method.upper(), path, given)


def _operation(method: str, path: str, given: Mapping[str, Any]) -> Operation:
    parameters = [_parameter(each) for each in given["parameters"]]
    body = _body_example(given)
    status, good = next((code, each) for code, each in given["responses"].items() if code.startswith("2"))
    (media,) = good["content"].values()
    with_key = bool(given["security"])
    return Operation(
        name=given["operationId"],
        method=method,
        path=path,
        summary=given["summary"],
        description=given["description"],
        roles=", ".join(given.get("x-roles", ())),
        cost=given.get("x-cost", 0),
        parameters=parameters,
        body=_pretty(body) if body is not None else "",
        status=status,
        answer=_pretty(media.get("example", "")),
        problems=", ".join(code for code in given["responses"] if code[0] in "45"),
        curl=_curl_command(method, path, parameters, body, with_key=with_key),
    )


def _parameter(given: Mapping[str, Any]) -> Parameter:
    schema = given["schema"]
    return Parameter(
        name=given["name"],
        place=given["in"],
        limits=_limits_in_words(schema),
        description=given.get("description", ""),
        example=str(given.get("example", "")),
        default="" if schema.get("default") in (None, "") else str(schema["default"]),
    )


def _limits_in_words(schema: Mapping[str, Any]) -> str:
    kind = str(schema.get("type", "any"))
    if "minimum" in schema or "maximum" in schema:
        return f"{kind}, {schema.get('minimum', '…')} to {schema.get('maximum', '…'):,}"
    return f"{kind}, up to {schema['maxLength']:,} characters" if "maxLength" in schema else kind


def _body_example(given: Mapping[str, Any]) -> Any:
    for media in given.get("requestBody", {}).get("content", {}).values():
        return next((each["value"] for each in media.get("examples", {}).values()), {})
    return None


def _curl_command(method: str, path: str, parameters: Sequence[Parameter], body: Any, *, with_key: bool) -> str:
    """The command of the example; the first query parameter stands for all."""
    for each in parameters:
        path = path.replace(f"{{{each.name}}}", quote(each.example, safe=""))
    query = [(each.name, each.example) for each in parameters if each.place == "query"][:1]
    address = f"{path}?{urlencode(query)}" if query else path
    parts = ["curl", *(["-X", method] if method != "GET" and body is None else [])]
    text = " ".join(parts) + (' -H "Authorization: Bearer $KEY"' if with_key else "") + f' "$API{address}"'
    if body is None:
        return text
    return f"{text} \\\n  -H 'Content-Type: application/json' -d {shlex.quote(msgspec.json.encode(body).decode())}"


def _pretty(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
