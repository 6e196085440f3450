"""A world with every kind of book and reader that list rules tell apart."""

import numpy as np
import pandas as pd
import pyarrow as pa

from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.data.interactions import build_dataset

READERS, BOOKS = 14, 40
CATEGORIES = ["art", "war", "sea", "law"]
IDS = [f"b{number:02d}" for number in range(BOOKS)]


def world(seed: int = 0) -> Dataset:
    """Forty books in three languages and four categories, some premium, some not available; readers of two tiers."""
    random = np.random.default_rng(seed)
    books = pd.DataFrame(
        {
            "book_id": [f"b{number:02d}" for number in range(BOOKS)],
            "language": random.choice(["en", "de", "fr"], BOOKS),
            "categories": [list(random.choice(CATEGORIES, random.integers(0, 3), replace=False)) for _ in range(BOOKS)],
            "is_available": random.random(BOOKS) < 0.8,
            "is_premium": random.random(BOOKS) < 0.3,
        }
    )
    users = pd.DataFrame(
        {
            "user_id": [f"u{number:02d}" for number in range(READERS)],
            "language": random.choice(["en", "de", "xx", None], READERS),
            "tier": random.choice(["free", "premium"], READERS),
        }
    )
    met = [(user, book) for user in users["user_id"] for book in random.choice(books["book_id"], 9, replace=False)]
    rows = pd.DataFrame(met, columns=["user_id", "book_id"])
    chance = random.random(len(rows))
    actions = np.where(chance < 0.4, "Book Finished", np.where(chance < 0.7, "Book Removed", "Book Viewed"))
    rows = rows.assign(last_action=actions, is_finished=chance < 0.4, is_positive=chance < 0.6, weight=1.0)
    return build_dataset(rows.assign(last_at=pd.Timestamp("2026-11-01")), users, books)


def marts_of_world() -> dict[str, pa.Table]:
    """The world of the lists' tests as marts."""
    data = world()
    rows = data.interactions
    users = {
        "user_id": data.user_ids,
        "tier": np.where(data.is_free, "free", "premium"),
        "language": data.user_language,
    }
    books = {
        "book_id": data.book_ids,
        "language": data.book_language,
        "is_available": data.available,
        "is_premium": data.premium,
        "categories": [["art"] if number % 3 else ["art", "war"] for number in range(len(data.book_ids))],
    }
    actions = {
        "user_id": data.user_ids[rows.user],
        "book_id": data.book_ids[rows.book],
        "weight": rows.weight,
        "is_positive": rows.positive,
        "is_finished": rows.finished,
        "last_action": np.where(rows.rejected, "Book Removed", "Book Viewed"),
        "last_at": rows.last_at.astype("datetime64[us]"),
    }
    tables = {"dim_users": users, "dim_books": books, "fct_interactions": actions}
    return {name: pa.Table.from_pandas(pd.DataFrame(columns)) for name, columns in tables.items()}
