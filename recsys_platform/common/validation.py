"""What pydantic found wrong, as people read it.

Belongs here: the words. Does not: which error is raised, and what else contradicts itself (each file's own module).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

_ABOUT_NAMES = ("missing", "extra_forbidden")


def first_problem(error: ValidationError, *, place_from: int = 0, shows_value: bool = True) -> str:
    """The first problem, its place before it: `share: input should be less than or equal to 1, not 1.5`.

    `place_from`: how many parts of the place are left out. `shows_value`: whether the value, which may be a secret, is quoted.
    """
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][place_from:])
    message = first["msg"].removeprefix("Value error, ")
    words = f"{message[0].lower()}{message[1:]}{_quoted_value(first) if shows_value else ''}"
    return f"{place}: {words}" if place else words


def _quoted_value(problem: Any) -> str:
    value = problem["input"]
    if problem["type"] in _ABOUT_NAMES or (isinstance(value, Mapping | Sequence) and not isinstance(value, str)):
        return ""
    return f", not {value!r}"
