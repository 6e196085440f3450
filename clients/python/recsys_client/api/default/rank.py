from typing import Any

import httpx

from ...errors import checked
from ...models.rank_request import RankRequest
from ...models.ranked import Ranked


def request_of(
    *,
    body: RankRequest,
) -> dict[str, Any]:
    """Arguments of the request for httpx."""
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": f"/v1/rank",
    }
    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"
    _kwargs["headers"] = headers
    return _kwargs


def answer_of(response: httpx.Response) -> Ranked:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Ranked.from_dict(response.json())

    return response_200
