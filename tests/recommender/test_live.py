"""A live list is what the rules, the model and the draw give, whether it is made for one reader or for many."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.lists.list_builder import for_one_reader, list_builder_for, live_lists
from recsys_platform.recommender.lists.list_rules import Exploration, ListRules, Promotion, RerankingRules
from recsys_platform.recommender.lists.live import LiveReader, LiveRecommender
from recsys_platform.recommender.lists.rules import Rules
from recsys_platform.recommender.models.cold_start import fit_cold_start
from recsys_platform.recommender.models.fallback import Readers, WithFallback
from recsys_platform.recommender.models.histories import histories_from
from recsys_platform.recommender.models.item_knn import ItemKnnParams, fit_item_knn
from recsys_platform.recommender.models.popularity import PopularityParams, fit_popularity
from recsys_platform.recommender.ranking.top_k import NONE
from tests.support.list_world import BOOKS, IDS, world

ROW = np.zeros(1, np.int32)


@cache
def world_and_model(seed: int) -> tuple[Dataset, WithFallback]:
    data = world(seed)
    popularity = fit_popularity(data, PopularityParams())
    return data, WithFallback(fit_item_knn(data, ItemKnnParams()), fit_cold_start(data, popularity))


books = st.integers(0, BOOKS - 1)
readers = st.builds(
    LiveReader,
    history=st.lists(books, max_size=9, unique=True),
    out=st.lists(books, max_size=9),
    finished=st.lists(books, max_size=5),
    language=st.sampled_from(["", "en", "de", "fr", "xx"]),
    interests=st.lists(st.sampled_from(["art", "sea", "unknown"]), max_size=2),
    free=st.booleans(),
)
list_rules = st.builds(
    ListRules,
    rules=st.builds(Rules, unavailable=st.booleans(), premium=st.booleans(), language=st.sampled_from(["any", "own"])),
    exclude=st.lists(st.sampled_from(IDS[20:]), max_size=5, unique=True).map(tuple),
    reranking=st.builds(
        RerankingRules,
        diversity=st.sampled_from([0.0, 0.3, 1.0]),
        most_of_a_category=st.sampled_from([None, 1, 3]),
        promoted=st.sampled_from([(), (Promotion(IDS[3], 1),), (Promotion(IDS[4], 2), Promotion(IDS[9], 7))]),
        pool=st.sampled_from([1, 7, 100]),
    ),
    exploration=st.builds(Exploration, slots=st.sampled_from([(), (3,), (4, 5)]), pool=st.sampled_from([1, 8, 100])),
)


@settings(max_examples=300)
@given(st.integers(0, 3), readers, list_rules, st.integers(1, 50), st.integers(0, 2**64 - 1), st.booleans())
def test_a_live_list_equals_live_lists_bit_for_bit(number, reader, rules, k, seed, some):
    data, model = world_and_model(number)
    among = np.arange(BOOKS) % 3 > 0 if some else None
    found = LiveRecommender(model, data, rules).recommend(reader, k=k, seed=seed, among=among)

    scores = model.scores_of(Readers(histories_from([reader.history], BOOKS), [reader.language], [reader.interests]))
    builder = list_builder_for(rules, data)
    blocked = builder.blocked if among is None else builder.blocked | ~among
    one = for_one_reader(
        replace(builder, blocked=blocked), data, language=reader.language, free=reader.free, out=reader.out
    )
    expected = live_lists(lambda rows: scores, ROW, one, k=k, seeds=[seed])
    listed = expected.books[0] != NONE
    assert found.books.tolist() == expected.books[0][listed].tolist()
    assert found.propensity.tolist() == expected.propensity[0][listed].tolist()
    assert not set(found.books.tolist()) & set(reader.out)
    promoted = {IDS.index(each.book_id) for each in rules.reranking.promoted}
    assert {int(book) for book in found.books[np.isnan(found.scores)]} == promoted & set(found.books.tolist())
    plain = ~np.isnan(found.scores)
    assert found.scores[plain].tobytes() == scores[0, found.books[plain]].tobytes()


def test_a_book_is_explained_by_the_finished_book_that_adds_most_to_its_score():
    data, model = world_and_model(0)
    live = LiveRecommender(model, data, ListRules())
    found = live.recommend(LiveReader(history=[1, 2, 3], out=[1, 2, 3], finished=[2, 3]), k=10, seed=1)
    added = model.contributions(histories_from([[1, 2, 3]], BOOKS), found.books)
    best = np.where(added[1:].max(axis=0) > 0, np.array([2, 3])[added[1:].argmax(axis=0)], NONE)
    assert found.because.tolist() == best.tolist()
    assert (found.because != NONE).any()
    assert live.recommend(LiveReader(history=[1, 2, 3], out=[1, 2, 3]), k=10, seed=1).because.tolist() == [NONE] * 10


def test_a_reader_with_a_book_outside_the_item_catalog_is_refused_in_one_sentence():
    data, model = world_and_model(0)
    with pytest.raises(ModelError, match="outside the item catalog of 40 books"):
        LiveRecommender(model, data, ListRules()).recommend(LiveReader(history=[BOOKS]), k=5, seed=1)
