"""Tiny worlds whose right answer is known."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import pytest

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset

READERS, BOOKS = 60, 20
Likes = dict[str, list[str]]


def interactions(likes: Likes, **columns: object) -> pd.DataFrame:
    """Finished and liked books, one a day in the order given, each weighing 5 unless `columns` say otherwise."""
    rows = [(user, book, day) for user, books in likes.items() for day, book in enumerate(books)]
    frame = pd.DataFrame(rows, columns=["user_id", "book_id", "day"])
    frame["last_at"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame.assign(**{"weight": 5.0, "is_positive": True, "is_finished": True, **columns})


def dataset(likes: Likes, books: list[str], users: list[str] | None = None, **columns: object) -> Dataset:
    """A data set of bare ids."""
    people = pd.DataFrame({"user_id": users or list(likes)})
    return build_dataset(interactions(likes, **columns), people, pd.DataFrame({"book_id": books}))


@dataclass(frozen=True)
class Checkerboard:
    """Even readers like even books, odd ones odd books; reader i has not met book `withheld[i]` of the own colour yet."""

    data: Dataset
    withheld: list[int]


@pytest.fixture(scope="session")
def checkerboard() -> Checkerboard:
    books = [f"b{number:02d}" for number in range(BOOKS)]
    withheld = [(2 * (reader // 2) + reader % 2) % BOOKS for reader in range(READERS)]
    likes = {
        f"u{reader:02d}": [book for number, book in enumerate(books) if number % 2 == reader % 2 and number != missing]
        for reader, missing in enumerate(withheld)
    }
    return Checkerboard(dataset(likes, books, [*likes, "u99"]), withheld)


@pytest.fixture
def make_dataset() -> Callable[..., Dataset]:
    return dataset


@pytest.fixture
def make_interactions() -> Callable[..., pd.DataFrame]:
    return interactions
