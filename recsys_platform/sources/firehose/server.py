"""The Firehose emulator as an HTTP service, for boto3 (`AWS_ENDPOINT_URL_FIREHOSE`), the AWS CLI and apps.

Belongs here: the protocol (JSON with base64), and delivery when an interval is over. Does not: buffering of records (emulator.py).
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recsys_platform.common.errors import HubError
from recsys_platform.sources.firehose.emulator import FirehoseEmulator

TARGET = "Firehose_20150804."
DELIVERY_CHECK_SECONDS = 1.0


def serve(firehose: FirehoseEmulator, *, host: str, port: int) -> None:
    """Serve the emulator until interrupted; then deliver what is still buffered."""
    uvicorn.run(firehose_app(firehose), host=host, port=port, log_level="warning")


def firehose_app(firehose: FirehoseEmulator) -> Starlette:
    """`PutRecord` and `PutRecordBatch` of an emulator; buffers are delivered when due, and all of them at shutdown."""

    @asynccontextmanager
    async def delivering(app: Starlette) -> AsyncIterator[None]:
        delivery = asyncio.create_task(_deliver_forever(firehose))
        yield
        delivery.cancel()
        await run_in_threadpool(firehose.flush)

    async def call(request: Request) -> Response:
        operation = request.headers.get("x-amz-target", "").removeprefix(TARGET)
        return await run_in_threadpool(_dispatch_call, firehose, operation, await request.body())

    return Starlette(routes=[Route("/", call, methods=["POST"])], lifespan=delivering)


async def _deliver_forever(firehose: FirehoseEmulator) -> None:
    while True:
        await asyncio.sleep(DELIVERY_CHECK_SECONDS)
        with suppress(HubError):  # stays buffered; tried again
            await run_in_threadpool(firehose.deliver_due)


def _dispatch_call(firehose: FirehoseEmulator, operation: str, body: bytes) -> Response:
    calls: dict[str, Callable[..., dict[str, Any]]] = {
        "PutRecord": firehose.put_record,
        "PutRecordBatch": firehose.put_record_batch,
    }
    if operation not in calls:
        return _json_response({"__type": "UnknownOperationException", "message": f"{operation} is not supported."}, 400)
    try:
        return _json_response(calls[operation](**json.loads(body, object_hook=_decode_data)), 200)
    except ClientError as error:
        details = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return _json_response({"__type": details["Code"], "message": details["Message"]}, status)


def _decode_data(value: dict[str, Any]) -> dict[str, Any]:
    return {"Data": base64.b64decode(value["Data"])} if "Data" in value else value


def _json_response(content: Mapping[str, Any], status: int) -> Response:
    body = {name: value for name, value in content.items() if name != "ResponseMetadata"}
    return Response(json.dumps(body), status_code=status, media_type="application/x-amz-json-1.1")
