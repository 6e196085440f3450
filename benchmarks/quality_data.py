"""The data sets that quality.py measures on, as the platform's own data sets, and their splits."""

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from measure import download

from recsys_platform.recommender.arrays import BoolArray
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset
from recsys_platform.recommender.data.splits import Split

RECBOLE = "recbole==1.2.1"  # its wheel carries MovieLens-100K
_MEMBER = "recbole/dataset_example/ml-100k/ml-100k."


@dataclass(frozen=True)
class Ratings:
    """What was rated (`user_id`, `book_id`, `rating`, `last_at`), by whom and what it is, in the columns of the marts."""

    rows: pd.DataFrame
    users: pd.DataFrame
    books: pd.DataFrame

    def dataset(self, *, at_least: int) -> Dataset:
        """The ratings from `at_least` up as liked books, the others left out."""
        rows = self.rows[self.rows["rating"] >= at_least].drop_duplicates(["user_id", "book_id"])
        rows = rows.assign(weight=1.0, is_positive=True, is_finished=True)
        return build_dataset(rows, self.users, self.books)

    def thinned(self, likes: int, *, at_least: int, seed: int = 0) -> "Ratings":
        """So many random ratings of each reader from `at_least` up, or as many as there are: a sparse item catalog."""
        liked = self.rows[self.rows["rating"] >= at_least].drop_duplicates(["user_id", "book_id"])
        drawn = liked.sample(frac=1, random_state=seed).groupby("user_id").head(likes)
        return replace(self, rows=drawn.sort_values(["user_id", "book_id"]))


def movielens(folder: Path | None) -> Ratings:
    """MovieLens-100K: genres as categories, years as publication, readers' age, gender and occupation as interests."""
    read = _reader(folder)
    rows = read("inter").set_axis(["user_id", "book_id", "rating", "last_at"], axis=1)
    rows["last_at"] = pd.to_datetime(rows["last_at"], unit="s")
    users = read("user").set_axis(["user_id", "age", "gender", "occupation", "zip"], axis=1)
    users["interests"] = [
        [f"age {row.age // 10}", f"gender {row.gender}", f"work {row.occupation}"] for row in users.itertuples()
    ]
    books = read("item").set_axis(["book_id", "title", "year", "genres"], axis=1)
    books["categories"] = books["genres"].fillna("").str.split()
    books["published_at"] = pd.to_datetime(pd.to_numeric(books["year"], errors="coerce"), format="%Y")
    return Ratings(rows, users[["user_id", "interests"]], books[["book_id", "title", "categories", "published_at"]])


def _reader(folder: Path | None) -> Callable[[str], pd.DataFrame]:
    if folder:
        return lambda part: pd.read_csv(folder / f"ml-100k.{part}", sep="\t")
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download(RECBOLE, Path(scratch)).read_bytes()
    archive = zipfile.ZipFile(io.BytesIO(wheel))
    return lambda part: pd.read_csv(archive.open(_MEMBER + part), sep="\t")


def goodbooks(folder: Path) -> Ratings:
    """goodbooks-10k: the first author and the genres that weigh more than a tenth; it has no times."""
    rows = pd.read_csv(folder / "ratings.csv.gz")
    rows["last_at"] = pd.Timestamp("2017-01-01")
    books, genres = pd.read_csv(folder / "books.csv.gz"), pd.read_csv(folder / "genres.csv.gz")
    named = genres.columns.to_numpy()
    catalog = pd.DataFrame(
        {
            "book_id": books["id"],
            "title": books["title"],
            "author": books["authors"].str.split(",").str[0],
            "language": books["language_code"].str[:2],
            "categories": [named[weights > 0.1].tolist() for weights in genres.to_numpy()],
        }
    )
    users = pd.DataFrame({"user_id": rows["user_id"].unique()})
    return Ratings(rows, users, catalog)


def latest(data: Dataset, *, seed: int, fraction: float = 0.2) -> Split:
    """Per user the latest fifth, rounded up; what was rated in the same second in random order."""
    rows = data.interactions
    draw = np.random.default_rng(seed).random(len(rows))
    return _cut(data, np.lexsort((draw, rows.liked_at, rows.user)), fraction)


def at_random(data: Dataset, *, seed: int, fraction: float = 0.2) -> Split:
    """Per user a random fifth, rounded up."""
    draw = np.random.default_rng(seed).random(len(data.interactions))
    return _cut(data, np.lexsort((draw, data.interactions.user)), fraction)


def by_item(data: Dataset, *, seed: int, fraction: float = 0.25) -> Split:
    """Of every book's ratings a random quarter, rounded."""
    rows = data.interactions
    draw = np.random.default_rng(seed).random(len(rows))
    order = np.lexsort((draw, rows.book))
    held = np.zeros(len(rows), dtype=bool)
    counts = np.bincount(rows.book, minlength=data.shape[1])
    starts = np.cumsum(counts) - counts
    place = np.arange(len(rows)) - starts[rows.book[order]]
    held[order] = place >= np.round(counts * (1 - fraction))[rows.book[order]]
    return _split(data, held)


def _cut(data: Dataset, oldest_first: np.ndarray, fraction: float) -> Split:
    rows = data.interactions
    counts = np.bincount(rows.user, minlength=data.shape[0])
    starts = np.cumsum(counts) - counts
    place = np.arange(len(rows)) - starts[rows.user[oldest_first]]
    held = np.zeros(len(rows), dtype=bool)
    kept = counts - np.ceil(counts * fraction - 1e-9)
    held[oldest_first] = place >= kept[rows.user[oldest_first]]
    return _split(data, held)


def _split(data: Dataset, held: BoolArray) -> Split:
    return Split(train=data.with_interactions(~held), test=data.pairs(held))


def without_books(data: Dataset, hidden: BoolArray) -> Split:
    """All that is known of who liked some books is the test; `hidden`: a flag a book."""
    return _split(data, hidden[data.interactions.book])


def with_users(data: Dataset, users: BoolArray) -> Dataset:
    """The interactions of some users only; a flag a user."""
    return replace(data, interactions=data.interactions.where(users[data.interactions.user]))


def rows_of(split: Split, users: np.ndarray) -> Split:
    """The same split as if these were all the users, by their position among `users`."""
    train, old = split.train, np.full(split.train.shape[0], -1, np.int32)
    old[users] = np.arange(len(users), dtype=np.int32)
    kept = train.interactions.where(old[train.interactions.user] >= 0)
    some = replace(train, user_ids=train.user_ids[users], interactions=replace(kept, user=old[kept.user]))
    return Split(train=some, test=split.test[users])
