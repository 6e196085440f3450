"""The way of a request to its endpoint.

Belongs here: finding the route of a path without trying one after another. Does not: the endpoints (api.py), what happens in one
(endpoints.py).
"""

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Application(Starlette):
    """Starlette, whose endpoints are called directly: its way through middleware and routes would cost as much as a handler.

    Everything else takes Starlette's way: pages, other methods, unknown paths, the lifespan.
    """

    def __init__(self, endpoints: Sequence[Route], others: Sequence[BaseRoute], **more: Any) -> None:
        """`endpoints`: routes that need no middleware, with at most one parameter in a path."""
        super().__init__(routes=[*endpoints, *others], **more)
        # A redirect would name the host and scheme that the request has: behind a proxy keys would go on without TLS.
        self.router.redirect_slashes = False
        self._apps = {_pattern_of(each): (each.app, *_parameter_of(each)) for each in endpoints}
        self._places = {len(key): at for key, (_, _, at) in self._apps.items() if at}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the endpoint of a request, or else Starlette."""
        app = self._endpoint_of(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if app is None:
            await super().__call__(scope, receive, send)
        else:
            await app(scope, receive, send)

    def _endpoint_of(self, scope: Scope) -> ASGIApp | None:
        """The endpoint of a path, whose parameter is put into the scope; None if Starlette has to say."""
        parts = [scope["method"], *scope["path"].split("/")]
        value, at = "", self._places.get(len(parts), 0)
        if at:
            value, parts[at] = parts[at], ""
        app, name, _ = self._apps.get(tuple(parts), (None, "", 0))
        if at and not value:
            return None
        scope["path_params"] = {name: value} if at else {}
        return app


def _pattern_of(route: Route) -> tuple[str, ...]:
    """The method and the parts of a path, with an empty one for the parameter."""
    (method,) = (route.methods or set()) - {"HEAD"}
    return (method, *("" if part.startswith("{") else part for part in route.path.split("/")))


def _parameter_of(route: Route) -> tuple[str, int]:
    """Name and place of the parameter in the pattern; place 0 if there is none."""
    parts = route.path.split("/")
    return next(((part.strip("{}"), at) for at, part in enumerate(parts, 1) if part.startswith("{")), ("", 0))
