"""Errors of the API as problem details (RFC 9457)."""

from collections.abc import Mapping

import msgspec

from recsys_platform.serving.gateway.replies import PROBLEM, Reply, encoded_headers


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem: `type` names the kind, `detail` says what is wrong with this request and what to do."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str = ""


KINDS: Mapping[str, tuple[int, str]] = {
    "invalid-request": (422, "The request is not valid"),
    "unauthenticated": (401, "No valid credentials"),
    "forbidden": (403, "Not allowed with these credentials"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "too-large": (413, "The request is too large"),
    "too-many-requests": (429, "The limit of the tier is reached"),
    "internal": (500, "The gateway failed"),
    "not-ready": (503, "The gateway is not ready"),
}
"""The kinds of problems, with status and title."""


class ProblemError(Exception):
    """Raised where a request cannot be answered; `headers` go with the answer."""

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """`kind`: one of KINDS. `detail`: one sentence."""
        super().__init__(detail)
        self.kind, self.detail, self.headers = kind, detail, dict(headers or {})


def problem_reply(error: ProblemError, request_id: str) -> Reply:
    """The reply of a problem."""
    status, title = KINDS[error.kind]
    body = Problem(
        type=f"urn:recsys:problem:{error.kind}", title=title, status=status, detail=error.detail, request_id=request_id
    )
    headers = encoded_headers({**error.headers, "cache-control": "no-store"})
    return Reply(msgspec.json.encode(body), status, PROBLEM, headers)
