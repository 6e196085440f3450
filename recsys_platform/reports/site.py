"""The pages that people read, in one place: KPI page, evaluation and other reports of the hub, and dbt's docs.

In production they are copied to a private bucket, and `recsys site serve` shows them behind a sign-in.

Belongs here: which objects the site consists of, and how one is answered. Does not: making the pages (kpi_page/, evaluation_page.py,
transform/dbt_docs.py).
"""

import html
import mimetypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recsys_platform.common.errors import HubError
from recsys_platform.hub.object_store import Hub

REPORTS, INDEX = "reports/", "index.html"
DBT_DOCS = ("index.html", "manifest.json", "catalog.json")
"""The files of dbt's docs that a browser reads."""
TITLES = {
    "reports/kpis.html": "KPIs",
    "reports/evaluation.html": "Evaluation of models",
    "dbt/index.html": "Tables (dbt docs)",
}
_KEY = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*")
_HEADERS = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}


def publish_reports(hub: Hub, site: Hub) -> list[str]:
    """Copy the pages below `reports/` of the hub to the site, with an index of all that the site has; returns their keys."""
    keys = [each.key for each in hub.objects(REPORTS) if each.key.endswith(".html")]
    for key in keys:
        site.put(key, hub.get(key))
    _write_index(site)
    return keys


def publish_dbt_docs(folder: Path, site: Hub) -> list[str]:
    """Copy dbt's docs to `dbt/` of the site; returns their keys. `folder`: where dbt wrote them."""
    keys = [f"dbt/{name}" for name in DBT_DOCS]
    for name, key in zip(DBT_DOCS, keys, strict=True):
        site.put(key, (folder / name).read_bytes())
    _write_index(site)
    return keys


def _write_index(site: Hub) -> None:
    pages = [each.key for each in site.objects(REPORTS)] + ["dbt/index.html"] * site.exists("dbt/index.html")
    site.put(INDEX, _index_page(pages).encode())


def _index_page(pages: Sequence[str]) -> str:
    links = "".join(f'<li><a href="{html.escape(key)}">{html.escape(TITLES.get(key, key))}</a></li>' for key in pages)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>recsys_platform</title>'
        f"<style>body{{font:16px/1.6 system-ui;margin:3em}}</style><h1>recsys_platform</h1><ul>{links}</ul></html>\n"
    )


def site_app(site: Hub) -> Any:
    """An ASGI application that answers GET with the objects of a site; it has no sign-in of its own."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    def answer(request: Request) -> Response:
        found = page_of(site, request.path_params["path"])
        if found is None:
            return PlainTextResponse("There is no such page.", status_code=404, headers=_HEADERS)
        content, kind = found
        return Response(content, media_type=kind, headers=_HEADERS)

    def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    routes = [Route("/healthz", health), Route("/{path:path}", answer)]
    return Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)])


def page_of(site: Hub, path: str) -> tuple[bytes, str] | None:
    """Content and media type of a page, None if there is none. A path that ends with `/` means its index."""
    key = f"{path}{INDEX}" if not path or path.endswith("/") else path
    if not _KEY.fullmatch(key):
        return None
    try:
        content = site.get(key)
    except HubError:
        if site.exists(key):
            raise
        return None
    return content, mimetypes.guess_type(key)[0] or "application/octet-stream"
