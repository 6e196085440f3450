"""Which finished book speaks for a listed one."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.explanations import Explainer
from recsys_platform.recommender.models.cold_start import fit_cold_start
from recsys_platform.recommender.models.fallback import WithFallback
from recsys_platform.recommender.models.histories import histories_of
from recsys_platform.recommender.models.item_similarity import ItemSimilarityModel
from recsys_platform.recommender.models.popularity import PopularityParams, fit_popularity
from recsys_platform.recommender.models.protocol import Recommender
from recsys_platform.recommender.ranking.top_k import NONE, Ranked

Frame = Callable[..., pd.DataFrame]
USERS = pd.DataFrame({"user_id": ["new", "reads", "saves"]})
BOOKS = pd.DataFrame({"book_id": ["b0", "b1", "b2", "b3", "b4"]})
SIMILARITY = np.array(
    [
        [0, 0, 0, 5, 2],  # b0 speaks for b3 and b4,
        [0, 0, 0, 3, 1],  # b1 less for both,
        [0, 0, 0, 9, 9],  # b2 most;
        [0, 0, 0, 0, 0],
        [-1, -1, -1, 0, 0],  # b4 against others.
    ],
    np.float32,
)


@pytest.fixture
def data(make_interactions: Frame) -> Dataset:
    """`reads` finished b0, then b1, and saved b2, as `saves` did."""
    rows = make_interactions({"reads": ["b0", "b1", "b2"], "saves": ["b2"]}, is_finished=[True, True, False, False])
    return build_dataset(rows, USERS, BOOKS)


def model_of(data: Dataset, half_life: float = 1e9) -> ItemSimilarityModel:
    return ItemSimilarityModel("items", SIMILARITY, np.arange(5, dtype=np.int32), histories_of(data), half_life)


def because(model: Recommender, data: Dataset, rows: list[int], books: list[list[int]]) -> list[list[int]]:
    listed = np.array(books, np.int32)
    return Explainer(model, data).because(Ranked(np.array(rows, np.int32), listed, np.zeros_like(listed))).tolist()


def test_it_is_the_finished_book_that_adds_most(data: Dataset) -> None:
    assert because(model_of(data), data, [1], [[4, 3]]) == [[0, 0]]


def test_a_newer_book_can_count_for_more_than_one_that_speaks_louder(data: Dataset) -> None:
    # Of the third newest book a quarter counts, of the second newest half: 5 / 4 against 3 / 2, and 2 / 4 against 1 / 2.
    assert because(model_of(data, half_life=1), data, [1], [[3, 4]]) == [[1, 0]]


def test_no_reason_is_given_where_no_finished_book_adds_anything(data: Dataset) -> None:
    assert because(model_of(data), data, [2, 1], [[3, 4], [2, NONE]]) == [[NONE, NONE], [NONE, NONE]]


def test_what_speaks_against_a_book_is_no_reason_for_it(make_interactions: Frame) -> None:
    sated = build_dataset(make_interactions({"reads": ["b4"]}), USERS, BOOKS)
    assert because(model_of(sated), sated, [1], [[0, 1]]) == [[NONE, NONE]]


def test_readers_whose_lists_are_not_their_own_get_none(data: Dataset) -> None:
    popularity = fit_popularity(data, PopularityParams())
    with_fallback = WithFallback(model_of(data), fit_cold_start(data, popularity))
    assert because(with_fallback, data, [0, 1], [[3, 4], [4, 3]]) == [[NONE, NONE], [0, 0]]
    assert because(popularity, data, [1], [[3, 4]]) == [[NONE, NONE]]
