"""Values computed by hand, written as arithmetic."""

import importlib
from math import log2
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.ranking.top_k import top_k

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


def test_the_first_hit_gives_the_reciprocal_rank() -> None:
    assert metrics.reciprocal_rank(HITS, RELEVANT) == pytest.approx([1 / 1, 1 / 4, 1 / 1, 0])


def test_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half() -> None:
    scores = np.array([[4, 3, 2, 1, 0], [4, 3, 2, 1, 0], [1, 1, 1, 1, 1]], dtype=np.float32)
    test = sparse.csr_array(np.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=bool))
    seen = sparse.csr_array(np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]], dtype=bool))
    # The first: 3 beats 2 and 0, 1 beats 0 but not 2; nothing is relevant to the second; the third is all ties.
    assert metrics.auc(scores, test, seen) == pytest.approx([(2 + 1) / 4, 0.5, 0.5])


def test_a_list_of_what_few_like_is_novel() -> None:
    likes = np.array([3, 1, 0])
    found = metrics.novelty(np.array([[0, 1], [2, -1]]), likes, 3)
    assert found == pytest.approx([(-log2(4 / 4) - log2(2 / 4)) / 2, -log2(1 / 4)])


def test_a_list_is_diverse_by_how_little_its_books_share() -> None:
    features = sparse.csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=np.float64))
    lists = np.array([[0, 1, -1], [0, 2, -1], [0, 1, 2], [0, 3, -1], [0, -1, -1]])
    assert metrics.diversity(lists, features) == pytest.approx([0, 1, 1 - 1 / 3, 1, 0])


def test_popularity_lift_is_above_what_the_reader_liked_before() -> None:
    percentile = np.array([0.9, 0.5, 0.1])
    lists = np.array([[0, 1], [2, -1], [-1, -1]])
    found = metrics.popularity_lift(lists, percentile, np.array([0.5, 0.5, 0.0]))
    assert found == pytest.approx([(0.9 + 0.5) / 2 - 0.5, 0.1 - 0.5, 0])


RANX = {
    "ndcg": metrics.ndcg,
    "precision": metrics.precision,
    "recall": metrics.recall,
    "hit_rate": metrics.hit_rate,
    "mrr": metrics.reciprocal_rank,
    "map": metrics.average_precision,
}


@pytest.fixture
def ranx(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library as plain Python: it would compile itself for a minute to judge a few rankings."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    return importlib.import_module("ranx")


@pytest.mark.parametrize("k", [1, 5, 12])
def test_every_metric_agrees_with_an_independent_library_on_rankings_with_ties_and_empty_users(
    ranx: Any, k: int
) -> None:
    """ranx breaks ties as it likes, so it is handed the order that we rank in; its MAP divides by all that is relevant."""
    random = np.random.default_rng(k)
    scores = random.integers(0, 4, size=(60, 12)).astype(np.float32)
    relevant = random.random((60, 12)) < np.linspace(0.05, 0.6, 60)[:, None]
    relevant[[3, 17]] = False
    books = top_k(lambda rows: scores[rows], np.arange(60, dtype=np.int32), k=12).books
    hits, counts = metrics.hits_of(books, sparse.csr_array(relevant))[:, :k], relevant.sum(axis=1).astype(np.int32)
    asked = np.flatnonzero(counts)
    names = {user: f"u{user:02d}" for user in asked}  # ranx answers in the order of the names
    run = ranx.Run({names[user]: {f"b{b}": float(12 - rank) for rank, b in enumerate(books[user])} for user in asked})
    truth = ranx.Qrels({names[user]: {f"b{b}": 1 for b in np.flatnonzero(relevant[user])} for user in asked})
    for name, metric in RANX.items():
        theirs = ranx.evaluate(truth, run, f"{name}@{k}", return_mean=False)
        ours = metric(hits, counts)
        scale = np.minimum(k, counts[asked]) / counts[asked] if name == "map" else 1
        assert ours[asked] * scale == pytest.approx(theirs), name
        assert (ours[counts == 0] == 0).all()
