"""Vectors of readers whom training has not met."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.errors import NothingToLearnError
from recsys_platform.recommender.models.als import AlsParams, fit_als
from recsys_platform.recommender.models.fold_in import LeastSquares, MeanMap
from recsys_platform.recommender.models.histories import histories_from, histories_of
from recsys_platform.recommender.models.item_knn import ItemKnnParams, fit_item_knn
from recsys_platform.recommender.models.sequence import SequenceParams, fit_sequence

LIKED = histories_from([[0, 2, 4], [], [1, 3]], 5)


@pytest.fixture
def books() -> Any:
    return np.random.default_rng(0).standard_normal((5, 3), dtype=np.float32)


def test_a_reader_folded_in_gets_the_vector_that_implicit_would_train(books: Any) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    params = AlsParams(components=3, regularization=2.0, alpha=5.0, half_life=2.0)
    theirs = AlternatingLeastSquares(factors=3, regularization=2.0, alpha=1.0, use_cg=False, num_threads=1)
    theirs.item_factors = books
    gram = books.T.astype(np.float64) @ books + params.regularization * np.eye(3)
    ours = LeastSquares(gram, params.alpha, params.half_life).vectors(LIKED, books)
    confidence = sparse.csr_matrix(params.alpha * LIKED.weighted(params.half_life))
    for reader in (0, 2):
        assert ours[reader] == pytest.approx(theirs.recalculate_user(0, confidence[reader]), rel=1e-4)
    assert ours[1].tolist() == [0, 0, 0]


def test_readers_are_solved_against_the_books_of_training_and_not_against_those_that_came_since(
    make_interactions: Callable[..., pd.DataFrame],
) -> None:
    rows = make_interactions({"u1": ["b1", "b2"], "u2": ["b2"]})
    books = pd.DataFrame({"book_id": ["b1", "b2", "new"], "categories": [["art"], ["war"], ["art"]]})
    model = fit_als(build_dataset(rows, pd.DataFrame({"user_id": ["u1", "u2"]}), books), AlsParams(components=4))
    assert np.abs(model.book_vectors[2]).max() > 0
    known, fold_in_method = model.book_vectors[:2].astype(np.float64), model.fold_in_method
    assert isinstance(fold_in_method, LeastSquares)
    assert fold_in_method.gram == pytest.approx(known.T @ known + AlsParams().regularization * np.eye(4), rel=1e-5)


@pytest.mark.parametrize(
    "fold_in_method",
    [LeastSquares(np.eye(3) * 3, 4.0, 2.0), MeanMap(np.vstack([np.eye(3), np.zeros(3)]).astype(np.float32), 2.0)],
)
def test_what_the_liked_books_add_is_the_vector(fold_in_method: Any, books: Any) -> None:
    for reader in range(3):
        one = LIKED.take(np.array([reader], np.int32))
        shares = fold_in_method.shares(one, books)
        assert shares.shape == (len(one.books), 3)
        assert shares.sum(axis=0) == pytest.approx(fold_in_method.vectors(LIKED, books)[reader], abs=1e-6)


def test_books_liked_at_one_moment_are_of_one_age_and_others_as_old_as_there_are_newer_ones(
    make_dataset: Callable[..., Dataset],
) -> None:
    days = pd.to_datetime(["2026-01-03", "2026-01-01", "2026-01-03", "2026-01-02", "2026-01-01"])
    data = make_dataset({"u1": ["b1", "b2", "b3", "b4"], "u2": ["b1"]}, ["b1", "b2", "b3", "b4"], last_at=days)
    histories = histories_of(data)
    assert histories.books.tolist() == [1, 3, 0, 2, 0]
    assert histories.age.tolist() == [3, 2, 0, 0, 0]
    assert histories.take(np.array([1, 0], np.int32)).age.tolist() == [0, 3, 2, 0, 0]


def test_without_times_all_books_count_alike_and_there_is_no_order_to_learn_from(
    make_dataset: Callable[..., Dataset],
) -> None:
    likes = {"u1": ["b1", "b2", "b3"], "u2": ["b2", "b3"], "u3": ["b1", "b3"]}
    data = make_dataset(likes, ["b1", "b2", "b3"], last_at=pd.Timestamp("2026-01-01"))
    slow, fast = (fit_item_knn(data, ItemKnnParams(half_life=half_life)) for half_life in (1e9, 0.1))
    everyone = np.arange(3, dtype=np.int32)
    assert (slow.scores(everyone) == fast.scores(everyone)).all()
    with pytest.raises(NothingToLearnError, match="no order to learn from"):
        fit_sequence(data, SequenceParams())


def test_histories_that_are_given_in_order_have_the_ages_of_that_order() -> None:
    assert LIKED.age.tolist() == [2, 1, 0, 1, 0]
