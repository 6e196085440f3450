"""The compiled loops give what the formulas say, for one reader as for many."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys_platform.recommender.models.blend import standardized, weighted_sum
from recsys_platform.recommender.models.factor_sum import FactorSum
from recsys_platform.recommender.models.factors import MAX_USERS_WITHOUT_BLAS, FactorModel
from recsys_platform.recommender.models.fold_in import MeanMap, history_means
from recsys_platform.recommender.models.histories import histories_from, rank_decay
from recsys_platform.recommender.models.scoring import (
    TILE,
    add_rows,
    add_sparse_rows,
    least_squares_shares,
    mean_and_deviation,
    multiply,
    weighted_entries,
    weighted_sparse_entries,
)

SEEDS = st.integers(0, 2**32 - 1)


def a_model(random: np.random.Generator, users: int, books: int) -> FactorModel:
    vectors = [random.standard_normal((n, 5), dtype=np.float32) for n in (users, books)]
    bias, known = random.standard_normal(books, dtype=np.float32), np.ones(users, dtype=bool)
    return FactorModel("m", *vectors, bias, known, MeanMap(np.zeros((6, 5), np.float32), 50.0))


@given(SEEDS, st.sampled_from([1, 7, TILE, TILE + 1, 2 * TILE + 5]))
def test_the_product_is_that_of_double_precision_whatever_the_number_of_books(seed: int, books: int) -> None:
    random = np.random.default_rng(seed)
    vectors, matrix = random.standard_normal((2, 3)), random.standard_normal((3, books), dtype=np.float32)
    bias, scores = random.standard_normal(books, dtype=np.float32), np.empty((2, books), np.float32)
    multiply(vectors, matrix, bias, scores)
    assert np.allclose(scores, vectors @ matrix.astype(np.float64) + bias, rtol=1e-6, atol=1e-6)


def test_a_reader_alone_has_the_same_scores_as_in_company() -> None:
    model, everyone = a_model(np.random.default_rng(0), 300, 700), np.arange(300, dtype=np.int32)
    alone = np.concatenate([model.scores(everyone[user : user + 1]) for user in everyone])
    few = np.concatenate(
        [model.scores(everyone[user : user + MAX_USERS_WITHOUT_BLAS]) for user in range(0, 300, MAX_USERS_WITHOUT_BLAS)]
    )
    assert (alone == model.scores(everyone)).all()
    assert (few == alone).all()


@given(SEEDS)
def test_rows_that_are_added_are_a_product_of_sparse_matrices(seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((6, 9), dtype=np.float32) * (random.random((6, 9)) < 0.5)
    starts, at = (
        np.array([0, 2, 2, 12], np.int32),
        random.integers(-1, 6, 12).astype(np.int32),
    )  # four at a time, and what is left
    weights = random.standard_normal(12, dtype=np.float32)
    dense, thin = np.ones((3, 9), np.float32), np.ones((3, 9), np.float32)
    add_rows(starts, at, weights, matrix, dense)
    rows = sparse.csr_array(matrix)
    add_sparse_rows(starts, at, weights, rows.data, rows.indices, rows.indptr, thin)
    known = at >= 0
    whose = np.repeat(np.arange(3), np.diff(starts))
    wanted = sparse.csr_array((weights[known], (whose[known], at[known])), shape=(3, 6)) @ matrix
    assert np.allclose(dense, 1 + wanted, atol=1e-5)
    assert np.allclose(thin, dense, atol=1e-5)


def test_a_history_mean_weighs_newer_books_more_and_is_nothing_for_no_history() -> None:
    vectors = np.array([[1, 0], [0, 1], [5, 5]], np.float32)
    means = history_means(histories_from([[0, 1], []], 3), vectors, 1.0)
    assert means.tolist() == [pytest.approx([1 / 3, 2 / 3]), [0, 0]]
    assert rank_decay(np.array([0, 1], np.int32), 1.0).tolist() == [1, 0.5]


def test_standardized_rows_have_mean_0_and_deviation_1_and_equal_scores_become_0() -> None:
    random = np.random.default_rng(0)
    rows = standardized((random.standard_normal((3, 1000)) * 7 + 100).astype(np.float32))
    assert np.allclose(rows.mean(axis=1), 0, atol=1e-4)
    assert np.allclose(rows.std(axis=1), 1, atol=1e-4)
    assert (standardized(np.full((2, 1001), 0.1, np.float32)) == 0).all()


def test_a_first_score_far_from_the_others_does_not_spoil_their_deviation() -> None:
    row = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    row[0] = 1e4
    mean, deviation = mean_and_deviation(row)
    assert (mean, deviation) == pytest.approx((row.mean(dtype=np.float64), row.std(dtype=np.float64)), rel=1e-6)


def test_a_weighted_sum_adds_standardized_rows_by_the_weight_of_each() -> None:
    one, other = np.array([[1, 3], [0, 8]], np.float32), np.array([[9, 5], [2, 2]], np.float32)
    total = weighted_sum([(one, np.array([1, 2], np.float32)), (other, np.array([3, 4], np.float32))])
    assert total.tolist() == [[-1 + 3, 1 - 3], [-2, 2]]
    assert one.tolist() == [[1, 3], [0, 8]]


@settings(max_examples=60)
@given(SEEDS, st.integers(1, 3 * MAX_USERS_WITHOUT_BLAS), st.sampled_from([2, 40, TILE + 1]))
def test_models_of_vectors_are_added_as_their_standardized_scores_are(seed: int, users: int, books: int) -> None:
    random = np.random.default_rng(seed)
    models = tuple(a_model(random, users, books) for _ in range(3))
    weights = np.array([0.35, 1, 1.5], np.float32)
    everyone = np.arange(users, dtype=np.int32)
    parts = [(model.scores(everyone), np.full(users, weight)) for model, weight in zip(models, weights, strict=True)]
    together = FactorSum(models, weights).scores([model.user_vectors for model in models])
    # Scores that hardly differ are standardized from their last digits: the smaller the deviation, the less is known of them.
    digits = [2 * np.finfo(np.float32).eps * np.abs(scores).max(1) / scores.std(1) * weight for scores, weight in parts]
    assert (np.abs(together - weighted_sum(parts)).max(axis=1) <= 2e-4 + np.sum(digits, axis=0)).all()
    alone = FactorSum(models, weights).scores([model.user_vectors[:1] for model in models])
    assert (alone == together[:1]).all()


def test_a_model_of_vectors_whose_scores_are_all_equal_adds_nothing() -> None:
    random, everyone = np.random.default_rng(0), np.arange(6, dtype=np.int32)
    equal = replace(
        a_model(random, 6, 50), book_vectors=np.full((50, 5), 0.1, np.float32), book_bias=np.full(50, 7.1, np.float32)
    )
    opposite = replace(
        equal,
        book_vectors=np.tile(random.standard_normal((50, 1), dtype=np.float32), 5),
        user_vectors=np.tile(np.array([1, -1, 1, -1, 0], np.float32), (6, 1)),
    )
    other = a_model(random, 6, 50)
    for model in (equal, opposite):
        both = FactorSum((model, other), np.ones(2, np.float32))
        assert np.allclose(
            both.scores([model.user_vectors, other.user_vectors]), standardized(other.scores(everyone)), atol=2e-5
        )


@given(st.integers(0, 2**32), st.lists(st.integers(-1, 6), max_size=5), st.lists(st.integers(-1, 6), max_size=9))
def test_entries_of_a_matrix_are_weighted_by_row_also_for_columns_named_twice(seed, rows, columns):
    random = np.random.default_rng(seed)
    dense = random.integers(0, 3, (7, 7)).astype(np.float32)
    matrix = sparse.csr_array(dense)
    own, listed = np.array(rows, np.int32), np.array(columns, np.int32)
    weights = random.random(len(own)).astype(np.float32)
    known = (own >= 0)[:, None] & (listed >= 0)[None, :]
    expected = dense[np.maximum(own, 0)][:, np.maximum(listed, 0)] * known * weights[:, None]
    of_sparse = weighted_sparse_entries(own, listed, weights, matrix.data, matrix.indices, matrix.indptr)
    assert of_sparse.tolist() == weighted_entries(own, listed, weights, dense).tolist() == expected.tolist()


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_least_squares_shares_of_a_few_books_are_those_of_the_whole_system(seed, size):
    random = np.random.default_rng(seed)
    books = random.normal(size=(9, 5)).astype(np.float32)
    gram = books.T.astype(np.float64) @ books + 2 * np.eye(5)
    liked, confidence = random.choice(9, size, replace=False).astype(np.int32), 5 * random.random(size)
    own = books[liked].astype(np.float64)
    expected = np.linalg.solve(gram + (own.T * (confidence - 1)) @ own, own.T * confidence).T
    assert np.allclose(least_squares_shares(liked, confidence, books, np.linalg.inv(gram)), expected)
