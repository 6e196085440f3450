"""What a notebook shows while a cell works.

Belongs here: one line that each step replaces. Does not: the steps.
"""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from recsys_platform.recommender.evaluation.evaluate import OnProgress

__all__: list[str] = []

_NO_WIDGETS = "IProgress not found"
"""A warning of tqdm, which libraries of models import: it has no progress bar here."""


@contextmanager
def shown_progress(done: str) -> Iterator[OnProgress]:
    """Show each step below the cell in place of the one before, and `done` at the end; in a script on standard error."""
    show = _display_in_place() if _runs_in_a_kernel() else _write_line

    def on_progress(text: str, steps: int, total: int) -> None:
        if not total:  # a step begins
            show(f"{text} …")

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_NO_WIDGETS)
        yield on_progress
    show(done)


def _runs_in_a_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _display_in_place() -> Callable[[str], None]:
    display = importlib.import_module("IPython.display").display
    handle: Any = display({"text/plain": ""}, raw=True, display_id=True)
    return lambda text: handle.update({"text/plain": text}, raw=True)


def _write_line(text: str) -> None:
    print(text, file=sys.stderr)
