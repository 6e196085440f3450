"""What is held out."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_platform.recommender.arrays import BoolArray, Csr
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.splits import (
    hide_books,
    hold_out,
    hold_out_after,
    hold_out_latest,
    hold_out_random,
)

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


def test_after_one_moment_everything_is_held_out_for_everybody(make_dataset: Callable[..., Dataset]) -> None:
    # One book a day: u1 from day 0, u2 the same, so days 8 and 9 hold a fifth of the twenty likes.
    data = make_dataset({"u1": BOOKS[:10], "u2": BOOKS[10:]}, BOOKS)
    split = hold_out_after(data)
    assert [np.flatnonzero(row).tolist() for row in split.test.toarray()] == [[8, 9], [18, 19]]
    assert split.train.interactions.last_at.max() < data.interactions.last_at[data.interactions.book == 8][0]


def test_readers_without_a_past_are_tested_too_and_what_was_not_liked_later_is_no_past(
    make_dataset: Callable[..., Dataset],
) -> None:
    likes = {"old": BOOKS[:8], "new": BOOKS[8:10]}
    times = pd.to_datetime(["2026-01-01"] * 8 + ["2026-02-01"] * 2)
    data = make_dataset(likes, BOOKS, last_at=times, is_positive=[True] * 9 + [False])
    split = hold_out_after(data, fraction=0.1)
    new = data.user_ids.tolist().index("new")
    assert split.test_users.tolist() == [new]
    assert split.test[[new]].nnz == 1
    assert split.train.pairs()[[new]].nnz == 0


@given(fraction=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_no_split_trains_on_what_it_tests(fraction: float, seed: int) -> None:
    rows = pd.DataFrame(
        [(f"u{n}", book, n) for n in range(6) for book in BOOKS[n : n + 7]], columns=["user_id", "book_id", "n"]
    )
    rows = rows.assign(
        weight=1.0, is_positive=rows["n"] != 3, last_at=pd.Timestamp("2026-01-01") + pd.to_timedelta(rows["n"], "D")
    )
    data = build_dataset(rows, pd.DataFrame({"user_id": rows["user_id"].unique()}), pd.DataFrame({"book_id": BOOKS}))
    for cut in (hold_out_after, hold_out_latest, hold_out_random, hide_books):
        split = cut(data, fraction=fraction, seed=seed)
        assert split.train.pairs().multiply(split.test).nnz == 0
        assert split.test.nnz + len(split.train.interactions) <= len(data.interactions)


def test_hidden_books_are_unknown_to_training(make_dataset: Callable[..., Dataset]) -> None:
    split = hide_books(make_dataset({f"u{n}": BOOKS for n in range(3)}, BOOKS), fraction=0.3)
    tested = set(split.test.indices.tolist())
    assert tested
    assert tested.isdisjoint(split.train.interactions.book.tolist())


def test_data_without_times_are_split_by_reader(make_dataset: Callable[..., Dataset]) -> None:
    data = make_dataset({"u1": BOOKS[:10], "u2": BOOKS[10:]}, BOOKS, last_at=pd.Timestamp("2026-01-01"))
    split = hold_out_after(data)
    assert np.diff(split.test.indptr).tolist() == [2, 2]
    assert split.train.positives_per_user.tolist() == [8, 8]


@given(
    likes=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 19), st.integers(0, 40), st.integers(0, 40)), min_size=8
    ),
    fraction=st.floats(0.05, 0.6),
)
def test_whatever_was_done_to_a_book_later_it_is_as_new_as_its_first_like(
    likes: list[tuple[int, int, int, int]], fraction: float
) -> None:
    day = pd.Timestamp("2026-01-01")
    rows = pd.DataFrame(likes, columns=["user", "book", "first", "later"]).drop_duplicates(["user", "book"])
    frame = pd.DataFrame(
        {
            "user_id": "u" + rows["user"].astype(str),
            "book_id": [BOOKS[book] for book in rows["book"]],
            "weight": 1.0,
            "is_positive": True,
            "first_liked_at": day + pd.to_timedelta(rows["first"], "D"),
            "last_at": day + pd.to_timedelta(rows["first"] + rows["later"], "D"),
        }
    )
    data = build_dataset(frame, pd.DataFrame({"user_id": frame["user_id"].unique()}), pd.DataFrame({"book_id": BOOKS}))
    touched_once = build_dataset(
        frame.assign(last_at=frame["first_liked_at"]),
        pd.DataFrame({"user_id": data.user_ids}),
        pd.DataFrame({"book_id": BOOKS}),
    )
    for cut in (hold_out, hold_out_after, hold_out_latest):
        split, same = cut(data, fraction=fraction), cut(touched_once, fraction=fraction)
        assert (split.test != same.test).nnz == 0
        assert (split.train.pairs() != same.train.pairs()).nnz == 0
    after = hold_out_after(data, fraction=fraction)
    if after.by == "moment":
        tested = data.interactions.liked_at[_in(after.test, data)]
        assert after.train.interactions.last_at.max(initial=np.datetime64(0, "us")) < tested.min()


def _in(pairs: Csr, data: Dataset) -> BoolArray:
    """Which interactions of a data set are among some pairs."""
    return np.asarray(pairs[data.interactions.user, data.interactions.book]).astype(bool).ravel()


def test_a_book_liked_before_the_moment_and_met_again_after_it_is_known_as_of_then(
    make_dataset: Callable[..., Dataset],
) -> None:
    first = pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04", "2026-03-01"])
    last = first.where(first.day != 1, pd.Timestamp("2026-03-05"))
    data = make_dataset({"u1": BOOKS[:5]}, BOOKS, first_liked_at=first, last_at=last)
    split = hold_out_after(data)
    assert split.test.indices.tolist() == [4]
    assert split.train.positives_per_user.tolist() == [4]
    assert split.train.interactions.last_at.max() == np.datetime64("2026-01-04")


def waves(make_dataset: Callable[..., Dataset], *, staying: int) -> Dataset:
    """300 readers of January, of whom so many liked a book in March, when 100 newcomers came."""
    january = {f"u{n:03d}": [BOOKS[(n + k) % 20] for k in range(8)] for n in range(300)}
    march = {f"v{n:03d}": [BOOKS[(n + k) % 20] for k in range(6)] for n in range(100)}
    times = [pd.Timestamp("2026-01-01") + pd.Timedelta(hours=k) for _ in january for k in range(8)]
    for n in range(staying):
        times[8 * n + 7] = pd.Timestamp("2026-03-03") + pd.Timedelta(minutes=n)
    times += [pd.Timestamp("2026-03-02")] * 600
    return make_dataset(january | march, BOOKS, last_at=times)


def test_newcomers_do_not_stand_for_readers_with_history(make_dataset: Callable[..., Dataset]) -> None:
    few, many = (hold_out(waves(make_dataset, staying=staying)) for staying in (40, 250))
    assert (few.by, few.cold_start_readers.tolist()) == ("reader", [])
    assert len(few.readers) == 400
    assert "only 40 readers with history" in few.why
    assert (many.by, many.why) == ("moment", "")
    assert len(many.readers) == 250
    assert len(many.cold_start_readers) == 100


def test_where_readers_own_latest_tells_no_more_the_moment_stays(make_dataset: Callable[..., Dataset]) -> None:
    # Two readers like one book each before and one after the moment: too few for a fifth of their own.
    times = pd.to_datetime(["2026-01-01", "2026-03-01", "2026-01-02", "2026-03-02"])
    split = hold_out(make_dataset({"u1": BOOKS[:2], "u2": BOOKS[:2]}, BOOKS, last_at=times), fraction=0.5)
    assert split.by == "moment"
    assert split.readers.tolist() == [0, 1]
