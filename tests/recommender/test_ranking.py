"""The one path from scores to lists."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse

from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.ranking.top_k import NONE, Ranked, ranked_blocks, top_k

Scores = npt.NDArray[np.float32]


def rank(scores: Scores, k: int, **options: object) -> Ranked:
    return top_k(lambda rows: scores[rows], np.arange(len(scores), dtype=np.int32), k=k, **options)  # type: ignore[arg-type]


def brute_force(row: Scores, forbidden: set[int], k: int) -> list[int]:
    eligible = [book for book in range(len(row)) if book not in forbidden]
    best = sorted(eligible, key=lambda book: (-row[book], book))[:k]
    return best + [NONE] * (k - len(best))


@given(st.data(), st.integers(1, 8), st.integers(1, 4))
def test_lists_equal_brute_force_whatever_the_ties_and_the_block(data: st.DataObject, k: int, block: int) -> None:
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    scores = data.draw(arrays(np.float32, shape, elements=st.sampled_from([0, 0.5, 1, 1.5, -2])))
    excluded = data.draw(arrays(np.bool_, shape))
    allowed = data.draw(arrays(np.bool_, shape[1]))
    ranked = rank(scores, k, exclude=sparse.csr_array(excluded), allowed=allowed, block=block)
    for row in range(shape[0]):
        forbidden = set(np.flatnonzero(excluded[row] | ~allowed).tolist())
        assert ranked.books[row].tolist() == brute_force(scores[row], forbidden, k)
        assert (np.diff(ranked.scores[row][ranked.books[row] != NONE]) <= 0).all()


def test_equal_scores_come_in_the_order_of_the_books() -> None:
    assert rank(np.zeros((2, 50), np.float32), 3).books.tolist() == [[0, 1, 2]] * 2


def test_a_list_is_shorter_where_fewer_books_are_eligible() -> None:
    ranked = rank(np.array([[3, 2, 1]], np.float32), 5, allowed=np.array([True, False, True]))
    assert ranked.books.tolist() == [[0, 2, NONE, NONE, NONE]]
    assert ranked.scores.tolist() == [[3, 1, -np.inf, -np.inf, -np.inf]]


def test_exclusions_belong_to_the_row_that_is_ranked_not_to_its_place_in_the_block() -> None:
    scores, exclude = np.array([[2, 1]] * 3, np.float32), sparse.csr_array(np.array([[0, 0], [0, 0], [1, 0]]))
    ranked = top_k(lambda rows: scores[rows], np.array([2, 0], np.int32), k=1, exclude=exclude)
    assert ranked.books.tolist() == [[1], [0]]


def test_nobody_gets_no_lists() -> None:
    assert rank(np.empty((0, 4), np.float32), 3).books.shape == (0, 3)


def test_blocks_are_as_large_as_asked() -> None:
    scores = np.ones((5, 4), np.float32)
    blocks = list(ranked_blocks(lambda rows: scores[rows], np.arange(5, dtype=np.int32), k=2, block=2))
    assert [len(block.rows) for block in blocks] == [2, 2, 1]


def test_a_score_that_is_not_a_number_is_an_error_and_not_a_recommendation() -> None:
    with pytest.raises(ModelError, match="not a number"):
        rank(np.array([[1, np.nan, 0]], np.float32), 1)
