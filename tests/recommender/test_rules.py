"""What may be recommended, how a list is put together, and what is tried out at random with which probability."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.exploration import explore, seed_of
from recsys_platform.recommender.lists.reranking import (
    Reranking,
    category_vectors,
    promoted_books,
    rerank,
    with_promoted,
)
from recsys_platform.recommender.lists.rules import Rules, apply_rules
from recsys_platform.recommender.ranking.top_k import NONE, Allowed, Ranked, top_k

USERS = pd.DataFrame({"user_id": ["free", "paying"], "tier": ["free", "premium"], "language": ["en", "xx"]})
BOOKS = pd.DataFrame(
    {
        "book_id": ["b0", "b1", "b2", "b3", "b4", "b5"],
        "language": ["en", "en", "de", "de", "en", "en"],
        "is_available": [True, True, True, True, True, False],
        "is_premium": [False, True, False, False, False, False],
    }
)
SCORES = -np.tile(np.arange(6, dtype=np.float32), (2, 1))  # the books in their order


@pytest.fixture
def data(make_interactions: Callable[..., pd.DataFrame]) -> Dataset:
    """`free` finished b0, removed b3 last and dismissed nothing else."""
    rows = make_interactions(
        {"free": ["b0", "b3", "b4"]},
        is_finished=[True, False, False],
        last_action=["Book Finished", "Book Removed", "Book Viewed"],
    )
    return build_dataset(rows, USERS, BOOKS)


def lists(data: Dataset, rules: Rules, **more: Any) -> list[list[int]]:
    found = top_k(lambda rows: SCORES[rows], np.array([0, 1], np.int32), k=6, allowed=apply_rules(rules, data, **more))
    return [[book for book in books if book != NONE] for books in found.books.tolist()]


def test_by_default_all_rules_but_language_hold(data: Dataset) -> None:
    assert lists(data, Rules()) == [[2, 4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("rules", "free", "paying"),
    [
        (Rules(finished=False), [0, 2, 4], [0, 1, 2, 3, 4]),
        (Rules(rejected=False), [2, 3, 4], [0, 1, 2, 3, 4]),
        (Rules(premium=False), [1, 2, 4], [0, 1, 2, 3, 4]),
        (Rules(unavailable=False), [2, 4, 5], [0, 1, 2, 3, 4, 5]),
        (Rules(language="own"), [4], [0, 1, 2, 3, 4]),  # there is no book in xx
    ],
)
def test_each_rule_can_be_changed_alone(data: Dataset, rules: Rules, free: list[int], paying: list[int]) -> None:
    assert lists(data, rules) == [free, paying]


def test_a_language_of_which_nothing_is_offered_does_not_leave_a_reader_without_a_list(data: Dataset) -> None:
    english_is_premium = replace(data, premium=data.book_language == "en")
    assert lists(english_is_premium, Rules(language="own")) == [[2], [0, 1, 2, 3, 4]]


def test_further_pairs_can_be_left_out(data: Dataset) -> None:
    shown = sparse.csr_array(np.array([[0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]], dtype=bool))
    assert lists(data, Rules(), exclude=shown) == [[4], [1, 2, 3, 4]]


POOL = Ranked(np.array([0]), np.array([[0, 1, 2, 3]], np.int32), np.array([[4, 3, 2, 1]], np.float32))
KINDS = category_vectors(sparse.csr_array(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)))


def reranked(best: Ranked, k: int, kinds: Any, params: Reranking, *, allowed: Allowed | None = None) -> Ranked:
    everything = Allowed(np.ones((1, kinds.shape[0]), dtype=bool))
    promoted = promoted_books(params, best.rows, allowed or everything)
    return with_promoted(rerank(best, k, kinds, params, promoted), promoted)


def test_without_wishes_the_order_stays() -> None:
    assert reranked(POOL, 3, KINDS, Reranking()).books.tolist() == [[0, 1, 2]]
    assert reranked(POOL, 3, KINDS, Reranking()).scores.tolist() == [[4, 3, 2]]


def test_with_diversity_what_is_unlike_comes_sooner() -> None:
    # 0.5 · 2/3 - 0.5 · 1 for book 1, 0.5 · 0 - 0.5 · 0 for book 3.
    assert reranked(POOL, 4, KINDS, Reranking(diversity=0.5)).books.tolist() == [[0, 3, 1, 2]]


def test_no_category_stands_in_a_list_more_often_than_it_may() -> None:
    found = reranked(POOL, 4, KINDS, Reranking(most_of_a_category=2))
    assert found.books.tolist() == [[0, 1, 3, NONE]]
    assert found.scores[0, 3] == -np.inf


def test_a_promoted_book_takes_none_of_its_categorys_places() -> None:
    found = reranked(POOL, 4, KINDS, Reranking(most_of_a_category=2, promoted={4: 0}))
    assert found.books.tolist() == [[1, 2, 3, 0]]


def test_where_a_pool_gives_out_the_next_one_follows() -> None:
    # Of books 0 and 1 first; book 3, unlike them, is only looked at then, and comes before book 2.
    assert reranked(POOL, 4, KINDS, Reranking(diversity=0.9, pool=2)).books.tolist() == [[0, 1, 3, 2]]
    assert reranked(POOL, 3, KINDS, Reranking(most_of_a_category=1, pool=1)).books.tolist() == [[0, 3, NONE]]


def test_a_promoted_book_stands_at_its_rank_and_nowhere_else(data: Dataset) -> None:
    assert reranked(POOL, 3, KINDS, Reranking(promoted={2: 3})).books.tolist() == [[0, 3, 1]]
    assert reranked(POOL, 4, KINDS, Reranking(promoted={2: 3})).books.tolist() == [[0, 3, 1, 2]]
    assert reranked(POOL, 3, KINDS, Reranking(promoted={3: 0})).books.tolist() == [[1, 2, 0]]


def test_a_promoted_book_is_not_offered_to_whom_it_may_not_be(data: Dataset) -> None:
    pool = Ranked(
        np.array([0, 1], np.int32), np.array([[2, 4, NONE], [0, 2, 3]], np.int32), np.zeros((2, 3), np.float32)
    )
    kinds = category_vectors(sparse.csr_array((6, 1), dtype=np.float32))
    found = reranked(pool, 3, kinds, Reranking(promoted={1: 1}), allowed=apply_rules(Rules(), data))
    assert found.books.tolist() == [[2, 4, NONE], [1, 0, 2]]


def test_promoted_books_do_not_push_each_other_from_their_ranks() -> None:
    # Book 0 leaves the first rank for the fourth; book 3 must not move up with those between.
    assert reranked(POOL, 4, KINDS, Reranking(promoted={2: 3, 4: 0})).books.tolist() == [[1, 3, 2, 0]]


def test_a_book_promoted_beyond_a_short_list_stands_at_its_end_without_a_gap() -> None:
    short = Ranked(POOL.rows, np.array([[0, NONE, NONE]], np.int32), np.array([[4, -np.inf, -np.inf]], np.float32))
    found = reranked(short, 3, KINDS, Reranking(promoted={3: 2}))
    assert found.books.tolist() == [[0, 2, NONE]]
    assert np.isnan(found.scores[0, 1])
    assert found.scores[0, 2] == -np.inf


@pytest.mark.parametrize("promoted", [{0: 1}, {1: 3, 2: 3}])
def test_a_promotion_without_one_rank_is_an_error(promoted: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="one rank, from 1 on"):
        Reranking(promoted=promoted)


def test_a_pool_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Reranking(pool=0)


def promoted_by_hand(books: list[int], promoted: dict[int, int], k: int) -> list[int]:
    listed = [book for book in books if book not in promoted.values()]
    for rank, book in sorted(promoted.items()):
        listed.insert(rank - 1, book)  # Python appends what is beyond the end
    return (listed + [NONE] * k)[:k]


@given(
    books=st.lists(st.integers(0, 11), unique=True, min_size=1, max_size=6),
    promoted=st.dictionaries(st.integers(1, 7), st.integers(0, 11)).filter(lambda d: len(set(d.values())) == len(d)),
)
def test_promotions_are_as_by_hand_in_lists_of_any_length(books: list[int], promoted: dict[int, int]) -> None:
    pool = np.array([books + [NONE] * (6 - len(books))], np.int32)
    scores = np.where(pool == NONE, -np.inf, 100 - np.arange(6)).astype(np.float32)
    ranked = Ranked(np.array([0], np.int32), pool, scores)
    found = reranked(
        ranked, 6, category_vectors(sparse.csr_array((12, 1), dtype=np.float32)), Reranking(promoted=promoted)
    )
    assert found.books.tolist() == [promoted_by_hand(books, promoted, 6)]
    for book, score in zip(found.books[0], found.scores[0], strict=True):
        if book in promoted.values():
            assert np.isnan(score)
        else:
            assert score == (scores[0, pool[0] == book][0] if book != NONE else -np.inf)


@given(seed=st.integers(0, 999), diversity=st.floats(0, 1), most=st.sampled_from([None, 1, 3]))
def test_one_readers_list_is_that_of_the_batch_and_holds_books_of_the_pool_once(
    seed: int, diversity: float, most: int | None
) -> None:
    random = np.random.default_rng(seed)
    books = np.array([random.permutation(30)[:12] for _ in range(5)], dtype=np.int32)
    scores = -np.sort(-random.standard_normal((5, 12)).astype(np.float32), axis=1)
    kinds = category_vectors(sparse.csr_array(random.random((30, 4)) < 0.4).astype(np.float32))
    params = Reranking(diversity=diversity, most_of_a_category=most, promoted={2: 7})
    whole = reranked(Ranked(np.arange(5, dtype=np.int32), books, scores), 6, kinds, params)
    for row in range(5):
        one = reranked(Ranked(np.array([row], np.int32), books[[row]], scores[[row]]), 6, kinds, params)
        assert one.books.tolist() == [whole.books[row].tolist()]
        listed = [book for book in whole.books[row].tolist() if book != NONE]
        assert len(set(listed)) == len(listed)
        assert set(listed) <= {*books[row].tolist(), 7}


def test_slots_are_filled_by_what_is_left_over_each_with_the_stated_probability() -> None:
    pool = np.tile(np.arange(8, dtype=np.int32), (20_000, 1))
    shown = explore(pool, 4, slots=[2, 4], seeds=range(20_000))
    assert (shown.books[:, [0, 2]] == [0, 1]).all()
    assert (shown.propensity == [1, 1 / 6, 1, 1 / 6]).all()
    for place in (1, 3):
        seen = Counter(shown.books[:, place].tolist())
        assert set(seen) == {2, 3, 4, 5, 6, 7}
        assert all(abs(count / 20_000 - 1 / 6) < 0.012 for count in seen.values())
    assert (shown.books[:, 1] != shown.books[:, 3]).all()


def test_promoted_books_stay_where_they_are_and_what_is_drawn_around_them_has_its_probability() -> None:
    pool = np.tile(np.arange(8, dtype=np.int32), (12_000, 1))
    shown = explore(pool, 5, slots=[1, 3, 4], seeds=range(12_000), fixed_ranks=[3, 5])
    assert (
        shown.books[:, [1, 2, 4]] == [0, 2, 4]
    ).all()  # book 0 has given the first rank to chance; rank 3 is no slot
    assert (shown.propensity == [1 / 5, 1, 1, 1 / 5, 1]).all()
    for place in (0, 3):
        seen = Counter(shown.books[:, place].tolist())
        assert set(seen) == {1, 3, 5, 6, 7}
        assert all(abs(count / 12_000 - 1 / 5) < 0.015 for count in seen.values())


@given(
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    slots=st.sets(st.integers(1, 6)),
    fixed_ranks=st.sets(st.integers(1, 6)),
    seed=st.integers(0, 2**63),
)
def test_explored_lists_have_no_gap_no_book_twice_and_are_the_same_for_one_reader(
    counts: list[int], slots: set[int], fixed_ranks: set[int], seed: int
) -> None:
    pool = np.array([[*range(count), *[NONE] * (9 - count)] for count in counts], np.int32)
    seeds = [seed + row for row in range(len(counts))]
    shown = explore(pool, 5, sorted(slots), seeds, fixed_ranks=fixed_ranks)
    for row, count in enumerate(counts):
        books, size = shown.books[row].tolist(), min(count, 5)
        assert NONE not in books[:size]
        assert books[size:] == [NONE] * (5 - size)
        assert len(set(books[:size])) == size
        assert all(books[rank - 1] == rank - 1 for rank in fixed_ranks if rank <= size)
        one = explore(pool[[row]], 5, sorted(slots), seeds[row : row + 1], fixed_ranks=fixed_ranks)
        assert one.books.tolist() == [books]
        assert one.propensity.tolist() == [shown.propensity[row].tolist()]
        assert ((shown.propensity[row] > 0) == (shown.books[row] != NONE)).all()


def test_a_seed_follows_from_reader_and_request_alone() -> None:
    assert seed_of("u1", "r1") == 2921295682448092543
    assert len({seed_of("u1", "r1"), seed_of("u1", "r2"), seed_of("u", "1r1"), seed_of("u1r1")}) == 4


def test_the_same_seed_draws_the_same_whoever_else_is_asked_for() -> None:
    pool = np.array([[0, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4]], dtype=np.int32)
    both = explore(pool, 3, slots=[3], seeds=[11, 12])
    alone = explore(pool[1:], 3, slots=[3], seeds=[12])
    assert both.books[1].tolist() == alone.books[0].tolist()
    assert both.propensity.tolist() == [[1, 1, 1 / 4]] * 2


def test_where_nothing_is_left_to_try_nothing_is_drawn() -> None:
    pool = np.array([[0, 1, 2, NONE, NONE], [0, 1, NONE, NONE, NONE]], dtype=np.int32)
    shown = explore(pool, 3, slots=[3], seeds=[1, 2])
    assert shown.books.tolist() == [[0, 1, 2], [0, 1, NONE]]
    assert shown.propensity.tolist() == [[1, 1, 1], [1, 1, 0]]
