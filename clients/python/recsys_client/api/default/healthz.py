from typing import Any

import httpx

from ...errors import checked
from ...models.health import Health


def request_of() -> dict[str, Any]:
    """Arguments of the request for httpx."""

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/healthz",
    }
    return _kwargs


def answer_of(response: httpx.Response) -> Health:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Health.from_dict(response.json())

    return response_200
