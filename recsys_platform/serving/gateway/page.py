"""The page at `/`: choose a reader, see the shelves, click, and watch the list change.

Belongs here: what the page asks and does. Does not: what it says (page_values.py), who may open it (page_access.py).
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.serving.gateway.access import Caller
from recsys_platform.serving.gateway.endpoints import PATH_ID, Call
from recsys_platform.serving.gateway.events import post_events
from recsys_platform.serving.gateway.handlers import guest_key
from recsys_platform.serving.gateway.home import home_of_reader
from recsys_platform.serving.gateway.page_access import (
    Viewer,
    check_same_site,
    is_over_tls,
    set_cookie,
    sign_in,
    viewer_of,
)
from recsys_platform.serving.gateway.page_values import CLICKS, View, page_values
from recsys_platform.serving.gateway.problems import KINDS, ProblemError
from recsys_platform.serving.gateway.rendering import asset_routes, html_response, redirect_to
from recsys_platform.serving.gateway.schemas import Home, HomeQuery
from recsys_platform.serving.gateway.state import Gateway

SURFACE = "page"
_GUEST = "recsys_guest"
_GUEST_ID = re.compile(r"page-[0-9a-f]{32}", re.ASCII)
_BOOKS, _MOST_FORM_BYTES, _MOST_SEEN = 8, 20_000, 20
_CALLER = Caller(SURFACE, frozenset(("admin",)), "partner")


def page_routes(gateway: Gateway) -> list[Route]:
    """Return the routes of the page."""

    async def show(request: Request, viewer: Viewer | None) -> Response:
        return await _shown_page(gateway, request, viewer) if viewer else _sign_in_form()

    async def click(request: Request, viewer: Viewer | None) -> Response:
        if viewer is None or not viewer.may_click:
            raise ProblemError("forbidden", "Clicks need a key with the role admin.")
        return await _click_answer(gateway, request, await _form_of(request))

    async def enter(request: Request, _: Viewer | None) -> Response:
        value = sign_in(gateway.access.keys, (await _form_of(request)).get("key", ""))
        return set_cookie(redirect_to("/"), request, value)

    async def leave(request: Request, _: Viewer | None) -> Response:
        return set_cookie(redirect_to("/"), request, "")

    posts = {"/page/events": click, "/page/sign-in": enter, "/page/sign-out": leave}
    routes = [Route(path, _guarded(gateway, act), methods=["POST"]) for path, act in posts.items()]
    return [Route("/", _guarded(gateway, show), methods=["GET"]), *routes, *asset_routes()]


_Act = Callable[[Request, Viewer | None], Awaitable[Response]]


def _guarded(gateway: Gateway, act: _Act) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that checks where a form comes from and who looks, and tells problems as pages."""

    async def serve(request: Request) -> Response:
        try:
            if request.method == "POST":
                check_same_site(request.headers)
            return await act(request, viewer_of(request, gateway.access.keys))
        except ProblemError as error:
            status, title = KINDS[error.kind]
            return html_response("message.html", {"title": title, "detail": error.detail}, status)
        except Exception:  # noqa: BLE001  # a page says so as well
            gateway.log_failure(request.url.path, "")
            return html_response("message.html", {"title": KINDS["internal"][1], "detail": "Try again."}, 500)

    return serve


def _sign_in_form() -> Response:
    return html_response("sign_in.html", {}, 401)


async def _form_of(request: Request) -> dict[str, str]:
    """The fields of a form."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > _MOST_FORM_BYTES:
            raise ProblemError("too-large", "This form is too large.")
    try:
        return dict(parse_qsl(content.decode("latin-1"), keep_blank_values=True, max_num_fields=20))
    except ValueError as error:
        raise ProblemError("invalid-request", "This is no form of the page.") from error


def _view_of(fields: Mapping[str, str]) -> View:
    seen = tuple(filter(None, fields.get("seen", "").split(",")))[:_MOST_SEEN]
    texts = {name: fields.get(name, "").strip() for name in ("reader", "language", "clicked", "book")}
    view = View(**texts, seen=seen)
    try:
        msgspec.convert([text for text in (view.reader, view.book) if text], list[PATH_ID])
        msgspec.convert({"language": view.language}, HomeQuery)
    except msgspec.ValidationError as error:
        raise ProblemError("invalid-request", "The id of the reader or book, or the language, is not valid.") from error
    return view


async def _shown_page(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    view, device = _view_of(request.query_params), _device_of(request)
    snapshot = gateway.follower.served.snapshot
    if snapshot is None:
        raise ProblemError("not-ready", "There is no serving snapshot yet: `recsys run` writes it.")
    reader = view.reader or guest_key(device)
    asked = HomeQuery(k=_BOOKS, language=view.language)
    started = time.perf_counter()
    await gateway.recent.load(gateway.recommendations.ids_of(reader))
    home = await _home_for_page(gateway, reader, asked)
    milliseconds = (time.perf_counter() - started) * 1e3
    known_as = gateway.recommendations.reader_of(reader)
    profile, (_, events) = gateway.recommendations.profile(known_as), gateway.recent.of(known_as)
    values = page_values(snapshot, view, home, profile, events)
    response = html_response("page.html", {**values, "viewer": viewer, "milliseconds": f"{milliseconds:.1f}"})
    return _with_guest_cookie(response, request, device)


async def _home_for_page(gateway: Gateway, reader: str, asked: HomeQuery) -> Home:
    ask = partial(home_of_reader, gateway, reader, asked, str(uuid.uuid4()), surface=SURFACE)
    # A model host may take its time: others are answered meanwhile.
    return await run_in_threadpool(ask) if gateway.is_remote else ask()


async def _click_answer(gateway: Gateway, request: Request, fields: Mapping[str, str]) -> Response:
    view = _view_of(fields)
    if view.clicked not in CLICKS or not view.book:
        raise ProblemError("invalid-request", "This is no button of the page.")
    device = _device_of(request)
    record = {
        "type": "track",
        "event": CLICKS[view.clicked][0],
        "messageId": str(uuid.uuid4()),
        "userId": view.reader or None,
        "anonymousId": None if view.reader else device,
        "timestamp": gateway.now().isoformat(timespec="milliseconds"),
        "properties": {"book_id": view.book, "request_id": fields.get("request_id", "")[:200], "surface": SURFACE},
    }
    await post_events(gateway, Call(str(uuid.uuid4()), _CALLER, {}, None, record, {}))
    shown = {"reader": view.reader, "language": view.language, "clicked": view.clicked, "book": view.book}
    response = redirect_to(f"/?{urlencode(shown | {'seen': ','.join(view.seen)})}")
    return _with_guest_cookie(response, request, device)


def _with_guest_cookie(response: Response, request: Request, device: str) -> Response:
    response.set_cookie(_GUEST, device, httponly=True, samesite="strict", secure=is_over_tls(request))
    return response


def _device_of(request: Request) -> str:
    """The id of a guest: that of the cookie, or a new one."""
    given = request.cookies.get(_GUEST, "")
    return given if _GUEST_ID.fullmatch(given) else f"page-{uuid.uuid4().hex}"
