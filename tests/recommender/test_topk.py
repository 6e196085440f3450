"""The same lists by whatever way: brute force, in blocks, one reader at a time, by vectors or by scores."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.ranking.top_k import NONE, Allowed, Factors, top_k

seeds = st.integers(0, 10_000)


def by_hand(scores: Any, k: int) -> list[list[int]]:
    """Sorted by score, then book; what is -inf is not ranked."""
    lists = [sorted(np.flatnonzero(~np.isneginf(row)), key=lambda book, row=row: (-row[book], book)) for row in scores]
    return [[*map(int, books[:k]), *[NONE] * (k - len(books))] for books in lists]


def world(seed: int, *, users: int = 7, books: int = 150) -> tuple[Any, Any]:
    """Scores of few distinct values, so that there are ties, and books that users may not rank."""
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, size=(users, books)).astype(np.float32)
    scores[random.random(scores.shape) < 0.1] = -np.inf
    return scores, sparse.csr_array(random.random(scores.shape) < 0.2)


@given(seed=seeds, k=st.sampled_from([1, 3, 64, 150, 200]), block=st.integers(1, 8))
def test_scores_in_any_blocks_give_the_lists_sorted_by_hand(seed: int, k: int, block: int) -> None:
    scores, exclude = world(seed)
    allowed = np.random.default_rng(seed).random(150) < 0.9
    found = top_k(
        lambda rows: scores[rows].copy(),
        np.arange(7, dtype=np.int32),
        k=k,
        exclude=exclude,
        allowed=allowed,
        block=block,
    )
    expected = np.where(exclude.toarray() | ~allowed, -np.inf, scores)
    assert found.books.tolist() == by_hand(expected, k)


def factors(seed: int, *, integers: bool, books: int = 2100) -> Factors:
    """More books than a tile holds; of small integers, so that products are exact and often equal."""
    random = np.random.default_rng(seed)
    if integers:
        users, items = (random.integers(-2, 3, size=(n, 4)).astype(np.float32) for n in (9, books))
        return Factors(users, items, random.integers(0, 2, books).astype(np.float32))
    users, items = (random.standard_normal((n, 16), dtype=np.float32) for n in (9, books))
    return Factors(users, items, random.standard_normal(books, dtype=np.float32))


@given(seed=seeds, integers=st.booleans(), k=st.sampled_from([1, 10, 50]))
def test_vectors_give_the_lists_of_their_product(seed: int, integers: bool, k: int) -> None:
    given_factors = factors(seed, integers=integers)
    product = (given_factors.users.astype(np.float64) @ given_factors.books.T.astype(np.float64)).astype(np.float64)
    scores = (product + given_factors.bias).astype(np.float32)
    found = top_k(given_factors, np.arange(9, dtype=np.int32), k=k)
    assert found.books.tolist() == by_hand(scores, k)


@given(seed=seeds, integers=st.booleans(), block=st.integers(1, 9))
def test_a_readers_list_is_the_same_to_the_last_bit_in_any_company(seed: int, integers: bool, block: int) -> None:
    given_factors = factors(seed, integers=integers)
    everyone = np.arange(9, dtype=np.int32)
    exclude = sparse.csr_array(np.random.default_rng(seed).random((9, 2100)) < 0.01)
    whole = top_k(given_factors, everyone, k=20, exclude=exclude)
    parts = top_k(given_factors, everyone, k=20, exclude=exclude, block=block)
    assert (whole.books == parts.books).all()
    assert (whole.scores == parts.scores).all()
    assert not exclude[np.repeat(everyone, 20), whole.books.ravel()].any()


def test_books_that_are_the_same_come_in_their_order() -> None:
    random = np.random.default_rng(0)
    one = random.standard_normal((1, 16), dtype=np.float32)
    same = Factors(
        random.standard_normal((3, 16), dtype=np.float32), np.repeat(one, 1500, axis=0), np.zeros(1500, np.float32)
    )
    assert top_k(same, np.arange(3, dtype=np.int32), k=5).books.tolist() == [[0, 1, 2, 3, 4]] * 3


def test_groups_of_readers_may_rank_different_books() -> None:
    scores = np.tile(np.arange(6, dtype=np.float32), (3, 1))
    allowed = Allowed(
        np.array([[1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 1, 0]], dtype=bool), group=np.array([0, 1, 1], np.int32)
    )
    rows = np.array([2, 0], np.int32)
    assert top_k(lambda some: scores[some], rows, k=3, allowed=allowed).books.tolist() == [[4, 2, 0], [5, 4, 3]]


@given(seed=seeds, integers=st.booleans(), block=st.sampled_from([1, 4, 9]))
def test_groups_and_exclusions_hold_for_vectors_as_for_scores(seed: int, integers: bool, block: int) -> None:
    given_factors, random = factors(seed, integers=integers), np.random.default_rng(seed)
    exclude = sparse.csr_array(random.random((9, 2100)) < 0.3)
    allowed = Allowed(random.random((4, 2100)) < 0.5, random.integers(0, 4, 9).astype(np.int32), exclude)
    rows = random.permutation(9).astype(np.int32)
    product = given_factors.users.astype(np.float64) @ given_factors.books.T.astype(np.float64) + given_factors.bias
    scores = np.where(allowed.books[allowed.group] & ~exclude.toarray(), product, -np.inf).astype(np.float32)
    by_vectors = top_k(given_factors, rows, k=30, allowed=allowed, block=block)
    by_scores = top_k(lambda some: scores[some], rows, k=30, allowed=allowed, block=block)
    assert by_vectors.books.tolist() == by_scores.books.tolist() == by_hand(scores[rows], 30)


def test_an_order_that_single_precision_cannot_see_is_found_all_the_same() -> None:
    # 2²⁴ + share - 2²⁴ is 0 for all of them in single precision, and there are more of them than are kept in reserve.
    share = np.arange(1500, dtype=np.float32) / 4000
    large = np.full(1500, 2**24, np.float32)
    near = Factors(np.ones((2, 3), np.float32), np.column_stack([large, share, -large]), np.zeros(1500, np.float32))
    barred = sparse.csr_array((np.ones(1, bool), ([1], [1499])), shape=(2, 1500))
    found = top_k(near, np.arange(2, dtype=np.int32), k=3, exclude=barred)
    assert found.books.tolist() == [[1499, 1498, 1497], [1498, 1497, 1496]]
    assert found.scores[0].tolist() == share[[1499, 1498, 1497]].tolist()


def test_more_books_of_one_vector_than_are_kept_in_reserve_are_ranked_in_full() -> None:
    random = np.random.default_rng(1)
    books = random.standard_normal((3000, 16), dtype=np.float32) * np.float32(0.1)
    alike = np.sort(random.permutation(3000)[:200])
    books[alike] = 1  # ahead of all others, and spread over three tiles
    one = Factors(np.ones((1, 16), np.float32), books, np.zeros(3000, np.float32))
    barred = sparse.csr_array((np.ones(5, bool), (np.zeros(5, int), alike[:5])), shape=(1, 3000))
    assert top_k(one, np.array([0], np.int32), k=10, exclude=barred).books.tolist() == [alike[5:15].tolist()]


@pytest.mark.parametrize(
    "rules",
    [
        {"allowed": np.ones(5, dtype=bool)},
        {"allowed": Allowed(np.ones((2, 2200), dtype=bool))},
        {"exclude": sparse.csr_array((9, 5), dtype=bool)},
    ],
)
def test_rules_about_other_books_are_an_error(rules: dict[str, Any]) -> None:
    some = factors(0, integers=True)
    for score in (some, lambda rows: np.zeros((len(rows), 2100), np.float32)):
        with pytest.raises(ModelError, match=r"rules are about .* and the scores about 2,100"):
            top_k(score, np.arange(9, dtype=np.int32), k=3, **rules)


def test_a_group_without_a_mask_is_an_error() -> None:
    allowed = Allowed(np.ones((1, 2100), dtype=bool), group=np.full(9, 3, np.int32))
    with pytest.raises(IndexError):
        top_k(factors(0, integers=True), np.arange(9, dtype=np.int32), k=3, allowed=allowed)


def test_exclusions_beside_rules_that_say_all_and_lists_of_nothing_are_errors() -> None:
    some, everyone = factors(0, integers=True), np.arange(9, dtype=np.int32)
    with pytest.raises(ValueError, match="inside `allowed`"):
        top_k(
            some,
            everyone,
            k=3,
            allowed=Allowed(np.ones((1, 2100), dtype=bool)),
            exclude=sparse.csr_array((9, 2100), dtype=bool),
        )
    with pytest.raises(ValueError, match="k must be at least 1"):
        top_k(some, everyone, k=0)


def test_nobody_to_rank_for_is_no_list() -> None:
    assert top_k(factors(0, integers=True), np.empty(0, np.int32), k=3).books.shape == (0, 3)


@pytest.mark.parametrize("where", [0, 149])
def test_a_score_that_is_no_number_is_an_error(where: int) -> None:
    scores = np.zeros((1, 150), np.float32)
    scores[0, where] = np.nan
    with pytest.raises(ModelError, match="not a number"):
        top_k(lambda rows: scores[rows], np.array([0], np.int32), k=3)
    broken = factors(0, integers=False)
    broken.books[where] = np.nan
    with pytest.raises(ModelError, match="not a number"):
        top_k(broken, np.array([0], np.int32), k=3)
