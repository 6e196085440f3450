"""What the API answers when it cannot do what was asked."""

import httpx

from .models.problem import Problem


class ApiError(Exception):
    """The API answered with a problem. `problem`: what is wrong, None if something else than the API answered."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem = _problem_of(response)
        self.request_id = response.headers.get("x-request-id", "")
        wait = response.headers.get("retry-after", "")
        self.retry_after = int(wait) if wait.isdigit() else None
        """Seconds to wait before the same request may be sent again."""
        super().__init__(f"{self.status} {self.problem.detail if self.problem else response.reason_phrase}")


def checked(response: httpx.Response) -> None:
    """Raise ApiError unless the status is a good one."""
    if not response.is_success:
        raise ApiError(response)


def _problem_of(response: httpx.Response) -> Problem | None:
    if response.headers.get("content-type", "").partition(";")[0] != "application/problem+json":
        return None
    return Problem.from_dict(response.json())
