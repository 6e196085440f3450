"""What is published."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.lists.published_tables import (
    POPULAR_BOOKS,
    SIMILAR_BOOKS,
    USER_RECOMMENDATIONS,
    Stamp,
    popular_books,
    similar_books,
    user_recommendations,
)
from recsys_platform.recommender.models.cold_start import fit_cold_start
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fallback import WithFallback
from recsys_platform.recommender.models.fold_in import MeanMap
from recsys_platform.recommender.models.popularity import Popularity, PopularityParams, fit_popularity
from recsys_platform.recommender.training.fitting import Fitter
from recsys_platform.recommender.training.variants import variant_of

EDITION = Stamp("lightfm", "v1", dt.datetime(2026, 11, 22))
USERS = pd.DataFrame({"user_id": ["reads", "new_de", "new"], "language": ["en", "de", None]})
BOOKS = pd.DataFrame(
    {
        "book_id": ["b1", "b2", "b3", "b4"],
        "language": ["en", "de", "en", "en"],
        "is_available": [True, True, True, False],
    }
)


@pytest.fixture
def data(make_interactions: Callable[..., pd.DataFrame]) -> Dataset:
    """`reads` finished b1 and b4 and likes b3, which is not finished; b4 is not available any more."""
    rows = make_interactions({"reads": ["b1", "b4", "b3"]}, is_finished=[True, True, False], weight=[1.0, 9.0, 2.0])
    return build_dataset(rows, USERS, BOOKS)


@pytest.fixture
def popularity(data: Dataset) -> Popularity:
    return fit_popularity(data, PopularityParams(half_life_days=1e9))


@pytest.fixture
def lightfm(data: Dataset) -> FactorModel:
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, 0]], dtype=np.float32)
    users = np.ones((3, 2), dtype=np.float32)
    known = data.positives_per_user > 0
    return FactorModel(
        "lightfm", users, vectors, np.zeros(4, np.float32), known, MeanMap(np.zeros((3, 2), np.float32), 50)
    )


def published(data: Dataset, lightfm: FactorModel, popularity: Popularity, k: int = 3, **given: Any) -> pd.DataFrame:
    model = WithFallback(lightfm, fit_cold_start(data, popularity))
    return user_recommendations(model, data, EDITION, k=k, rules=parse_list_rules(given)).read_all().to_pandas()


def test_finished_and_unavailable_books_are_left_out(
    data: Dataset, lightfm: FactorModel, popularity: Popularity
) -> None:
    rows = published(data, lightfm, popularity)
    assert rows[rows["user_id"] == "reads"]["book_id"].tolist() == ["b3", "b2"]
    assert "b4" not in rows["book_id"].tolist()


def test_every_user_has_a_list_that_says_why(data: Dataset, lightfm: FactorModel, popularity: Popularity) -> None:
    rows = published(data, lightfm, popularity, k=2).set_index("user_id")
    assert rows.loc["reads", "reason"].tolist() == ["matches your reading"] * 2
    assert rows.loc["new_de", ["book_id", "reason"]].to_numpy().tolist() == [
        ["b2", "popular in your language"],
        ["b3", "popular"],
    ]
    assert rows.loc["new", "reason"].tolist() == ["popular"] * 2
    assert rows["rank"].tolist() == [1, 2] * 3


def test_a_promoted_book_says_so_and_has_neither_a_score_nor_a_book_it_rests_on(
    data: Dataset, lightfm: FactorModel, popularity: Popularity
) -> None:
    rows = published(data, lightfm, popularity, reranking={"promoted": [{"book_id": "b2", "rank": 1}]})
    assert rows.groupby("user_id")["book_id"].apply(list).to_dict() == {
        "reads": ["b2", "b3"],
        "new_de": ["b2", "b3", "b1"],
        "new": ["b2", "b3", "b1"],
    }
    promoted = rows["book_id"] == "b2"
    assert set(rows[promoted]["reason"]) == {"promoted"}
    assert "promoted" not in set(rows[~promoted]["reason"])
    assert rows["score"].isna().tolist() == promoted.tolist()
    assert rows[promoted]["because_book_id"].isna().all()


def test_the_score_of_a_promoted_book_is_null_and_not_a_number_that_is_none(
    data: Dataset, lightfm: FactorModel, popularity: Popularity
) -> None:
    rules = parse_list_rules({"reranking": {"promoted": [{"book_id": "b2", "rank": 1}]}})
    model = WithFallback(lightfm, fit_cold_start(data, popularity))
    assert user_recommendations(model, data, EDITION, k=2, rules=rules).read_all()["score"].null_count == 3


def test_an_excluded_book_is_in_no_table(data: Dataset, lightfm: FactorModel, popularity: Popularity) -> None:
    rules = parse_list_rules({"exclude": ["b3"]})
    similar = similar_books(lightfm.book_vectors, data, EDITION, k=5, rules=rules).read_all().to_pandas()
    popular = popular_books(popularity, data, EDITION, k=5, rules=rules).read_all().to_pandas()
    assert "b3" not in published(data, lightfm, popularity, exclude=["b3"])["book_id"].tolist()
    assert "b3" not in similar["similar_book_id"].tolist()
    assert "b3" in similar["book_id"].tolist()  # who reads it still finds others
    assert "b3" not in popular["book_id"].tolist()


def test_batches_keep_the_contract(data: Dataset, lightfm: FactorModel, popularity: Popularity) -> None:
    rows = published(data, lightfm, popularity)
    assert set(rows["model"]) == {"lightfm"}
    assert set(rows["model_version"]) == {"v1"}
    assert set(rows["generated_at"]) == {pd.Timestamp("2026-11-22")}
    assert USER_RECOMMENDATIONS.names == [
        "user_id",
        "model",
        "rank",
        "book_id",
        "score",
        "reason",
        "because_book_id",
        "model_version",
        "generated_at",
    ]
    assert SIMILAR_BOOKS.names == [
        "book_id",
        "model",
        "rank",
        "similar_book_id",
        "score",
        "model_version",
        "generated_at",
    ]
    assert POPULAR_BOOKS.names == ["segment", "rank", "book_id", "score", "model_version", "generated_at"]


def test_similar_books_are_available_others_with_the_largest_cosine(data: Dataset, lightfm: FactorModel) -> None:
    rows = similar_books(lightfm.book_vectors, data, EDITION, k=5).read_all().to_pandas().set_index("book_id")
    assert rows.loc[["b1"], "similar_book_id"].tolist() == ["b3"]
    assert rows.loc[["b1"], "score"].tolist() == pytest.approx([1 / 2**0.5])
    assert rows.loc[["b3"], "similar_book_id"].tolist() == ["b1", "b2"]
    assert "b4" not in rows.index


def test_popular_books_are_listed_for_all_and_for_each_language(data: Dataset, popularity: Popularity) -> None:
    rows = popular_books(popularity, data, EDITION, k=2).read_all().to_pandas()
    lists = rows.groupby("segment")["book_id"].apply(list).to_dict()
    assert lists == {"all": ["b3", "b1"], "language=de": ["b2"], "language=en": ["b3", "b1"]}
    assert rows[rows["segment"] == "language=en"]["score"].tolist() == pytest.approx([2 / 9, 1 / 9])


def test_a_list_tells_which_finished_book_it_rests_on(make_interactions: Callable[..., pd.DataFrame]) -> None:
    likes = {f"u{n}": ["a1", "a2", "a3"] if n % 2 else ["z1", "z2", "z3"] for n in range(8)}
    likes |= {"both": ["z1", "a1", "a2"], "only_saved": ["a1"]}
    finished = [book != "a2" and user != "only_saved" for user, books in likes.items() for book in books]
    books = pd.DataFrame({"book_id": ["a1", "a2", "a3", "z1", "z2", "z3"]})
    data = build_dataset(make_interactions(likes, is_finished=finished), pd.DataFrame({"user_id": list(likes)}), books)
    fitter = Fitter(data, {name: variant_of(name, {}) for name in ("popularity", "item_knn")})
    rows = user_recommendations(fitter.fit("item_knn"), data, EDITION, k=6).read_all().to_pandas()
    because = rows[rows["user_id"] == "both"].set_index("book_id")["because_book_id"]
    assert (because["a3"], because["z2"]) == ("a1", "z1")
    assert rows[rows["user_id"] == "only_saved"]["because_book_id"].isna().all()
