"""Shadow traffic: another model is asked for some lists, in the background, to compare; no answer waits for it or changes.

Belongs here: comparing lists without delay. Does not: which are compared (shadow_rule.py), how models are asked (model_hosts.py).
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recsys_platform.serving.errors import BackendError
from recsys_platform.serving.following import Served
from recsys_platform.serving.recommending import Answer, Backend, Query
from recsys_platform.serving.shadow_rule import ShadowRule
from recsys_platform.serving.snapshot import Profile

_LOG = logging.getLogger(__name__)
SECONDS = 0.5
"""The deadline of a shadow's answer: longer than that of an answer that somebody waits for."""
AT_ONCE = 4
"""Comparisons that run at the same time; what comes meanwhile is dropped."""


@dataclass(frozen=True)
class Comparison:
    """Two lists compared: `overlap`, the share of books that both have; `correlation` of the ranks of these, NaN below two.

    `seconds`, `shadow_seconds`: to each answer.
    """

    model: str
    overlap: float
    correlation: float
    seconds: float
    shadow_seconds: float


def compared(answer: Answer, other: Answer) -> tuple[float, float]:
    """Return the overlap of two lists and Spearman's correlation of the ranks of the books that both have."""
    ours = {each.book_id: each.rank for each in answer.items}
    both = [(ours[each.book_id], each.rank) for each in other.items if each.book_id in ours]
    overlap = len(both) / max(len(answer.items), len(other.items), 1)
    return overlap, _rank_correlation(both)


def _rank_correlation(pairs: Sequence[tuple[int, int]]) -> float:
    if len(pairs) < 2:
        return math.nan
    first, second = np.array(pairs).T.argsort(axis=1).argsort(axis=1)
    return float(np.corrcoef(first, second)[0, 1])


class Shadow:
    """Asks the shadow for some lists in threads of its own."""

    def __init__(
        self,
        rule: Callable[[], ShadowRule | None],
        backend: Backend,
        on_result: Callable[[str, Comparison | None], None],
    ) -> None:
        """`rule`: of now. `backend`: asks the shadow, and nobody else. `on_result`: is told `compared`, `dropped` or `failed`."""
        self._rule, self._backend, self._on_result = rule, backend, on_result
        self._free = threading.BoundedSemaphore(AT_ONCE)

    @property
    def rule(self) -> ShadowRule | None:
        """The rule of now; None while nothing is compared."""
        return self._rule()

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shadow")

    def compare(
        self, served: Served, profile: Profile, query: Query, seed: int, answer: Answer, seconds: float
    ) -> None:
        """Compare a list with the shadow's, later, if it is one of the share and few are being compared."""
        rule = self.rule
        if rule is None or not rule.takes(seed):
            return
        if not self._free.acquire(blocking=False):
            self._on_result("dropped", None)
            return
        try:
            self._pool.submit(self._ask, rule, served, profile, query, seed, answer, seconds)
        except RuntimeError:  # the process is ending
            self._free.release()

    def _ask(self, rule: ShadowRule, *given: Any) -> None:
        served, profile, query, seed, answer, seconds = given
        started = time.perf_counter()
        try:
            found = self._backend.recommend(served, rule.model, profile, query, seed)
            took = time.perf_counter() - started
            if found is None or took > SECONDS:
                self._on_result("failed", None)
                return
            result = Comparison(found.model_version, *compared(answer, found), seconds, took)
            _LOG.info(
                "Shadow %s beside %s: overlap %.2f, rank correlation %.2f, %.1f ms beside %.1f ms",
                *(result.model, answer.model_version, result.overlap, result.correlation),
                *(took * 1e3, seconds * 1e3),
            )
            self._on_result("compared", result)
        except BackendError:  # the backend has logged it
            self._on_result("failed", None)
        except Exception:  # noqa: BLE001  # whatever breaks in a shadow, it is told and nothing else
            _LOG.exception("The shadow failed")
            self._on_result("failed", None)
        finally:
            self._free.release()
