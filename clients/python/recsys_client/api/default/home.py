from typing import Any
from urllib.parse import quote

import httpx

from ...errors import checked
from ...models.home import Home
from ...types import UNSET, Unset


def request_of(
    user_id: str,
    *,
    k: int | Unset = 10,
    language: str | Unset = "",
) -> dict[str, Any]:
    """Arguments of the request for httpx."""

    params: dict[str, Any] = {}

    params["k"] = k

    params["language"] = language

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/v1/users/{quote(user_id, safe='')}/home",
        "params": params,
    }
    return _kwargs


def answer_of(response: httpx.Response) -> Home:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Home.from_dict(response.json())

    return response_200
