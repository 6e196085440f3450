"""Who may open the page at `/`, and which forms are really its own.

Belongs here: viewers, the cookie of a sign-in, requests of other sites. Does not: what the page shows (page.py).

The page acts for any reader. A world in the environment `local` shows it to a browser on the same machine; everybody else signs in
with a key: the role `analyst` may look, `admin` may also click. The cookie holds the id of the key and a signature, never the key.
"""

import hmac
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from recsys_platform.serving.gateway.access import checked_key
from recsys_platform.serving.gateway.keys import ApiKeyError, Key, KeyStore
from recsys_platform.serving.gateway.problems import ProblemError

_COOKIE = "recsys_page"
_SECONDS = 8 * 3600
_VIEWERS = {"analyst", "admin"}
_OF_PROXIES = (
    "forwarded",
    "via",
    "x-forwarded-",
    "x-real-ip",
    "x-original-",
    "x-envoy-",
    "true-client-ip",
    "cf-",
    "x-amzn-",
)
"""Beginnings of headers that proxies add, and browsers do not."""


@dataclass(frozen=True)
class Viewer:
    """Who looks. `may_click`: whether events may be posted; `signed_in`: whether there is something to sign out of."""

    may_click: bool
    signed_in: bool


def viewer_of(request: Request, keys: KeyStore) -> Viewer | None:
    """The viewer of a request; None for one who has to sign in."""
    if key := _signed_in_key(request, keys):
        return _viewer_with(key)
    return Viewer(may_click=True, signed_in=False) if keys.env == "local" and _is_on_this_machine(request) else None


def sign_in(keys: KeyStore, text: str) -> str:
    """The value of the cookie for a key. Raises a problem unless it may open the page."""
    key = checked_key(keys, text.strip())
    if key is None or _viewer_with(key) is None:
        raise ProblemError("forbidden", "This needs a valid key with the role analyst or admin.")
    until = int(time.time()) + _SECONDS
    return f"{key.id}.{until}.{_signature(keys, key.id, str(until))}"


def set_cookie(response: Response, request: Request, value: str) -> Response:
    """The response with the cookie of a sign-in; an empty value ends it."""
    response.set_cookie(
        _COOKIE,
        value,
        max_age=_SECONDS if value else 0,
        httponly=True,
        samesite="strict",
        secure=is_over_tls(request),
    )
    return response


def is_over_tls(request: Request) -> bool:
    """Whether the browser speaks HTTPS; behind a proxy the connection to here does not tell."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))


def check_same_site(headers: Mapping[str, str]) -> None:
    """Raise a problem if a form was not sent by a page of this gateway: every browser says where it comes from."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    same = _host_of(origin) == headers.get("host") if origin else site == "same-origin"
    if not same or site not in (None, "same-origin"):
        raise ProblemError("forbidden", "This form was sent by another site: open the page itself and try again.")


def _viewer_with(key: Key) -> Viewer | None:
    if not _VIEWERS & set(key.roles):
        return None
    return Viewer(may_click="admin" in key.roles, signed_in=True)


def _signed_in_key(request: Request, keys: KeyStore) -> Key | None:
    """The key of the cookie, if it is valid now: one that was revoked ends the sign-in."""
    cookie = request.cookies.get(_COOKIE, "")
    try:
        return _key_of(cookie, keys) if cookie else None
    except ApiKeyError:  # the store has logged that it cannot be read
        return None


def _key_of(cookie: str, keys: KeyStore) -> Key | None:
    key_id, _, rest = cookie.partition(".")
    until, _, signature = rest.partition(".")
    expected = _signature(keys, key_id, until)
    if not hmac.compare_digest(signature.encode(), expected.encode()) or int(until) < time.time():
        return None
    key = keys.known().get(key_id)
    return key if key and key.is_valid(keys.now()) and _viewer_with(key) else None


def _signature(keys: KeyStore, key_id: str, until: str) -> str:
    return keys.signature(f"page {key_id} {until}")


def _is_on_this_machine(request: Request) -> bool:
    """Whether the browser runs here and means this machine: a name of another site may be made to point here."""
    if _came_through_a_proxy(request):
        return False
    name = _name_of(request.headers.get("host", ""))
    return _is_loopback(request.client.host if request.client else "") and (name == "localhost" or _is_loopback(name))


def _came_through_a_proxy(request: Request) -> bool:
    """Whether a proxy sent it for a browser elsewhere. No browser speaks HTTP/1.0, which nginx does by default."""
    return request.scope.get("http_version") == "1.0" or any(name.startswith(_OF_PROXIES) for name in request.headers)


def _host_of(origin: str) -> str:
    """Name and port of an origin; empty if it is none."""
    return origin.partition("://")[2]


def _name_of(host: str) -> str:
    """The name or address of a `Host` header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
