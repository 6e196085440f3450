"""Values computed by hand, written as arithmetic."""

from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys_platform.recommender import metrics

HITS = np.array(
    [
        [True, False, True, False],  # hits at ranks 1 and 3
        [False, False, False, True],  # at rank 4
        [True, True, True, True],
        [False, False, False, False],
    ]
)
RELEVANT = np.array([2, 3, 9, 0], dtype=np.int32)


def test_ndcg_divides_by_an_ideal_list_of_min_k_relevant() -> None:
    ideal = {n: sum(1 / log2(rank + 1) for rank in range(1, n + 1)) for n in (2, 3)}
    expected = [(1 / log2(2) + 1 / log2(4)) / ideal[2], (1 / log2(5)) / ideal[3], 1, 0]
    assert metrics.ndcg(HITS, RELEVANT) == pytest.approx(expected)


def test_average_precision_divides_by_min_k_relevant() -> None:
    expected = [(1 / 1 + 2 / 3) / 2, (1 / 4) / 3, (1 / 1 + 2 / 2 + 3 / 3 + 4 / 4) / 4, 0]
    assert metrics.average_precision(HITS, RELEVANT) == pytest.approx(expected)


def test_precision_divides_by_k() -> None:
    assert metrics.precision(HITS, RELEVANT) == pytest.approx([2 / 4, 1 / 4, 4 / 4, 0])


def test_recall_divides_by_all_that_is_relevant() -> None:
    assert metrics.recall(HITS, RELEVANT) == pytest.approx([2 / 2, 1 / 3, 4 / 9, 0])


def test_hit_rate_is_whether_there_is_any_hit() -> None:
    assert metrics.hit_rate(HITS, RELEVANT) == pytest.approx([1, 1, 1, 0])


def test_coverage_counts_each_book_once_and_padding_never() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]], dtype=np.int32), n_books=4) == 2 / 4
    assert metrics.coverage(np.empty((0, 2), dtype=np.int32), n_books=0) == 0


def test_hits_are_looked_up_row_by_row_and_padding_is_no_hit() -> None:
    test = sparse.csr_array(np.array([[True, False, False], [False, True, True]]))
    books = np.array([[2, 0, -1], [2, 1, 0]], dtype=np.int32)
    assert metrics.hits_of(books, test).tolist() == [[False, True, False], [True, True, False]]


@pytest.mark.parametrize("metric", [metrics.ndcg, metrics.average_precision, metrics.precision, metrics.recall])
def test_nobody_has_no_values(metric: object) -> None:
    assert metric(np.empty((0, 5), dtype=bool), np.empty(0, dtype=np.int32)).shape == (0,)  # type: ignore[operator]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 5))
def test_every_metric_lies_between_0_and_1(row: list[bool], more: int) -> None:
    hits, relevant = np.array([row]), np.array([sum(row) + more], dtype=np.int32)
    for metric in (metrics.ndcg, metrics.average_precision, metrics.precision, metrics.recall, metrics.hit_rate):
        assert 0 <= metric(hits, relevant)[0] <= 1 + 1e-12


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_moving_a_hit_up_never_makes_a_list_worse(row: list[bool]) -> None:
    relevant = np.array([max(1, sum(row))], dtype=np.int32)
    hits, better = np.array([row]), np.array([sorted(row, reverse=True)])
    for metric in (metrics.ndcg, metrics.average_precision):
        assert metric(better, relevant)[0] >= metric(hits, relevant)[0] - 1e-12
