from typing import Any

import httpx

from ...errors import checked
from ...models.event import Event
from ...models.event_batch import EventBatch
from ...models.event_verdicts import EventVerdicts


def request_of(
    *,
    body: Event | EventBatch,
) -> dict[str, Any]:
    """Arguments of the request for httpx."""
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": f"/v1/events",
    }

    if isinstance(body, Event):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def answer_of(response: httpx.Response) -> EventVerdicts:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_202 = EventVerdicts.from_dict(response.json())

    return response_202
