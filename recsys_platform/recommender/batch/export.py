"""Write a model version as the two tables of the Spark job: users with their vectors and excluded books, and books.

Belongs here: which rows and exclusions there are. Does not: the columns (spark.py), ranking.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from recsys_platform.hub.object_store import Hub
from recsys_platform.recommender.arrays import Csr, IntArray
from recsys_platform.recommender.batch.spark import book_table, user_table
from recsys_platform.recommender.data.dataset import Dataset
from recsys_platform.recommender.errors import ModelError
from recsys_platform.recommender.lists.list_builder import excluded_books
from recsys_platform.recommender.lists.list_rules import ListRules
from recsys_platform.recommender.lists.rules import apply_rules
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fallback import without_fallback
from recsys_platform.recommender.models.trained import TrainedModel
from recsys_platform.recommender.ranking.top_k import Allowed

USERS_PER_FILE = 100_000


@dataclass(frozen=True)
class Exported:
    """Rows written; `without_vectors` counts users whom the model does not know and who are left out."""

    users: int
    books: int
    without_vectors: int


def export_tables(trained: TrainedModel, data: Dataset, rules: ListRules, to: Hub) -> Exported:
    """Write `users/` and `books/` as Parquet files, replacing those of an earlier export.

    The rules that leave books out are applied: excluded, unavailable and premium books, language, what a user finished or rejected.
    Rules about a list as a whole (diversity, caps, promoted books) are not. Raises `ModelError` unless the model consists of vectors
    and was trained on this data set.
    """
    model = without_fallback(trained.model)
    if not isinstance(model, FactorModel):
        raise ModelError(
            f"{trained.model.name} is not a model of vectors, which Spark ranks: export a version of lightfm or als instead."
        )
    trained.check_fits(data)
    allowed = apply_rules(rules.rules, data, blocked=excluded_books(rules, data))
    users = np.flatnonzero(trained.model.personal(np.arange(data.shape[0], dtype=np.int32))).astype(np.int32)
    shown = np.asarray(allowed.books.any(axis=0))
    _replace_files(to, "books", [book_table(data.book_ids, model.book_vectors, model.book_bias, shown)])
    _replace_files(to, "users", _user_tables(model, data, users, _excluded_pairs(allowed, data)))
    return Exported(len(users), data.shape[1], data.shape[0] - len(users))


def _excluded_pairs(allowed: Allowed, data: Dataset) -> Csr:
    """What each user may not be shown of the books that somebody may: shape (n_users, n_books)."""
    group = np.zeros(data.shape[0], dtype=np.int32) if allowed.group is None else allowed.group
    of_groups = sparse.csr_array(allowed.books.any(axis=0) & ~allowed.books)[group]
    return of_groups if allowed.exclude is None else sparse.csr_array(of_groups + allowed.exclude.astype(bool))


def _user_tables(model: FactorModel, data: Dataset, users: IntArray, excluded: Csr) -> Iterator[pa.Table]:
    for start in range(0, max(len(users), 1), USERS_PER_FILE):
        rows = users[start : start + USERS_PER_FILE]
        yield user_table(data.user_ids[rows], model.user_vectors[rows], excluded[rows])


def _replace_files(to: Hub, folder: str, tables: Iterator[pa.Table] | list[pa.Table]) -> None:
    written = set()
    for number, table in enumerate(tables):
        key = f"{folder}/part-{number:05d}.parquet"
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        to.put(key, buffer.getvalue())
        written.add(key)
    for stale in {each.key for each in to.objects(f"{folder}/")} - written:
        to.remove(stale)
