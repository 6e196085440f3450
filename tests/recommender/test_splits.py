"""What is held out."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.recommender.dataset import Dataset
from recsys_platform.recommender.interactions import build_dataset
from recsys_platform.recommender.splits import hold_out_latest

BOOKS = [f"b{number:02d}" for number in range(20)]


def test_the_latest_fifth_of_each_readers_liked_books_is_held_out(make_dataset: Callable[..., Dataset]) -> None:
    data = make_dataset({"u1": BOOKS[:10], "u2": BOOKS[9::-1]}, BOOKS)
    split = hold_out_latest(data)
    assert np.flatnonzero(split.test.toarray()[0]).tolist() == [8, 9]
    assert np.flatnonzero(split.test.toarray()[1]).tolist() == [0, 1]


def test_readers_with_fewer_than_five_liked_books_keep_them_all(make_dataset: Callable[..., Dataset]) -> None:
    split = hold_out_latest(make_dataset({"u1": BOOKS[:4], "u2": BOOKS[:5], "u3": []}, BOOKS))
    assert split.test_users.tolist() == [1]
    assert split.train.positives_per_user.tolist() == [4, 4, 0]


@pytest.mark.parametrize(("liked", "held"), [(5, 1), (9, 1), (10, 2), (15, 3), (20, 4)])
def test_the_fifth_is_rounded_down(make_dataset: Callable[..., Dataset], liked: int, held: int) -> None:
    assert hold_out_latest(make_dataset({"u1": BOOKS[:liked]}, BOOKS)).test.nnz == held


def test_books_that_were_not_liked_are_never_held_out(make_dataset: Callable[..., Dataset]) -> None:
    data = make_dataset({"u1": BOOKS[:10]}, BOOKS, is_positive=[True] * 8 + [False] * 2)
    assert np.flatnonzero(hold_out_latest(data).test.toarray()[0]).tolist() == [7]


def test_without_times_the_split_is_random_but_the_same_for_the_same_seed(make_dataset: Callable[..., Dataset]) -> None:
    data = make_dataset({f"u{n}": BOOKS for n in range(9)}, BOOKS, last_at=pd.Timestamp("2026-01-01"))
    once, again, other = (hold_out_latest(data, seed=seed).test.toarray() for seed in (1, 1, 2))
    assert (once == again).all()
    assert (once != other).any()
    assert len({tuple(row) for row in once.tolist()}) > 1


@given(
    st.dictionaries(st.sampled_from(["u1", "u2", "u3"]), st.sets(st.sampled_from(BOOKS)), max_size=3), st.integers(0, 9)
)
def test_training_and_test_pairs_are_together_all_pairs_and_share_none(likes: dict[str, set[str]], seed: int) -> None:
    rows = [(user, book, pd.Timestamp("2026-01-01")) for user, books in likes.items() for book in books]
    frame = pd.DataFrame(rows, columns=["user_id", "book_id", "last_at"]).assign(weight=1.0, is_positive=True)
    frame = frame.astype({"last_at": "datetime64[us]"})
    data = build_dataset(frame, pd.DataFrame({"user_id": ["u1", "u2", "u3"]}), pd.DataFrame({"book_id": BOOKS}))
    split = hold_out_latest(data, seed=seed)
    train, test = split.train.pairs().toarray(), split.test.toarray()
    assert not (train & test).any()
    assert ((train | test) == data.pairs().toarray()).all()
