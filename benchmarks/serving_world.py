"""A world for `serving.py`: random readers and books, a blend of three, a snapshot with lists."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from recsys_platform.config.settings import load_settings
from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import load_list_rules
from recsys_platform.recommender.registry.versions import PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants
from recsys_platform.serving.following import SNAPSHOTS
from recsys_platform.serving.gateway.server import key_store_of
from recsys_platform.serving.signals import signals_of
from recsys_platform.serving.snapshot import ListedBook, Publication, write_snapshot
from recsys_platform.transform.dbt import ROOT

VARIANTS = {
    "popularity": {},
    "als": {},
    "item_knn": {},
    "sequence": {},
    "blend": {"components": ["als", "item_knn", "sequence"]},
}
BOOKS_OF_A_READER = 15


def marts_of(readers: int, books: int) -> dict[str, pa.Table]:
    """Random marts: popular books are read more, everybody finished some."""
    chance = np.random.default_rng(1)
    user_ids = np.array([f"u{number:06d}" for number in range(readers)], dtype=object)
    book_ids = np.array([f"b{number:06d}" for number in range(books)], dtype=object)
    users = {"user_id": user_ids, "language": chance.choice(["en", "de", "fr"], readers), "tier": "premium"}
    topics = chance.choice(["art", "war", "sea", "law", "history", "business"], (books, 2))
    catalog = {
        "book_id": book_ids,
        "title": [f"Book {number}" for number in range(books)],
        "author": [f"Author {number % 997}" for number in range(books)],
        "language": chance.choice(["en", "de", "fr"], books),
        "categories": topics.tolist(),
        "reading_minutes": chance.integers(8, 30, books),
        "is_available": True,
        "is_premium": False,
    }
    pairs = np.unique(
        np.repeat(np.arange(readers), BOOKS_OF_A_READER) * books
        + (chance.beta(0.6, 3, readers * BOOKS_OF_A_READER) * books).astype(np.int64)
    )
    moments = np.datetime64("2026-11-01", "us") + chance.integers(0, 10**9, len(pairs)).astype("timedelta64[ms]")
    rows = {
        "user_id": user_ids[pairs // books],
        "book_id": book_ids[pairs % books],
        "weight": 5.0,
        "is_positive": True,
        "is_finished": True,
        "last_action": "Book Finished",
        "last_at": moments,
    }
    return {
        "dim_users": _table(users, readers),
        "dim_books": _table(catalog, books),
        "fct_interactions": _table(rows, len(pairs)),
    }


def _table(columns: dict[str, object], length: int) -> pa.Table:
    return pa.table(
        {name: [value] * length if isinstance(value, str | float | bool) else value for name, value in columns.items()}
    )


def random_lists(keys: Sequence[str], books: Sequence[str]) -> Iterator[tuple[str, list[ListedBook]]]:
    """A list of twenty books for each key."""
    chance = np.random.default_rng(2)
    for key in keys:
        yield key, [ListedBook(books[at], 0.5) for at in chance.choice(len(books), 20, replace=False)]


def make_world(home: Path, readers: int, books: int) -> str:
    """Write registry, snapshot and a key; return the key's text."""
    settings = load_settings({"RECSYS_HOME": str(home)})
    (settings.home / "variants.yaml").write_text(yaml.safe_dump(VARIANTS), encoding="utf-8")
    marts = marts_of(readers, books)
    data, variants = dataset_from_marts(marts), load_variants(settings.home / "variants.yaml")
    registry, now = Registry(settings.models_root), dt.datetime(2026, 11, 22)
    version = train("blend", data, registry, variants=variants, now=now).version
    registry.set_alias(PRODUCTION, version, why="a benchmark")
    users, catalog = data.user_ids.tolist(), data.book_ids.tolist()
    write_snapshot(
        settings.serving_root / SNAPSHOTS,
        publication=Publication("benchmark", dict.fromkeys(("published", "similar", "popular"), "blend-v1")),
        marts=marts,
        data=data,
        rules=load_list_rules(),
        lists={
            "published": random_lists(users, catalog),
            "similar": random_lists(catalog, catalog),
            "popular": random_lists(["all", "language=en", "language=de", "language=fr"], catalog),
        },
        signals=signals_of(ROOT),
    )
    return key_store_of(settings).create("benchmark")[1]
