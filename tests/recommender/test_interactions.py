"""From frames with the columns of the marts to arrays."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.errors import DataError

USERS = pd.DataFrame(
    {
        "user_id": ["u2", "u1", "u3"],
        "language": ["en_GB", "EN", None],
        "country": ["GB", "US", None],
        "tier": ["free", "free", "free"],
        "interests": [["Art", "history"], ["history", "history"], None],
    }
)
BOOKS = pd.DataFrame(
    {
        "book_id": ["b2", "b1"],
        "title": ["Two", "One"],
        "author": ["Ann", "Ann"],
        "language": ["de", "en"],
        "categories": [["art"], ["art", "war"]],
        "published_at": pd.to_datetime(["2021-05-01", "2024-12-31"]),
        "is_available": [True, None],
    }
)


@pytest.fixture
def data(make_interactions: Callable[..., pd.DataFrame]) -> Dataset:
    return build_dataset(make_interactions({"u2": ["b2", "b1", "gone"], "stranger": ["b1"]}), USERS, BOOKS)


def test_every_user_and_book_has_an_index_in_the_order_of_ids(data: Dataset) -> None:
    assert data.user_ids.tolist() == ["u1", "u2", "u3"]
    assert data.book_ids.tolist() == ["b1", "b2"]


def test_interactions_with_unknown_users_and_books_are_dropped_and_counted(data: Dataset) -> None:
    assert data.interactions.user.tolist() == [1, 1]
    assert data.interactions.book.tolist() == [0, 1]
    assert data.dropped == 2


def test_languages_are_primary_subtags_and_empty_where_unknown(data: Dataset) -> None:
    assert data.user_language.tolist() == ["en", "en", ""]
    assert data.book_language.tolist() == ["en", "de"]


def test_a_feature_is_a_value_that_at_least_two_share(data: Dataset) -> None:
    assert data.user_features.names == ("language=en", "tier=free", "interest=history")
    assert data.user_features.matrix.toarray().tolist() == [[1, 1, 1], [1, 1, 1], [0, 1, 0]]
    assert data.book_features.names == ("author=ann", "category=art", "period=2020")


def test_the_values_of_one_list_share_a_weight_of_one(make_interactions: Callable[..., pd.DataFrame]) -> None:
    books = pd.DataFrame({"book_id": ["b1", "b2"], "categories": [["art", "war", "art", "sea"], ["war", "art"]]})
    data = build_dataset(make_interactions({"u1": ["b1"]}), USERS, books)
    assert data.book_features.names == ("category=art", "category=war")
    assert data.book_features.matrix.toarray().tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_words_of_titles_are_those_that_two_share(make_interactions: Callable[..., pd.DataFrame]) -> None:
    titles = ["Emma's Café, 2nd ed.", "CAFÉ (Emma #2)", None]
    books = pd.DataFrame({"book_id": ["b1", "b2", "b3"], "title": titles})
    data = build_dataset(make_interactions({"u1": ["b1"]}), USERS, books)
    assert data.book_words.names == ("word=café", "word=emma")
    assert (data.book_words.matrix.toarray() > 0).tolist() == [[True, True], [True, True], [False, False]]


def test_a_book_is_available_unless_it_says_not(data: Dataset) -> None:
    assert data.available.tolist() == [True, True]


def test_ids_alone_are_enough(make_dataset: Callable[..., Dataset]) -> None:
    data = make_dataset({"u1": ["b1"], "u2": []}, ["b1"])
    assert data.user_features.matrix.shape == (2, 0)
    assert data.user_language.tolist() == ["", ""]
    assert data.available.tolist() == [True]


def test_columns_without_any_value_are_as_good_as_absent(make_interactions: Callable[..., pd.DataFrame]) -> None:
    users = USERS.assign(language=None, interests=None, country=np.nan, tier=None)
    books = BOOKS.assign(published_at=pd.NaT, categories=None, author=None)
    data = build_dataset(make_interactions({"u1": ["b1"]}), users, books)
    assert data.user_features.names == () == data.book_features.names


def test_arrow_and_pandas_frames_in_any_order_give_the_same_data_set(
    make_interactions: Callable[..., pd.DataFrame],
) -> None:
    rows = make_interactions({"u2": ["b2", "b1"], "u1": ["b1"]})
    once = build_dataset(rows, USERS, BOOKS)
    arrow = [pa.Table.from_pandas(frame[::-1], preserve_index=False) for frame in (rows, USERS, BOOKS)]
    assert build_dataset(*arrow).fingerprint() == once.fingerprint()


def test_the_fingerprint_tells_any_difference(make_interactions: Callable[..., pd.DataFrame]) -> None:
    rows = make_interactions({"u2": ["b2", "b1"], "u1": ["b1"]})
    variants = [
        build_dataset(rows, USERS, BOOKS),
        build_dataset(rows.assign(weight=4.0), USERS, BOOKS),
        build_dataset(rows, USERS.assign(tier="premium"), BOOKS),
        build_dataset(rows, USERS, BOOKS.assign(is_available=False)),
        build_dataset(rows, USERS, BOOKS.assign(title="Emma")),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)


def test_nobody_and_nothing_is_a_data_set_too() -> None:
    empty = pd.DataFrame(columns=["user_id", "book_id", "weight", "is_positive", "is_finished", "last_at"])
    data = build_dataset(empty, USERS.iloc[:0], BOOKS.iloc[:0])
    assert data.shape == (0, 0)
    assert data.window is None


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        (lambda i, u, b: (i.drop(columns="weight"), u, b), "no column weight"),
        (lambda i, u, b: (i.assign(weight=np.inf), u, b), "not a finite number"),
        (lambda i, u, b: (pd.concat([i, i]), u, b), "The interactions have a duplicate pair"),
        (lambda i, u, b: (i, pd.concat([u, u]), b), "The users have a duplicate user_id"),
        (lambda i, u, b: (i, u, b.assign(book_id=None)), "2 of the books have no book_id"),
    ],
)
def test_what_cannot_be_trained_on_is_named(
    frames: Callable[..., tuple[pd.DataFrame, ...]], said: str, make_interactions: Callable[..., pd.DataFrame]
) -> None:
    with pytest.raises(DataError, match=said):
        build_dataset(*frames(make_interactions({"u1": ["b1"]}), USERS, BOOKS))
