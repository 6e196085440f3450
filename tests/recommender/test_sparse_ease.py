"""EASE where books are too many for a dense matrix: the same weights through the readers' side, nearly the same by neighbours."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from scipy import sparse

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.models.ease import EaseParams, fit_ease
from recsys_platform.recommender.models.sparse_ease import (
    _latest_of_each,
    _longest_history,
    keep_largest,
    weights_of_neighbours,
    weights_through_readers,
)
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.ranking.top_k import top_k

Make = Callable[..., Dataset]


def random_likes(seed: int, readers: int, books: int, liked: int) -> dict[str, list[str]]:
    draw = np.random.default_rng(seed)
    return {f"u{n:03}": [f"b{book:03}" for book in draw.choice(books, liked, replace=False)] for n in range(readers)}


def random_matrix(seed: int, readers: int, books: int, density: float) -> Any:
    draw = np.random.default_rng(seed)
    return sparse.csr_array((draw.random((readers, books)) < density).astype(np.float32))


def dense_weights(liked: Any, regularization: float) -> np.ndarray:
    x = liked.toarray().astype(float)
    precision = np.linalg.inv(x.T @ x + regularization * np.eye(x.shape[1]))
    weights = precision / -np.diag(precision)
    np.fill_diagonal(weights, 0)
    return weights


@pytest.mark.parametrize("seed", range(5))
def test_the_weights_through_the_readers_are_those_of_the_inverse_of_books(seed: int) -> None:
    liked = random_matrix(seed, readers=20 + seed, books=90, density=0.1)
    found = weights_through_readers(liked, 3.0 + seed, neighbours=90)
    np.testing.assert_allclose(found.toarray(), dense_weights(liked, 3.0 + seed), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_book_keeps_its_largest_weights_only(seed: int) -> None:
    liked = random_matrix(seed, readers=30, books=80, density=0.2)
    whole, found = dense_weights(liked, 5.0), weights_through_readers(liked, 5.0, neighbours=7).toarray()
    assert ((found != 0).sum(axis=0) <= 7).all()
    for column in range(80):
        kept = set(np.flatnonzero(found[:, column]))
        assert kept == set(np.argsort(-np.abs(whole[:, column]))[:7])


@pytest.mark.parametrize("seed", range(3))
def test_the_weights_of_neighbours_are_those_of_the_inverse_where_all_books_are_neighbours(seed: int) -> None:
    liked = random_matrix(seed, readers=300, books=25, density=0.4)
    found = weights_of_neighbours(liked, 10.0, neighbours=24)
    np.testing.assert_allclose(found.toarray(), dense_weights(liked, 10.0), atol=1e-5)
    assert np.diff(sparse.csc_array(weights_of_neighbours(liked, 10.0, neighbours=5)).indptr).tolist() == [5] * 25


def test_all_books_take_part_however_many_there_are(checkerboard: Any) -> None:
    users = np.arange(60, dtype=np.int32)
    for size in (10, 3):  # fewer than the 20 books: by neighbours, since there are 60 readers
        model = fit_ease(checkerboard.data, EaseParams(regularization=5.0, max_books=size))
        assert sparse.issparse(model.similarity)
        offered = top_k(model.scores, users, k=1, exclude=checkerboard.data.pairs()).books[:, 0]
        assert offered.tolist() == checkerboard.withheld


def test_a_catalogue_of_more_books_than_readers_has_the_scores_of_the_dense_form(make_dataset: Make) -> None:
    likes = random_likes(1, readers=30, books=60, liked=8)
    data = make_dataset(likes, [f"b{number:03}" for number in range(60)])
    dense, by_readers = (fit_ease(data, EaseParams(regularization=4.0, max_books=size)) for size in (60, 30))
    everyone = np.arange(30, dtype=np.int32)
    np.testing.assert_allclose(by_readers.scores(everyone), dense.scores(everyone), atol=1e-5)
    model = TrainedModel(by_readers, data.user_ids, data.book_ids)
    again = restore("ease", model.arrays()).model
    np.testing.assert_array_equal(again.scores(everyone), by_readers.scores(everyone))


def test_the_number_of_threads_changes_no_weight() -> None:
    liked = random_matrix(1, readers=400, books=120, density=0.03)
    before, found = numba.get_num_threads(), []
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            found.append(weights_of_neighbours(liked, 10.0, neighbours=20).toarray())
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[-1])


def test_of_long_histories_the_latest_books_are_counted() -> None:
    assert _longest_history(np.array([3, 2, 1])) == 3
    assert _longest_history(np.array([10, 6_000, 6_000])) == 4_999
    rows = sparse.csr_array((np.ones(6, np.float32), [4, 1, 3, 0, 2, 4], [0, 4, 4, 6]), shape=(3, 5))
    kept = _latest_of_each(rows, 2)
    assert kept.indices.tolist() == [3, 0, 2, 4]
    assert kept.indptr.tolist() == [0, 2, 2, 4]


def test_the_strongest_entries_of_a_row_stay_whatever_their_sign() -> None:
    rows = np.array([[0.1, -0.9, 0.5, 0.0], [0.0, 0.0, 0.0, 0.2]], np.float32)
    assert keep_largest(rows, 2).toarray() == pytest.approx(np.array([[0, -0.9, 0.5, 0], [0, 0, 0, 0.2]]))
