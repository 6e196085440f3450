"""HTML of the gateway: templates, the files that they need, and the headers that keep a page to itself.

Belongs here: how pages are made. Does not: what is on them (page.py, portal.py).
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PACKAGE = "recsys_platform.serving.gateway"
_ASSETS = {"style.css": "text/css", "try.js": "text/javascript", "icon.svg": "image/svg+xml"}
_HEADERS = {
    # Everything comes from this gateway, and nothing on a page is code: what a title says stays text.
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: browsers would then send `Origin: null` with the forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


def html_response(template: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """The response of a template; every value is escaped."""
    content = _environment().get_template(template).render(values)
    return Response(content, status, headers=_HEADERS, media_type="text/html")


def redirect_to(path: str) -> Response:
    """The response that sends a browser to a page of this gateway, to be read with GET."""
    return Response(status_code=303, headers={**_HEADERS, "location": path})


def asset_routes() -> list[Route]:
    """Return the routes of style sheet, script and icon."""
    return [Route(f"/assets/{name}", _asset_endpoint(name, media)) for name, media in _ASSETS.items()]


def _asset_endpoint(name: str, media_type: str) -> Any:
    content = (files(_PACKAGE) / "assets" / name).read_bytes()

    async def serve(_: Request) -> Response:
        headers = {**_HEADERS, "cache-control": "public, max-age=300"}
        return Response(content, headers=headers, media_type=media_type)

    return serve


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
