"""What the models recommend in worlds that can be solved by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.errors import DataError, ModelError
from recsys_platform.recommender.models.cold_start import fit_cold_start
from recsys_platform.recommender.models.factors import FactorModel, book_similarity
from recsys_platform.recommender.models.fallback import WithFallback
from recsys_platform.recommender.models.lightfm import LightFMParams, fit_lightfm
from recsys_platform.recommender.models.popularity import Popularity, PopularityParams, fit_popularity
from recsys_platform.recommender.models.trained import TrainedModel, restore
from recsys_platform.recommender.ranking.top_k import top_k

Make = Callable[..., Dataset]
PARAMS = LightFMParams(components=8, epochs=30, seed=1)


@pytest.fixture(scope="module")
def lightfm(checkerboard: Any) -> FactorModel:
    return fit_lightfm(checkerboard.data, PARAMS)


@pytest.fixture(scope="module")
def popularity(checkerboard: Any) -> Popularity:
    return fit_popularity(checkerboard.data, PopularityParams())


def best(model: Any, data: Dataset, k: int = 1) -> list[list[int]]:
    users = np.arange(len(data.user_ids), dtype=np.int32)
    return top_k(model.scores, users, k=k, exclude=data.pairs()).books.tolist()


def test_every_reader_is_offered_the_one_book_of_the_own_colour_not_met_yet(
    lightfm: FactorModel, checkerboard: Any
) -> None:
    offered = [books[0] for books in best(lightfm, checkerboard.data)[:-1]]
    assert offered == checkerboard.withheld


def test_the_same_seed_gives_the_same_model_and_another_seed_another(lightfm: FactorModel, checkerboard: Any) -> None:
    same = fit_lightfm(checkerboard.data, PARAMS)
    other = fit_lightfm(checkerboard.data, LightFMParams(components=8, epochs=30, seed=2))
    assert (same.user_vectors == lightfm.user_vectors).all()
    assert (other.user_vectors != lightfm.user_vectors).any()


def test_books_of_a_colour_are_more_similar_than_books_of_two(lightfm: FactorModel) -> None:
    similarity = book_similarity(lightfm.book_vectors)(np.arange(20, dtype=np.int32))
    assert similarity[0, 2::2].min() > similarity[0, 1::2].max()
    assert similarity[7, 7] == pytest.approx(1)


def test_each_epoch_is_reported(checkerboard: Any) -> None:
    seen: list[tuple[int, int]] = []
    fit_lightfm(checkerboard.data, LightFMParams(epochs=3), on_epoch=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_train_on_is_said(make_dataset: Make) -> None:
    with pytest.raises(DataError, match="no interaction to train"):
        fit_lightfm(make_dataset({"u1": ["b1"]}, ["b1"], weight=-3.0), PARAMS)


def test_a_new_book_is_offered_to_those_who_like_its_category(make_interactions: Callable[..., pd.DataFrame]) -> None:
    art, war = [f"art{n}" for n in range(8)], [f"war{n}" for n in range(8)]
    rng = np.random.default_rng(0)
    likes = {f"u{n:02d}": rng.permutation(art if n % 2 else war)[:5].tolist() for n in range(40)}
    books = pd.DataFrame({"book_id": [*art, *war, "new_art", "new_war"]})
    books["categories"] = [[book_id.removeprefix("new_")[:3]] for book_id in books["book_id"]]
    data = build_dataset(make_interactions(likes), pd.DataFrame({"user_id": list(likes)}), books)
    scores = fit_lightfm(data, PARAMS).scores(np.arange(40, dtype=np.int32))
    new_art, new_war = (data.book_ids.tolist().index(book_id) for book_id in ("new_art", "new_war"))
    assert (np.sign(scores[:, new_art] - scores[:, new_war]) == [1 if n % 2 else -1 for n in range(40)]).all()


def test_popularity_counts_what_weighs_more_than_zero(make_dataset: Make) -> None:
    data = make_dataset({"u1": ["b1", "b2"], "u2": ["b2", "b3"]}, ["b1", "b2", "b3"], weight=[1.0, 2.0, 2.0, -5.0])
    table = fit_popularity(data, PopularityParams(half_life_days=1e9)).table
    assert table.tolist() == [pytest.approx([1 / 4, 1, 0])]


def test_an_interaction_counts_half_after_the_half_life(make_dataset: Make) -> None:
    times = pd.to_datetime(["2026-01-01", "2026-01-31"])
    data = make_dataset({"u1": ["old", "new"]}, ["old", "new"], last_at=times)
    assert fit_popularity(data, PopularityParams(half_life_days=30)).table[0].tolist() == pytest.approx([1, 1 / 2])


def test_books_in_the_readers_language_come_first(make_interactions: Callable[..., pd.DataFrame]) -> None:
    users = pd.DataFrame({"user_id": ["u1", "u2", "u3", "u4"], "language": ["en", "de-AT", None, "xx"]})
    books = pd.DataFrame({"book_id": ["b1", "b2", "b3"], "language": ["en", "de", "en"]})
    data = build_dataset(make_interactions({"u1": ["b3", "b2"], "u3": ["b2"]}), users, books)
    popularity = fit_popularity(data, PopularityParams())
    users_index = np.arange(4, dtype=np.int32)
    assert top_k(popularity.scores, users_index, k=3).books.tolist() == [[2, 0, 1], [1, 2, 0], [1, 2, 0], [1, 2, 0]]


def test_popularity_of_nothing_is_zero_for_all(make_dataset: Make) -> None:
    data = make_dataset({}, ["b1", "b2"], ["u1"])
    assert fit_popularity(data, PopularityParams()).scores(np.array([0], np.int32)).tolist() == [[0, 0]]


def test_a_reader_without_history_gets_what_is_popular(
    lightfm: FactorModel, popularity: Popularity, checkerboard: Any
) -> None:
    both = WithFallback(lightfm, fit_cold_start(checkerboard.data, popularity))
    users = np.arange(61, dtype=np.int32)
    assert both.personal(users).tolist() == [True] * 60 + [False]
    assert (both.scores(users)[:60] == lightfm.scores(users[:60])).all()
    assert (both.scores(users)[60] == popularity.scores(users[60:])).all()


def test_a_model_does_not_speak_about_other_books(
    popularity: Popularity, checkerboard: Any, make_dataset: Make
) -> None:
    data = checkerboard.data
    with pytest.raises(ModelError, match="trained on other users"):
        TrainedModel(popularity, data.user_ids, data.book_ids).check_fits(make_dataset({"u1": []}, ["b1"]))


def test_arrays_of_another_model_are_refused(popularity: Popularity) -> None:
    with pytest.raises(ModelError, match="not those of a model named lightfm"):
        restore("lightfm", popularity.arrays() | {"kind": np.array(["factors"], dtype=object)})
