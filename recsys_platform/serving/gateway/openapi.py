"""The OpenAPI 3.1 document, made from the endpoints and their structs."""

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.serving.gateway.endpoints import Endpoint
from recsys_platform.serving.gateway.problems import KINDS, Problem
from recsys_platform.serving.gateway.replies import PROBLEM

PATH = "/openapi.json"
_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = ("invalid-request", "internal")
_WITH_KEY = ("unauthenticated", "forbidden", "too-many-requests")


def openapi_route(endpoints: Sequence[Endpoint]) -> Route:
    """Return the route that serves the document."""
    content = msgspec.json.encode(openapi_document(endpoints))

    async def serve(_: Request) -> Response:
        return Response(content, media_type="application/json")

    return Route(PATH, serve, methods=["GET"])


def openapi_document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Return the document of some endpoints."""
    types = list(dict.fromkeys([kind for each in endpoints for kind in _types_of(each)] + [Problem]))
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, by_type, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Recommendation API",
            "version": version("recsys-platform"),
            "description": "Recommendations for readers of book summaries. A valid request is always answered.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of `recsys keys create`."}
            },
        },
    }


def _types_of(endpoint: Endpoint) -> list[Any]:
    return [kind for kind in (endpoint.query, *_body_forms(endpoint), endpoint.answer) if kind is not None]


def _body_forms(endpoint: Endpoint) -> tuple[Any, ...]:
    return endpoint.body_forms or ((endpoint.body,) if endpoint.body is not None else ())


def _operation(endpoint: Endpoint, schemas: dict[Any, Any], components: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": (endpoint.handler.__doc__ or "").strip(),
        "operationId": endpoint.handler.__name__,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(components[endpoint.query.__name__])],
        "responses": _responses(endpoint, schemas),
    }
    if endpoint.body is not None:
        forms = [schemas[form] for form in _body_forms(endpoint)]
        schema = forms[0] if len(forms) == 1 else {"anyOf": forms}
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return found | ({"security": [{"key": []}]} if endpoint.roles is not None else {"security": []})


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1}
    return [
        {"name": name, "in": "path", "required": True, "schema": schema}
        for name in re.findall(r"{(\w+)}", endpoint.path)
    ]


def _query_parameters(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": found}
        for name, found in schema.get("properties", {}).items()
    ]


def _responses(endpoint: Endpoint, schemas: dict[Any, Any]) -> dict[str, Any]:
    media = "text/plain" if endpoint.answer is str else "application/json"
    kinds = [*_ALWAYS, *endpoint.problems, *(_WITH_KEY if endpoint.roles is not None else ())]
    kinds += ["too-large"] if endpoint.body is not None else []
    problems = {
        str(KINDS[kind][0]): {
            "description": KINDS[kind][1],
            "content": {PROBLEM.decode(): {"schema": schemas[Problem]}},
        }
        for kind in kinds
    }
    good = {"description": endpoint.summary, "content": {media: {"schema": schemas[endpoint.answer]}}}
    return {str(endpoint.status): good, **problems}
