"""The marts that models learn from, of a handful of readers and books, and versions trained on them without a run."""

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa

from recsys_platform.config.factories import hub_of, prepare_home, registry_of, variants_of
from recsys_platform.config.settings import load_settings
from recsys_platform.recommender.data.training_data import latest_dataset, write_snapshot
from recsys_platform.recommender.registry.versions import PRODUCTION
from recsys_platform.recommender.training.candidates import train
from tests.support.small_variants import write_small_variants

READERS, LAST_DAY = 12, dt.datetime(2026, 11, 20)


def tiny_marts(*, books: int = 10, newcomers: int = 0) -> dict[str, pa.Table]:
    """Every reader likes six books, one each day: even readers the even ones first, odd readers the odd ones.

    `newcomers`: readers without history beside the twelve. Readers and books are of two languages, some books are premium or gone.
    """
    likes = [
        {"user_id": f"u{reader:02}", "book_id": f"b{(reader + 2 * n + n // 5) % books}", "last_at": day}
        for reader in range(READERS)
        for n, day in enumerate(LAST_DAY - dt.timedelta(days=5 - each) for each in range(6))
    ]
    rows = pd.DataFrame(likes).assign(weight=3.0, is_positive=True, is_finished=True)
    people = [
        {"user_id": f"u{n:02}", "tier": ("free", "premium")[n // 2 % 2], "language": ("en", "de")[n // 3 % 2]}
        for n in range(READERS + newcomers)
    ]
    catalogue = [
        {
            "book_id": f"b{n}",
            "language": ("en", "en", "de")[n % 3],
            "is_available": n % 7 != 6,
            "is_premium": n % 5 == 4,
        }
        for n in range(books)
    ]
    frames = {"fct_interactions": rows, "dim_users": pd.DataFrame(people), "dim_books": pd.DataFrame(catalogue)}
    return {name: pa.Table.from_pandas(frame, preserve_index=False) for name, frame in frames.items()}


def write_trained_world(home: Path, *variants: str) -> None:
    """Let a new world have training data and a version of each of these small variants, the first of them live."""
    write_small_variants(home)
    settings = load_settings({"RECSYS_HOME": str(home)})
    prepare_home(settings)
    write_snapshot(hub_of(settings), LAST_DAY.date(), tiny_marts(books=30, newcomers=3))
    data, registry, own = latest_dataset(hub_of(settings)), registry_of(settings), variants_of(settings)
    versions = [train(name, data, registry, variants=own, now=LAST_DAY).version for name in variants]
    registry.set_alias(PRODUCTION, versions[0], why="the first model")
