from typing import Any

import httpx

from ...errors import checked


def request_of() -> dict[str, Any]:
    """Arguments of the request for httpx."""

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/metrics",
    }
    return _kwargs


def answer_of(response: httpx.Response) -> str:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = response.text
    return response_200
