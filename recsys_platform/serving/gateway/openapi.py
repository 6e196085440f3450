"""The OpenAPI 3.1 document, made from the endpoints, their structs and the examples."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.serving.gateway.endpoints import PATH_ID, Endpoint
from recsys_platform.serving.gateway.examples import EXAMPLES, PARAMETERS, PROBLEM_EXAMPLE, Example
from recsys_platform.serving.gateway.problems import KINDS, Problem
from recsys_platform.serving.gateway.replies import PROBLEM
from recsys_platform.serving.gateway.schemas import Book

PATH = "/openapi.json"
_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = ("invalid-request", "internal")
_LIMITED = ("RateLimit", "RateLimit-Policy")
_WITH_KEY = ("unauthenticated", "forbidden", "too-many-requests", "not-ready")


_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The id of this request, always a new one: events about its books name it.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "Tokens left (`r`), and seconds until all are back (`t`).",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {"description": "Tokens (`q`) in a window of seconds (`w`).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "ETag": {"description": "Names the list: send it as `If-None-Match`.", "schema": {"type": "string"}},
}


def openapi_route(endpoints: Sequence[Endpoint]) -> Route:
    """Return the route that serves the document."""
    content = msgspec.json.encode(openapi_document(endpoints))

    async def serve(_: Request) -> Response:
        return Response(content, media_type="application/json")

    return Route(PATH, serve, methods=["GET"])


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document of some endpoints, as it is in JSON."""
    types = list(dict.fromkeys([kind for each in endpoints for kind in _types_of(each)] + [Book, Problem]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, by_type, components)
    queries = {endpoint.query.__name__ for endpoint in endpoints}
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Recommendation API",
            "version": version("recsys-platform"),
            "description": "Recommendations for readers of book summaries. A valid request is always answered.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in queries},
            "headers": _HEADERS,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of `recsys keys create`, or a token of the OpenID Connect provider of the settings.",
                }
            },
        },
    }
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))  # tuples are lists in JSON
    return found


def _types_of(endpoint: Endpoint) -> list[Any]:
    return [kind for kind in (endpoint.query, *_body_forms(endpoint), endpoint.answer) if kind is not None]


def _body_forms(endpoint: Endpoint) -> tuple[Any, ...]:
    return endpoint.body_forms or ((endpoint.body,) if endpoint.body is not None else ())


def _operation(endpoint: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    name = endpoint.handler.__name__
    example = EXAMPLES.get(name)
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": (endpoint.handler.__doc__ or "").strip(),
        "operationId": name,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(components[endpoint.query.__name__])],
        "responses": _responses(endpoint, schemas, example),
        "security": [{"key": []}] if endpoint.roles is not None else [],
    }
    if endpoint.roles is not None:
        found |= {"x-roles": sorted(endpoint.roles), "x-cost": endpoint.cost}
    return found | ({"requestBody": _request_body(endpoint, schemas, example)} if endpoint.body is not None else {})


def _request_body(endpoint: Endpoint, schemas: dict[Any, Any], example: Example | None) -> dict[str, Any]:
    forms = [schemas[form] for form in _body_forms(endpoint)]
    media: dict[str, Any] = {"schema": forms[0] if len(forms) == 1 else {"anyOf": forms}}
    if example and example.body is not None:
        media["examples"] = {name: {"value": body} for name, body in example.bodies.items()}
    return {"required": True, "content": {"application/json": media}}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    (schema,), _ = msgspec.json.schema_components([PATH_ID])
    names = re.findall(r"{(\w+)}", endpoint.path)
    return [_parameter(name, "path", schema) for name in names]


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [_parameter(name, "query", found) for name, found in schema.get("properties", {}).items()]


def _parameter(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    description = {"description": schema["description"]} if "description" in schema else {}
    example = {"example": PARAMETERS[name]} if name in PARAMETERS else {}
    schema = {key: value for key, value in schema.items() if key != "description"}
    return {"name": name, "in": place, "required": place == "path", **description, "schema": schema, **example}


def _responses(endpoint: Endpoint, schemas: dict[Any, Any], example: Example | None) -> dict[str, Any]:
    media = "text/plain" if endpoint.answer is str else "application/json"
    with_key = endpoint.roles is not None
    kinds = [*_ALWAYS, *endpoint.problems, *(_WITH_KEY if with_key else ())]
    kinds += ["too-large"] if endpoint.body is not None else []
    content = {"schema": schemas[endpoint.answer], **({"example": example.answer} if example else {})}
    headers = _header_references("X-Request-Id", *(_LIMITED if with_key else ()))
    good = {"description": endpoint.summary, "headers": headers, "content": {media: content}}
    more = {str(status): _other_answer(status, good) for status in endpoint.other_statuses}
    problems = {
        str(KINDS[kind][0]): _problem_response(kind, schemas[Problem], limited=with_key and kind != "unauthenticated")
        for kind in kinds
    }
    return dict(sorted({str(endpoint.status): good, **more, **problems}.items()))


def _other_answer(status: int, good: dict[str, Any]) -> dict[str, Any]:
    """An answer that is no problem and has another status: 304 without a body, others like the good one."""
    if status == HTTPStatus.NOT_MODIFIED:
        text = "The list is the one of `If-None-Match`. It was shown again: events name the request id of this answer's header."
        return {"description": text, "headers": _header_references("ETag", "X-Request-Id", *_LIMITED)}
    return good | {"description": HTTPStatus(status).phrase}


def _problem_response(kind: str, schema: Any, *, limited: bool) -> dict[str, Any]:
    """A problem. `limited`: of a caller whose key was accepted, and who has limits."""
    status, title = KINDS[kind]
    names = ["X-Request-Id", *(_LIMITED if limited else ()), *(["Retry-After"] if status == 429 else ())]
    example = PROBLEM_EXAMPLE | {"type": f"urn:recsys:problem:{kind}", "title": title, "status": status}
    if kind != "invalid-request":
        example["detail"] = f"{title}."
    media = {"schema": schema, "example": example}
    return {"description": title, "headers": _header_references(*names), "content": {PROBLEM.decode(): media}}


def _header_references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
