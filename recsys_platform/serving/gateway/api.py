"""The endpoints of the API, and the application that serves them.

Belongs here: which endpoints there are and who may call them. Does not: what they do (handlers.py, events.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from recsys_platform.common.random_ids import random_uuid
from recsys_platform.serving.gateway import handlers, home
from recsys_platform.serving.gateway.access_log import AccessLog
from recsys_platform.serving.gateway.dispatch import Application
from recsys_platform.serving.gateway.endpoints import Endpoint, EndpointApp
from recsys_platform.serving.gateway.events import post_events
from recsys_platform.serving.gateway.keys import Role
from recsys_platform.serving.gateway.openapi import openapi_route
from recsys_platform.serving.gateway.page import page_routes
from recsys_platform.serving.gateway.portal import portal_route
from recsys_platform.serving.gateway.problems import ProblemError, problem_reply
from recsys_platform.serving.gateway.replies import PROBLEM
from recsys_platform.serving.gateway.schemas import (
    BooksQuery,
    Event,
    EventBatch,
    EventVerdicts,
    Explanation,
    GuestRequest,
    Health,
    Home,
    HomeQuery,
    ListQuery,
    Ranked,
    RankRequest,
    Recommended,
)
from recsys_platform.serving.gateway.state import Gateway

_CALLERS: frozenset[Role] = frozenset(("app", "reader", "admin"))
_APPS: frozenset[Role] = frozenset(("app", "admin"))
_READERS_OF_LOGS: frozenset[Role] = frozenset(("app", "analyst", "admin"))

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/users/{user_id}/recommendations",
        handlers.recommendations,
        _CALLERS,
        "Recommendations for a reader",
        Recommended,
        query=ListQuery,
        other_statuses=(304,),
        reader_of=handlers.reader_of_path,
        route_of=handlers.route_of_list,
    ),
    Endpoint(
        "POST",
        "/v1/recommendations",
        handlers.guest_recommendations,
        _CALLERS,
        "Recommendations for a guest",
        Recommended,
        body=GuestRequest,
        asks_model=True,
        reader_of=handlers.guest_of_body,
        route_of=handlers.route_of_guest,
    ),
    Endpoint(
        "GET",
        "/v1/users/{user_id}/home",
        home.home,
        _CALLERS,
        "Shelves of a home page",
        Home,
        query=HomeQuery,
        cost=3,
        asks_model=True,
        reader_of=handlers.reader_of_path,
    ),
    Endpoint(
        "POST",
        "/v1/rank",
        handlers.rank,
        _CALLERS,
        "Put books in order for a reader",
        Ranked,
        body=RankRequest,
        asks_model=True,
        reader_of=handlers.reader_of_rank,
    ),
    Endpoint(
        "GET",
        "/v1/books/{book_id}/similar",
        handlers.similar,
        _CALLERS,
        "Books similar to a book",
        Recommended,
        query=BooksQuery,
        problems=("not-found",),
        reader_of=handlers.reader_of_query,
    ),
    Endpoint(
        "GET",
        "/v1/popular",
        handlers.popular,
        _CALLERS,
        "Popular books",
        Recommended,
        query=BooksQuery,
        reader_of=handlers.reader_of_query,
    ),
    Endpoint(
        "POST",
        "/v1/events",
        post_events,
        _CALLERS,
        "Post events",
        EventVerdicts,
        body=dict[str, Any],
        body_forms=(Event, EventBatch),
        status=202,
    ),
    Endpoint(
        "GET",
        "/v1/recommendations/{request_id}/explanation",
        handlers.explanation,
        _READERS_OF_LOGS,
        "Why a request was answered as it was",
        Explanation,
        problems=("not-found",),
    ),
    Endpoint("GET", "/healthz", handlers.healthz, None, "The process is alive", Health),
    Endpoint("GET", "/readyz", handlers.readyz, None, "Whether lists can be answered", Health, other_statuses=(503,)),
    Endpoint("GET", "/metrics", handlers.metrics, None, "Metrics for Prometheus", str),
)


def create_app(gateway: Gateway) -> Starlette:
    """Return the ASGI application; its lifespan starts and stops what the gateway holds."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        gateway.follower.start()
        gateway.spool.start()
        if gateway.counts:
            gateway.counts.start()
        watching = asyncio.ensure_future(_publish_figures(gateway)) if gateway.metrics.is_of_workers else None
        yield
        if watching:
            watching.cancel()
        gateway.follower.stop()
        gateway.spool.stop()
        if gateway.counts:
            gateway.counts.stop()
        if gateway.shared:
            await gateway.shared.close()
        if gateway.tracing:
            gateway.tracing.stop()

    routes = [_route_of(each, gateway) for each in ENDPOINTS]
    public = [openapi_route(ENDPOINTS), portal_route(ENDPOINTS, gateway.limits.quotas), *page_routes(gateway)]
    return Application(routes, public, lifespan=lifespan, exception_handlers={HTTPException: _http_problem})


def app_of(gateway: Gateway) -> Starlette | CORSMiddleware:
    """Return the ASGI application as it is served: web pages of the gateway's `origins` may call it."""
    app = create_app(gateway)
    if not gateway.origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=gateway.origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "If-None-Match", "X-API-Key"],
        expose_headers=["ETag", "RateLimit", "RateLimit-Policy", "Retry-After"],
        max_age=3600,
    )


async def _publish_figures(gateway: Gateway) -> None:
    """Set the figures that are read when metrics are asked for, for the worker that is asked for all."""
    while True:
        gateway.metrics.set_spool(gateway.spool)
        await asyncio.sleep(1)


def _route_of(endpoint: Endpoint, gateway: Gateway) -> Route:
    """The route that serves an endpoint; what watches it stands around it, so that it costs nothing when it is off."""
    app: ASGIApp = EndpointApp(endpoint, gateway)
    if gateway.logged_share:
        app = AccessLog(endpoint, app, gateway)
    if gateway.tracing:
        app = gateway.tracing.app(app, endpoint.method, endpoint.path, gateway.facts_of)
    route = Route(endpoint.path, app, methods=[endpoint.method], name=endpoint.summary)
    if endpoint.roles is not None and route.methods:
        route.methods.discard("HEAD")  # an answer that is not shown would be logged as an exposure
    return route


async def _http_problem(request: Request, error: Exception) -> Response:
    """Errors of routing as problems."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = {404: "not-found", 405: "method-not-allowed"}.get(status, "internal")
    headers = error.headers if isinstance(error, HTTPException) else None
    detail = f"There is no {request.method} on this path: `/openapi.json` lists what there is."
    request_id = random_uuid()
    reply = problem_reply(ProblemError(kind, detail, headers), request_id)
    response = Response(reply.body, reply.status, media_type=PROBLEM.decode())
    response.raw_headers += [*reply.headers, (b"x-request-id", request_id.encode())]
    return response
