"""A simulated world that readers can visit, and what off-policy evaluation says of a week of visits beside the truth.

Used by a test (tests/serving/test_week.py) and, for many weeks, by a benchmark program (benchmarks/visits.py).
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.experiments.off_policy import Estimate, doubly_robust, exposures_of, first_showings, ips, snips
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import parse_list_rules
from recsys_platform.recommender.lists.publication import publish
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.serving.gateway.server import key_store_of
from recsys_platform.serving.publishing import write_serving_files
from recsys_platform.simulation.behaviour import appeal
from recsys_platform.simulation.responses import Habits
from recsys_platform.simulation.truth import save_truth
from recsys_platform.simulation.visit_truth import VisitedList, replay
from recsys_platform.simulation.visits import FOR_YOU, book_row_of
from recsys_platform.simulation.world import World, WorldSpec, make_world, world_until
from recsys_platform.warehouse.duckdb.engine import DuckDBWarehouse

START = dt.date(2026, 11, 1)
NOW = dt.datetime(2026, 11, 2)
SLOTS, POOL, HEAD = (2, 5), 20, 10
"""Exploration draws in the first half of the pool; the books that might have been drawn follow it, to the end of the pool."""
HABITS = Habits(length=POOL, decay=0.3, appeal=0.9)
"""Readers who see what might have been drawn, and click often: so a week tells something."""
BOOKS_READ = 8
EXPERIMENTS = """
other_model:
  surfaces: [for_you, home.for_you]
  variants:
    control: {model: production, weight: 50}
    treatment: {model: challenger, weight: 50}
"""


def make_visited_world(home: Path, *, readers: int, books: int, seed: int) -> tuple[Settings, World, str]:
    """A world with lists, an experiment and exploration slots; also a key for an app."""
    settings = load_settings(
        {"RECSYS_HOME": str(home), "RECSYS_API_LIMITS": "free=5/20 premium=50/200 partner=100000/100000"}
    )
    spec = WorldSpec(readers=readers * 10 // 7, books=books * 5 // 4, seed=seed, start=START, horizon=300)
    world = world_until(make_world(spec, days=1), 1)
    save_truth(settings.truth_root, world, days=1)
    marts = _marts_of(settings.truth_root, world)
    registry, data, variants = Registry(settings.models_root), dataset_from_marts(marts), load_variants()
    versions = {
        each: train(each, data, registry, variants=variants, now=NOW).version for each in ("item_knn", "popularity")
    }
    registry.set_alias(PRODUCTION, versions["item_knn"], why="a test")
    registry.set_alias(CHALLENGER, versions["popularity"], why="a test")
    rules = parse_list_rules(
        {"rules": {"premium": False, "language": "own"}, "exploration": {"slots": list(SLOTS), "pool": POOL}}
    )
    warehouse = DuckDBWarehouse(settings.warehouse_path)
    warehouse.prepare()
    publish(marts, registry, warehouse, variants=variants, rules=rules, list_length=10, now=NOW)
    write_serving_files(settings.serving_root, warehouse=warehouse, marts=marts, registry=registry, rules=rules)
    settings.config_folder.mkdir(parents=True, exist_ok=True)
    (settings.config_folder / "experiments.yaml").write_text(EXPERIMENTS, encoding="utf-8")
    return settings, world, key_store_of(settings).create("readers")[1]


def _marts_of(truth: Path, world: World) -> dict[str, pa.Table]:
    """Marts in which every reader finished some books by taste."""
    users, books = (pq.read_table(truth / f"{kind}_attributes.parquet") for kind in ("user", "book"))
    users, books = users.drop_columns(["created_at", "email"]), books.drop_columns(["published_at"])
    chance, rows = np.random.default_rng(world.spec.seed), np.arange(len(users))
    wanted = appeal(world, rows=rows, day=0) + chance.gumbel(size=(len(users), len(books)))
    read = np.argpartition(wanted, -BOOKS_READ, axis=1)[:, -BOOKS_READ:]
    rows_of = {
        "user_id": np.repeat(users["user_id"].to_numpy(), BOOKS_READ),
        "book_id": books["book_id"].to_numpy()[read.ravel()],
        "weight": 5.0,
        "is_positive": True,
        "is_finished": True,
        "last_action": "Book Finished",
        "last_at": np.datetime64("2026-10-31", "us"),
    }
    return {"dim_users": users, "dim_books": books, "fct_interactions": pa.Table.from_pandas(pd.DataFrame(rows_of))}


Target = Callable[[World, int, np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""The probabilities with which a policy shows each of some books to a reader."""


def by_popularity(world: World, reader: int, books: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """More popular books more often."""
    weights = np.exp(world.books["popularity"][books].astype(np.float64))
    return np.asarray(weights / weights.sum())


def famous(world: World, reader: int, books: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Any of the most popular third."""
    order = np.argsort(np.argsort(-world.books["popularity"][books]))
    chosen = order < -(-len(books) // 3)
    return np.asarray(chosen / chosen.sum())


def premium_first(world: World, reader: int, books: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Any premium book, if there is one."""
    chosen = world.books["premium"][books].astype(np.float64)
    return np.asarray(chosen / chosen.sum() if chosen.any() else np.full(len(books), 1 / len(books)))


TARGETS: dict[str, Target] = {
    "by_popularity": by_popularity,
    "famous": famous,
    "premium_first": premium_first,
}


def judged_week(exposures: pa.Table, shown: pa.Table, world: World, habits: Habits) -> pd.DataFrame:
    """What each estimator says of each target policy, and the truth: one row for both, with all showings and with the first ones.

    `exposures`: all rows of marts.fct_exposures, where lists have the length of the pool.
    """
    # A draw of the home page is one of the list too: first showings are found before surfaces are chosen.
    firsts, lists = first_showings(exposures), pc.equal(exposures["surface"], FOR_YOU)
    rows = _explored_rows(exposures.filter(lists), shown, world, habits)
    names = ["request_id", "position"]
    keys = set(zip(*(firsts[name].to_pylist() for name in names), strict=True))
    own = zip(*(rows[name].to_pylist() for name in names), strict=True)
    kept = rows.filter(pa.array([key in keys for key in own]))
    found = []
    for name in TARGETS:
        for which, some in (("all", rows), ("first", kept)):
            truth = float(np.mean(some[f"truth {name}"].to_numpy()))
            for estimate in _estimates(some, some[f"target {name}"].to_numpy()):
                said = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "rows": estimate.rows}
                found.append(
                    {"target": name, "showings": which, "estimator": estimate.estimator, "truth": truth} | said
                )
    frame = pd.DataFrame(found)
    return frame.assign(holds=(frame["low"] <= frame["truth"]) & (frame["truth"] <= frame["high"]))


def _estimates(rows: pa.Table, target: np.ndarray[Any, Any]) -> tuple[Estimate, ...]:
    exposures = exposures_of(rows, target)
    rate = np.full(len(rows), exposures.reward.mean())  # a model that knows the click rate alone
    return ips(exposures), snips(exposures), doubly_robust(exposures, shown=rate, expected=rate)


def _explored_rows(exposures: pa.Table, shown: pa.Table, world: World, habits: Habits) -> pa.Table:
    """The exposures at slots, with the probability and the true worth of each target policy there."""
    frame = exposures.to_pandas()
    lists = {str(request): rows for request, rows in frame.groupby("request_id")}
    found = [
        row
        for visited in replay(shown, {})
        if visited.request_id in lists
        for row in _rows_of_list(visited, lists[visited.request_id], world, habits)
    ]
    return pa.Table.from_pandas(pd.DataFrame(found))


def _rows_of_list(visited: VisitedList, rows: pd.DataFrame, world: World, habits: Habits) -> list[dict[str, Any]]:
    drawn = rows["position"].isin(SLOTS) & (rows["propensity"] < 1)
    if not drawn.any():
        return []
    ids = rows["book_id"][drawn | (rows["position"] > HEAD)].tolist()
    books = np.array([book_row_of(each) for each in ids], dtype=np.int64)
    worth = visited.chances(world, habits, books, np.ones(len(books), dtype=np.int64))
    chances = {name: target(world, visited.reader, books) for name, target in TARGETS.items()}
    found = []
    for row in rows[drawn].to_dict("records"):
        looks = float(habits.looks_at(np.array(row["position"])))
        for name, chance in chances.items():
            row |= {f"target {name}": chance[ids.index(row["book_id"])], f"truth {name}": looks * float(chance @ worth)}
        found.append(row)
    return found
