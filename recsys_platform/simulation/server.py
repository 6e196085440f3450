"""A server for the attribute endpoints of a simulated world: paginated users and books as JSON.

Belongs here: the app and starting it. Does not: fetching from it (sources/).
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recsys_platform.common.errors import InputError

PER_PAGE, MOST_PER_PAGE = 100, 10_000
START_SECONDS = 20.0


def attributes_app(truth_dir: Path) -> Starlette:
    """The app with `/users` and `/books` of a simulated world. Raises InputError if the folder has no ground truth."""
    tables = {
        path: _read_table(truth_dir / f"{name}.parquet")
        for path, name in (("/users", "user_attributes"), ("/books", "book_attributes"))
    }

    def page_of(request: Request) -> Response:
        return _page_response(request, tables[request.url.path])

    return Starlette(routes=[Route(path, page_of, methods=["GET"]) for path in tables])


def serve(truth_dir: Path, *, host: str = "127.0.0.1", port: int = 8077) -> None:
    """Serve the endpoints until interrupted."""
    uvicorn.run(attributes_app(truth_dir), host=host, port=port, log_level="warning")


@contextmanager
def running_server(truth_dir: Path) -> Iterator[str]:
    """Serve the endpoints on a free local port while the block runs; yields the base URL."""
    config = uvicorn.Config(
        attributes_app(truth_dir), host="127.0.0.1", port=0, log_level="error", lifespan="off", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port_of(server, thread)}"
    finally:
        server.should_exit = True
        thread.join(timeout=START_SECONDS)


def _port_of(server: uvicorn.Server, thread: threading.Thread) -> int:
    """The port assigned by the system, once the server has started."""
    until = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise InputError(
                "The attribute server did not start on 127.0.0.1: check that this machine allows listening ports."
            )
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def _read_table(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"Cannot serve {path}: it is missing or not Parquet. Run `recsys simulate` first.") from error


def _page_response(request: Request, table: pa.Table) -> Response:
    try:
        page = _positive_parameter(request, "page", 1)
        per_page = _positive_parameter(request, "per_page", PER_PAGE)
    except ValueError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    if per_page > MOST_PER_PAGE:
        return JSONResponse({"error": f"per_page is at most {MOST_PER_PAGE}"}, status_code=400)
    pages = -(-len(table) // per_page)
    data = table.slice((page - 1) * per_page, per_page).to_pylist() if page <= pages else []
    body: dict[str, Any] = {"page": page, "per_page": per_page, "total": len(table), "total_pages": pages, "data": data}
    return _unless_known(request, JSONResponse(body, headers=_link_header(request, page=page, pages=pages)))


def _unless_known(request: Request, response: Response) -> Response:
    """The response with its ETag, or 304 without a body if the client sent that ETag (RFC 9110 §13.1.2)."""
    etag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    response.headers["ETag"] = etag
    named = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if not named & {etag, "*"}:
        return response
    kept = {name: response.headers[name] for name in ("ETag", "Link") if name in response.headers}
    return Response(status_code=304, headers=kept)


def _positive_parameter(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and int(text)):
        raise ValueError(f"{name} must be a whole number of at least 1, not {text[:40]!r}")
    return int(text)


def _link_header(request: Request, *, page: int, pages: int) -> dict[str, str]:
    """The Link header (RFC 8288) to the next page, if there is one."""
    return {"Link": f'<{request.url.include_query_params(page=page + 1)}>; rel="next"'} if page < pages else {}
