from typing import Any

import httpx

from ...errors import checked
from ...models.guest_request import GuestRequest
from ...models.recommended import Recommended


def request_of(
    *,
    body: GuestRequest,
) -> dict[str, Any]:
    """Arguments of the request for httpx."""
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": f"/v1/recommendations",
    }
    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def answer_of(response: httpx.Response) -> Recommended:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Recommended.from_dict(response.json())

    return response_200
