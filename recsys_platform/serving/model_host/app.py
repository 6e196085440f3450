"""The model host over HTTP, by SageMaker's contract: `GET /ping` and `POST /invocations`.

Belongs here: routes, media types, limits. Does not: the forms of requests and answers (contract.py), loading a model (folder.py).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from recsys_platform.common.clock import naive_utc_now
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.serving.following import ServedModel
from recsys_platform.serving.model_host.contract import (
    HostAnswer,
    HostRequest,
    answers_as_csv,
    host_answer,
    requests_in_csv,
)
from recsys_platform.serving.model_host.metrics import METRICS_TYPE, HostMetrics, Trained
from recsys_platform.serving.recommending import Answer, live_answer, ranked_answer

_LOG = logging.getLogger(__name__)
MOST_BYTES = 6 * 1024 * 1024
"""SageMaker's limit of a request and of an answer."""
MOST_ROWS = 10_000
"""Of a CSV: 100,000 rows of it alone take a second to read."""
BODY_SECONDS = 60.0
INVOCATION_SECONDS = 50.0
"""SageMaker gives up after 60, so that a caller would never read what is wrong."""
JSON, CSV = "application/json", "text/csv"
_LEAST_BYTES_OF_BOOK = 20
"""A row of CSV or an item of JSON has more: rank, book, score, propensity, reason."""
_TOO_MUCH = f"The answer has more than {MOST_BYTES:,} bytes: ask for less at once."
_decode = msgspec.json.Decoder(HostRequest).decode
Models = Callable[[str], ServedModel | None]
"""Gives the model of an alias that answers now; None if there is none that passed its check."""


class _HostError(Exception):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def create_host(
    models: Models, lifespan: Lifespan[Starlette] | None = None, trained: Trained = lambda: {}
) -> Starlette:
    """Return the ASGI application; `/models/{alias}/invocations` asks another alias than production."""
    metrics = HostMetrics()

    async def ping(request: Request) -> Response:
        return Response(b"{}", 200 if models(_alias_of(request)) else 503, media_type=JSON)

    async def invocations(request: Request) -> Response:
        started = time.perf_counter()
        response = await answer(request)
        metrics.count(_alias_of(request), response.status_code, time.perf_counter() - started)
        return response

    async def answer(request: Request) -> Response:
        try:
            return await _invoke(request, _alias_of(request), models)
        except _HostError as problem:
            return _problem_response(problem)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:  # noqa: BLE001  # the request, which may be about a person, is not logged
            _LOG.exception("An invocation failed")
            return _problem_response(_HostError(500, "The model failed; its log says why."))

    async def figures(_: Request) -> Response:
        return Response(metrics.text(trained(), naive_utc_now()), media_type=METRICS_TYPE)

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/metrics", figures),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/models/{alias}/ping", ping),
            Route("/models/{alias}/invocations", invocations, methods=["POST"]),
        ],
        lifespan=lifespan,
    )


def _alias_of(request: Request) -> str:
    return str(request.path_params.get("alias", PRODUCTION))


async def _invoke(request: Request, alias: str, models: Models) -> Response:
    model = models(alias)
    if model is None and alias != PRODUCTION:
        raise _HostError(404, "No route of this world needs such a model, or it is not loaded yet.")
    if model is None:
        raise _HostError(503, "No model that passed its check is loaded.")
    given = _media_type(request.headers.get("content-type"), default=JSON)
    wanted = _media_type(request.headers.get("accept"), default=given)
    body = await _body_of(request)
    if given == JSON:
        return Response(_response_body(model, body, given, wanted), media_type=wanted)
    # In a thread, so that a ping is answered meanwhile.
    return Response(await run_in_threadpool(_response_body, model, body, given, wanted), media_type=wanted)


def _response_body(model: ServedModel, body: bytes, given: str, wanted: str) -> bytes:
    """The answer to the content of a request, in the media type that is wanted."""
    answers = _answers_of(model, _requests_in(given, body))
    content = answers_as_csv(answers) if wanted == CSV else _as_json(answers, single=given == JSON)
    if len(content) > MOST_BYTES:
        raise _HostError(413, _TOO_MUCH)
    return content


def _media_type(header: str | None, *, default: str) -> str:
    """The first of a header that is JSON or CSV; the default if it leaves the choice."""
    names = [part.partition(";")[0].strip().lower() for part in (header or "*/*").split(",")]
    found = next((name for name in names if name in (JSON, CSV, "*/*", "application/*", "text/*")), None)
    if found is None:
        raise _HostError(415, f"{header} is neither {JSON} nor {CSV}.")
    return found if "*" not in found else default


async def _body_of(request: Request) -> bytes:
    content = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                content += part
                if len(content) > MOST_BYTES:
                    raise _HostError(413, f"A request has at most {MOST_BYTES:,} bytes.")
    except TimeoutError:
        raise _HostError(408, f"The request was not complete after {BODY_SECONDS:.0f} seconds.") from None
    return content


def _requests_in(media_type: str, content: bytes) -> list[HostRequest]:
    if media_type == CSV and max(content.count(b"\n"), content.count(b"\r")) > MOST_ROWS + 1:
        raise _HostError(413, f"A request has at most {MOST_ROWS:,} rows.")
    try:
        return requests_in_csv(content) if media_type == CSV else [_decode(content)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        raise _HostError(400, f"The request is not valid: {error}.") from error


def _answers_of(model: ServedModel, requests: Sequence[HostRequest]) -> list[HostAnswer]:
    until, answers, books = time.monotonic() + INVOCATION_SECONDS, [], 0
    for each in requests:
        if books * _LEAST_BYTES_OF_BOOK > MOST_BYTES:
            raise _HostError(413, _TOO_MUCH)
        if time.monotonic() > until:
            raise _HostError(
                413, f"{len(requests):,} lists take more than {INVOCATION_SECONDS:.0f} seconds: ask for less at once."
            )
        answers.append(_answer(model, each))
        books += len(answers[-1].items)
    return answers


def _answer(model: ServedModel, request: HostRequest) -> HostAnswer:
    if request.books is None:
        return host_answer(live_answer(model, request.profile, request.query, request.seed))
    found = ranked_answer(model, request.profile, request.books)
    artifact = model.artifact
    nothing = Answer(items=(), source="live", model=artifact.variant, model_version=artifact.label)
    return host_answer(found or nothing)


def _as_json(answers: Sequence[HostAnswer], *, single: bool) -> bytes:
    return msgspec.json.encode(answers[0] if single else answers)


def _problem_response(problem: _HostError) -> Response:
    return Response(msgspec.json.encode({"detail": problem.detail}), problem.status, media_type=JSON)
