"""Finished lists: the same for one reader, for some and for all, with every rule, cap and promotion in play."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.exploration import seed_of
from recsys_platform.recommender.lists.list_builder import (
    ListBuilder,
    best_lists,
    excluded_books,
    for_one_reader,
    ineffective_rules,
    list_builder_for,
    live_lists,
)
from recsys_platform.recommender.lists.list_rules import Exploration, ListRules, Promotion, RerankingRules
from recsys_platform.recommender.lists.rules import Rules, apply_rules
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.ranking.top_k import NONE, Factors, Ranked, ScoreFunction, top_k
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import variant_of
from tests.support.list_world import BOOKS, IDS, READERS, world

EVERYONE = np.arange(READERS, dtype=np.int32)
WORLD = world()
RANDOM = np.random.default_rng(1)
TIED = RANDOM.integers(0, 8, (READERS, BOOKS)).astype(np.float32)  # many equal scores
FACTORS = Factors(*(RANDOM.standard_normal(shape).astype(np.float32) for shape in ((READERS, 6), (BOOKS, 6), (BOOKS,))))
KNN = Fitter(WORLD, {name: variant_of(name, {}) for name in ("popularity", "item_knn")}).fit("item_knn")
SCORES: dict[str, ScoreFunction | Factors] = {
    "tied": lambda rows: TIED[rows],
    "factors": FACTORS,
    "item_knn": KNN.scores,
}
KINDS = [
    [name for name, has in zip(WORLD.book_features.names, row, strict=True) if has and name.startswith("category=")]
    for row in WORLD.book_features.matrix.toarray()
]


@st.composite
def any_rules(draw: st.DrawFn) -> ListRules:
    ids = draw(st.lists(st.sampled_from([*IDS, "gone"]), unique=True, max_size=8))
    cut = draw(st.integers(0, len(ids)))
    ranks = draw(st.lists(st.integers(1, 14), unique=True, min_size=cut, max_size=cut))
    flags = {name: draw(st.booleans()) for name in ("finished", "rejected", "unavailable", "premium")}
    return ListRules(
        Rules(**flags, language=draw(st.sampled_from(["any", "own"]))),
        tuple(ids[cut:]),
        RerankingRules(
            diversity=draw(st.sampled_from([0.0, 0.3, 1.0])),
            most_of_a_category=draw(st.sampled_from([None, 1, 3])),
            promoted=tuple(map(Promotion, ids[:cut], ranks)),
            pool=draw(st.sampled_from([1, 3, 10, 100])),
        ),
    )


def made(
    score: ScoreFunction | Factors, rows: Sequence[int] | Any, builder: ListBuilder, *, k: int, block: int = 512
) -> Ranked:
    blocks = list(best_lists(score, np.asarray(rows, np.int32), builder, k=k, block=block))
    return Ranked(*(np.concatenate([getattr(part, name) for part in blocks]) for name in ("rows", "books", "scores")))


def same(one: Ranked, other: Ranked) -> bool:
    return np.array_equal(one.books, other.books) and np.array_equal(one.scores, other.scores, equal_nan=True)


def of(lists: Ranked, places: Any) -> Ranked:
    return Ranked(lists.rows[places], lists.books[places], lists.scores[places])


def test_by_default_lists_are_the_best_books_that_the_rules_allow() -> None:
    found = made(SCORES["tied"], EVERYONE, list_builder_for(ListRules(), WORLD), k=12)
    assert same(found, top_k(SCORES["tied"], EVERYONE, k=12, allowed=apply_rules(Rules(), WORLD)))


@settings(max_examples=150)
@given(
    rules=any_rules(),
    score=st.sampled_from(list(SCORES)),
    some=st.lists(st.integers(0, READERS - 1), min_size=1, max_size=READERS),
    block=st.integers(1, READERS),
    k=st.integers(1, 12),
)
def test_a_readers_list_is_the_same_alone_in_any_company_and_in_blocks_of_any_size(
    rules: ListRules, score: str, some: list[int], block: int, k: int
) -> None:
    builder = list_builder_for(rules, WORLD)
    whole = made(SCORES[score], EVERYONE, builder, k=k)
    assert same(made(SCORES[score], some, builder, k=k, block=block), of(whole, some))
    assert same(made(SCORES[score], some[:1], builder, k=k), of(whole, some[:1]))


@settings(max_examples=60)
@given(rules=any_rules(), score=st.sampled_from(list(SCORES)), k=st.integers(1, 20))
def test_a_shorter_list_is_the_beginning_of_a_longer_one(rules: ListRules, score: str, k: int) -> None:
    builder = list_builder_for(rules, WORLD)
    longer = made(SCORES[score], EVERYONE, builder, k=24)
    assert same(
        made(SCORES[score], EVERYONE, builder, k=k),
        replace(longer, books=longer.books[:, :k], scores=longer.scores[:, :k]),
    )


def by_hand(scores: Any, reader: int, rules: ListRules, k: int) -> list[int]:
    """The list of one reader, without diversity, book by book."""
    own, out = WORLD.user_language[reader], excluded_books(rules, WORLD)
    offered = [
        book
        for book in range(BOOKS)
        if not out[book]
        and (WORLD.available[book] or not rules.rules.unavailable)
        and not (rules.rules.premium and WORLD.premium[book] and WORLD.is_free[reader])
    ]
    if rules.rules.language == "own" and own:
        offered = [book for book in offered if WORLD.book_language[book] == own] or offered
    met = WORLD.interactions.where(WORLD.interactions.user == reader)
    gone = (met.finished & rules.rules.finished) | (met.rejected & rules.rules.rejected)
    may = set(offered) - set(met.book[gone].tolist())
    ranks = {each.rank: IDS.index(each.book_id) for each in rules.reranking.promoted if each.book_id in IDS}
    promoted = {rank: book for rank, book in sorted(ranks.items()) if book in may}
    listed: list[int] = []
    count: Counter[str] = Counter()
    for book in sorted(may - set(promoted.values()), key=lambda book: (-scores[book], book)):
        if all(count[name] < (rules.reranking.most_of_a_category or 99) for name in KINDS[book]):
            listed.append(book)
            count.update(KINDS[book])
    for rank, book in promoted.items():
        listed.insert(rank - 1, book)
    return (listed + [NONE] * k)[:k]


@settings(max_examples=60)
@given(rules=any_rules(), k=st.integers(1, 20))
def test_lists_are_as_by_hand_where_diversity_asks_for_nothing(rules: ListRules, k: int) -> None:
    rules = replace(rules, reranking=replace(rules.reranking, diversity=0.0))
    found = made(SCORES["tied"], EVERYONE, list_builder_for(rules, WORLD), k=k)
    assert found.books.tolist() == [by_hand(TIED[reader], reader, rules, k) for reader in range(READERS)]


@settings(max_examples=60)
@given(rules=any_rules(), reader=st.integers(0, READERS - 1), k=st.integers(1, 12))
def test_one_reader_as_of_now_gets_the_list_of_the_batch_from_scores_that_were_folded_in(
    rules: ListRules, reader: int, k: int
) -> None:
    builder, histories = list_builder_for(rules, WORLD), histories_of(WORLD)
    whole = made(lambda rows: KNN.fold_in(histories.take(rows)), EVERYONE, builder, k=k)
    met = WORLD.interactions.where(WORLD.interactions.user == reader)
    gone = (met.finished & rules.rules.finished) | (met.rejected & rules.rules.rejected)
    now = for_one_reader(
        builder,
        WORLD,
        language=WORLD.user_language[reader],
        free=bool(WORLD.is_free[reader]),
        out=met.book[gone].tolist(),
    )
    alone = made(lambda rows: KNN.fold_in(histories.take(np.array([reader]))), [0], now, k=k)
    assert same(alone, of(whole, [reader]))


def test_a_reader_whom_no_data_set_knows_is_kept_to_the_rules_too() -> None:
    builder = list_builder_for(ListRules(Rules(language="own"), exclude=("b00",)), WORLD)
    now = for_one_reader(builder, WORLD, language="de", free=True, out=[5, 6])
    books = made(lambda rows: np.zeros((1, BOOKS), np.float32), [0], now, k=BOOKS).books[0]
    expected = WORLD.available & ~WORLD.premium & (WORLD.book_language == "de")
    expected[[0, 5, 6]] = False
    assert sorted(books[books != NONE].tolist()) == np.flatnonzero(expected).tolist()


ORDERED: ScoreFunction = lambda rows: np.tile(-np.arange(BOOKS, dtype=np.float32), (len(rows), 1))  # noqa: E731
FREELY = Rules(finished=False, rejected=False, unavailable=False, premium=False)


def test_where_a_cap_leaves_a_list_short_further_books_are_looked_at() -> None:
    kinds = [["art"]] * 30 + [["war"]] * 5 + [["sea"]] * 5
    books = pd.DataFrame({"book_id": IDS, "categories": kinds})
    rows = pd.DataFrame({"user_id": ["u"], "book_id": ["b39"], "last_at": [pd.Timestamp("2026-11-01")]})
    data = build_dataset(
        rows.assign(is_finished=False, is_positive=True, weight=1.0), pd.DataFrame({"user_id": ["u"]}), books
    )
    builder = list_builder_for(ListRules(FREELY, reranking=RerankingRules(most_of_a_category=2, pool=3)), data)
    assert made(ORDERED, [0], builder, k=8).books.tolist() == [[0, 1, 30, 31, 35, 36, NONE, NONE]]


def test_a_promoted_book_that_is_not_in_the_catalogue_is_on_no_list() -> None:
    builder = list_builder_for(ListRules(FREELY, reranking=RerankingRules(promoted=(Promotion("gone", 1),))), WORLD)
    assert made(ORDERED, [0], builder, k=3).books.tolist() == [[0, 1, 2]]


def test_what_the_rules_ask_for_in_vain_is_said() -> None:
    shut = IDS[int(np.flatnonzero(~WORLD.available)[0])]
    open_ = IDS[int(np.flatnonzero(WORLD.available)[0])]
    promoted = (Promotion("gone", 1), Promotion(shut, 2), Promotion(open_, 30))
    rules = ListRules(
        exclude=tuple(f"x{n}" for n in range(7)), reranking=RerankingRules(promoted=promoted, diversity=0.5)
    )
    assert ineffective_rules(rules, WORLD, list_length=20) == [
        "Excluded, but not in the item catalog: x0, x1, x2, x3, x4 and 2 more.",
        "Promoted, but not in the item catalog: gone.",
        f"Promoted, but not available now: {shut}.",
        f"Promoted to a rank beyond the 20 published ones, so not on any full list: {open_}.",
    ]
    assert ineffective_rules(ListRules(), WORLD, list_length=20) == []
    bare = replace(WORLD, book_features=replace(WORLD.book_features, names=("",) * len(WORLD.book_features.names)))
    assert "No two books share a category" in ineffective_rules(rules, bare, list_length=20)[-1]


def exploring(**more: Any) -> ListBuilder:
    return list_builder_for(ListRules(FREELY, exploration=Exploration(slots=(2, 4), pool=10), **more), WORLD)


def seeds(count: int) -> Iterator[int]:
    return (seed_of("reader", str(number)) for number in range(count))


def test_a_live_answer_without_slots_is_the_published_list() -> None:
    builder = list_builder_for(ListRules(), WORLD)
    shown = live_lists(SCORES["tied"], EVERYONE, builder, k=5, seeds=range(READERS))
    published = made(SCORES["tied"], EVERYONE, builder, k=5).books
    assert shown.books.tolist() == published.tolist()
    assert shown.propensity.tolist() == (published != NONE).astype(float).tolist()


def test_the_slots_of_a_live_answer_are_drawn_from_the_rest_of_the_pool_with_the_stated_probability() -> None:
    rows = np.zeros(12_000, np.int32)
    shown = live_lists(ORDERED, rows, exploring(), k=5, seeds=list(seeds(12_000)))
    assert (shown.books[:, [0, 2, 4]] == [0, 1, 2]).all()
    assert (shown.propensity == [1, 1 / 7, 1, 1 / 7, 1]).all()
    for place in (1, 3):
        seen = Counter(shown.books[:, place].tolist())
        assert set(seen) == {3, 4, 5, 6, 7, 8, 9}
        assert all(abs(count / 12_000 - 1 / 7) < 0.015 for count in seen.values())


def test_the_same_request_is_answered_the_same_whoever_else_asks() -> None:
    builder = exploring(reranking=RerankingRules(diversity=0.3, most_of_a_category=3, pool=10))
    together = live_lists(FACTORS, EVERYONE, builder, k=5, seeds=range(READERS))
    assert np.isin(together.propensity, [0, 1]).sum() < together.propensity.size
    for reader in range(READERS):
        alone = live_lists(FACTORS, EVERYONE[[reader]], builder, k=5, seeds=[reader])
        assert alone.books.tolist() == [together.books[reader].tolist()]
        assert alone.propensity.tolist() == [together.propensity[reader].tolist()]
    other = live_lists(FACTORS, EVERYONE, builder, k=5, seeds=range(100, 100 + READERS))
    assert other.books.tolist() != together.books.tolist()


@settings(max_examples=100)
@given(rules=any_rules(), slots=st.sets(st.integers(1, 9), min_size=1), pool=st.integers(1, 30), k=st.integers(1, 9))
def test_by_chance_no_rule_is_broken_and_no_promoted_book_moved_or_drawn(
    rules: ListRules, slots: set[int], pool: int, k: int
) -> None:
    ranks = {each.rank for each in rules.reranking.promoted}
    rules = replace(rules, exploration=Exploration(tuple(sorted(slots - ranks)), pool))
    builder = list_builder_for(rules, WORLD)
    shown = live_lists(FACTORS, EVERYONE, builder, k=k, seeds=range(READERS))
    listed = made(FACTORS, EVERYONE, builder, k=max(k, pool))
    for row in range(READERS):
        books, propensity = shown.books[row], shown.propensity[row]
        promoted = np.isnan(listed.scores[row])
        kept = books[books != NONE].tolist()
        assert len(set(kept)) == len(kept) == min(k, (listed.books[row] != NONE).sum() - promoted[k:].sum())
        assert set(kept) <= set(listed.books[row].tolist()) - set(listed.books[row, k:][promoted[k:]].tolist())
        assert (books[promoted[:k]] == listed.books[row, :k][promoted[:k]]).all()
        assert (propensity[promoted[:k]] == 1).all()
        assert ((propensity > 0) == (books != NONE)).all()
        drawn = (propensity > 0) & (propensity < 1)
        assert set((np.flatnonzero(drawn) + 1).tolist()) <= set(rules.exploration.slots)


def test_where_the_pool_is_no_longer_than_the_list_nothing_is_drawn() -> None:
    shown = live_lists(ORDERED, EVERYONE, exploring(), k=10, seeds=range(READERS))
    assert (shown.books == np.arange(10)).all()
    assert (shown.propensity == 1).all()


@pytest.mark.parametrize("k", [0, -1])
def test_a_list_of_nothing_is_an_error(k: int) -> None:
    for rules in (ListRules(), ListRules(reranking=RerankingRules(promoted=(Promotion("b01", 1),)))):
        with pytest.raises(ValueError, match="k must be at least 1"):
            made(ORDERED, [0], list_builder_for(rules, WORLD), k=k)
