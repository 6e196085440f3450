from typing import Any

import httpx

from ...errors import checked
from ...models.recommended import Recommended
from ...types import UNSET, Unset


def request_of(
    *,
    k: int | Unset = 20,
    offset: int | Unset = 0,
    surface: str | Unset = "api",
    language: str | Unset = "",
    categories: str | Unset = "",
    exclude: str | Unset = "",
    user_id: str | Unset = "",
    anonymous_id: str | Unset = "",
) -> dict[str, Any]:
    """Arguments of the request for httpx."""

    params: dict[str, Any] = {}

    params["k"] = k

    params["offset"] = offset

    params["surface"] = surface

    params["language"] = language

    params["categories"] = categories

    params["exclude"] = exclude

    params["user_id"] = user_id

    params["anonymous_id"] = anonymous_id

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": f"/v1/popular",
        "params": params,
    }
    return _kwargs


def answer_of(response: httpx.Response) -> Recommended:
    """The answer of a response. Raises ApiError unless its status says that it is a good one."""
    checked(response)
    response_200 = Recommended.from_dict(response.json())

    return response_200
