"""What readers get at the end of the road: a public data set replayed, run and published, judged by what it never saw.

Each reader's latest fifth (a random one where the data have no times) is kept aside; the rest goes through `recsys import` and
`recsys run` in a world of its own. The published lists of what is live are then judged by what was kept aside, beside every
model of the registry.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from measure import watch
from quality_data import Ratings

from recsys_platform.recommender.data.splits import Split
from recsys_platform.recommender.evaluation import metrics
from recsys_platform.recommender.evaluation.search_score import mean_ndcg
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import load_model
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

DAYS = 60
"""The times of a data set are squeezed into so many days before today, in their order."""
LIKED = 4
LISTS = """
    select user_id, book_id, rank from published.user_recommendations
    where model = ? and rank <= ? order by user_id, rank"""


@dataclass(frozen=True)
class Published:
    """NDCG on what was kept aside: of the published lists of what is `live`, and of every trained model."""

    live: str
    lists: float
    models: Mapping[str, float]
    report: Mapping[str, float]
    """What the platform's own evaluation says, on what it held out itself."""

    @property
    def best_single(self) -> float:
        """Of the models that are no blend."""
        return max(value for name, value in self.models.items() if not name.startswith("blend"))


def published(
    ratings: Ratings, cut: Callable[..., Split], home: Path, recsys: Path, *, k: int, seed: int = 0
) -> Published:
    """Replay, run and judge."""
    split = cut(ratings.dataset(at_least=LIKED), seed=seed)
    world = {"RECSYS_HOME": str(home)}
    watch([recsys, "import", *_files(ratings, split, home)], world)
    watch([recsys, "run"], world)
    registry, warehouse = Registry(home / "models"), DuckDBWarehouse(home / "warehouse.duckdb")
    production = registry.version_of(PRODUCTION) or ""
    live = registry.info(production).variant
    newest = {each.variant: each.version for each in reversed(registry.versions())}
    return Published(
        live=live,
        lists=_ndcg_of_lists(warehouse, live, split, k),
        models={name: _ndcg_of(version, registry, split, k) for name, version in newest.items()},
        report=dict(
            warehouse.frame(
                "select model, value from ops.model_evaluations where metric = 'ndcg' and segment = 'all' order by 2"
            )
            .to_pandas()
            .itertuples(index=False)
        ),
    )


def _files(ratings: Ratings, split: Split, home: Path) -> list[str | Path]:
    """What `recsys import` reads, and the options that name it."""
    home.mkdir(parents=True, exist_ok=True)
    rows = _squeezed(ratings.rows[ratings.rows["rating"] >= LIKED].drop_duplicates(["user_id", "book_id"]))
    rows = rows[~_is_held_out(rows, split)]
    rows[["user_id", "book_id", "rating", "timestamp"]].to_csv(home / "interactions.csv", index=False)
    for name, frame in (("books", ratings.books), ("users", ratings.users)):
        lists = {column: frame[column].map("|".join) for column in ("categories", "interests") if column in frame}
        frame.assign(**lists).to_csv(home / f"{name}.csv", index=False)
    return [part for name in ("interactions", "books", "users") for part in (f"--{name}", home / f"{name}.csv")]


def _squeezed(rows: pd.DataFrame) -> pd.DataFrame:
    """With times of the days before yesterday, in the same order."""
    age = (rows["last_at"].max() - rows["last_at"]) / np.timedelta64(1, "s")
    newest = pd.Timestamp(dt.datetime.now(dt.UTC).date()) - pd.Timedelta(days=1, seconds=1)
    times = newest - pd.to_timedelta(age * DAYS * 86_400 / max(age.max(), 1), "s")
    return rows.assign(timestamp=times.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z")


def _is_held_out(rows: pd.DataFrame, split: Split) -> np.ndarray:
    user, book = (
        pd.Index(ids).get_indexer(rows[column].astype(str))
        for ids, column in ((split.train.user_ids, "user_id"), (split.train.book_ids, "book_id"))
    )
    return np.asarray(split.test[user, book]).astype(bool).ravel()


def _ndcg_of_lists(warehouse: DuckDBWarehouse, model: str, split: Split, k: int) -> float:
    """Over the readers who have something kept aside; one without a list has 0."""
    found = warehouse.frame(LISTS, [model, k]).to_pandas()
    users, places = split.test_users, pd.Index(split.train.book_ids)
    books = np.full((len(users), k), -1, np.int32)
    row = pd.Index(split.train.user_ids[users]).get_indexer(found["user_id"])
    listed = row >= 0
    books[row[listed], found["rank"].to_numpy()[listed] - 1] = places.get_indexer(found["book_id"][listed])
    test = split.test[users]
    return float(metrics.ndcg(metrics.hits_of(books, test), np.diff(test.indptr)).mean())


def _ndcg_of(version: str, registry: Registry, split: Split, k: int) -> float:
    """Of all books that a reader did not like before."""
    trained = load_model(version, registry)
    data = split.train
    known = pd.Index(trained.user_ids).get_indexer(data.user_ids)
    order = pd.Index(trained.book_ids).get_indexer(data.book_ids)
    return mean_ndcg(_Translated(trained.model, known, order), split, k)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Translated:
    """A model asked by the places of another data set; every reader and book must be known."""

    model: object
    users: np.ndarray
    books: np.ndarray

    def scores(self, users: np.ndarray) -> np.ndarray:
        """Of those books."""
        return np.ascontiguousarray(self.model.scores(self.users[users].astype(np.int32))[:, self.books])  # type: ignore[attr-defined]


def figures_of(found: Published) -> dict[str, object]:
    """For the one JSON object."""
    return json.loads(json.dumps({**vars(found), "live_vs_best_single": found.lists / found.best_single}))
