"""How one of fakesnow's functions is put aside for ours, which may still call it."""

from collections.abc import Callable
from functools import wraps
from typing import Any


def around(owner: Any, name: str, ours: Callable[..., Any]) -> None:
    """Let `ours(theirs, *args, **kwargs)` answer for the attribute of a module or class, `theirs` being what stood there."""
    theirs = getattr(owner, name)

    @wraps(theirs)
    def answer(*args: Any, **kwargs: Any) -> Any:
        return ours(theirs, *args, **kwargs)

    setattr(owner, name, answer)
