"""The stand-in behind HTTP, for whatever brings a real client: boto3 with `AWS_ENDPOINT_URL_FIREHOSE`, the CLI, an app.

Belongs here: the protocol, which is JSON with base64 in it. Does not: what becomes of the records (emulator.py).
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.sources.firehose.emulator import Firehose

TARGET = "Firehose_20150804."


def firehose_app(firehose: Firehose) -> Starlette:
    """`PutRecord` and `PutRecordBatch` of a stand-in; what it still holds is delivered when the app ends."""

    @asynccontextmanager
    async def flushed_at_last(app: Starlette) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(firehose.flush)

    async def call(request: Request) -> Response:
        operation = request.headers.get("x-amz-target", "").removeprefix(TARGET)
        return await run_in_threadpool(_answer, firehose, operation, await request.body())

    return Starlette(routes=[Route("/", call, methods=["POST"])], lifespan=flushed_at_last)


def _answer(firehose: Firehose, operation: str, body: bytes) -> Response:
    calls: dict[str, Callable[..., dict[str, Any]]] = {
        "PutRecord": firehose.put_record,
        "PutRecordBatch": firehose.put_record_batch,
    }
    if operation not in calls:
        return _json({"__type": "UnknownOperationException", "message": f"{operation} is not spoken here."}, 400)
    try:
        return _json(calls[operation](**json.loads(body, object_hook=_decoded)), 200)
    except ClientError as error:
        told = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return _json({"__type": told["Code"], "message": told["Message"]}, status)


def _decoded(found: dict[str, Any]) -> dict[str, Any]:
    return {"Data": base64.b64decode(found["Data"])} if "Data" in found else found


def _json(content: Mapping[str, Any], status: int) -> Response:
    told = {name: value for name, value in content.items() if name != "ResponseMetadata"}
    return Response(json.dumps(told), status_code=status, media_type="application/x-amz-json-1.1")
