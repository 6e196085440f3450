from typing import Any
from urllib.parse import quote

import httpx

from ...errors import checked
from ...models.recommended import Recommended
from ...types import UNSET, Unset


def request_of(
    user_id: str,
    *,
    k: int | Unset = 20,
    offset: int | Unset = 0,
    surface: str | Unset = "api",
    language: str | Unset = "",
    categories: str | Unset = "",
    exclude: str | Unset = "",
) -> dict[str, Any]:
    """Arguments of the request for httpx."""

    params: dict[str, Any] = {}

    params["k"] = k

    params["offset"] = offset

    params["surface"] = surface

    params["language"] = language

    params["categories"] = categories

    params["exclude"] = exclude

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/v1/users/{quote(user_id, safe='')}/recommendations",
        "params": params,
    }
    return _kwargs


def answer_of(response: httpx.Response) -> Recommended:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Recommended.from_dict(response.json())

    return response_200
