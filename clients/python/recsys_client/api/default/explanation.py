from typing import Any
from urllib.parse import quote

import httpx

from ...errors import checked
from ...models.explanation import Explanation


def request_of(
    request_id: str,
) -> dict[str, Any]:
    """Arguments of the request for httpx."""

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/v1/recommendations/{quote(request_id, safe='')}/explanation",
    }
    return _kwargs


def answer_of(response: httpx.Response) -> Explanation:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Explanation.from_dict(response.json())

    return response_200
