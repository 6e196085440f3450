"""`recsys spark export`: the tables that the Spark job ranks, from a tiny world with trained versions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.config.factories import hub_of, registry_of
from recsys_platform.config.settings import Settings, load_settings
from recsys_platform.recommender.batch.export import export_tables
from recsys_platform.recommender.batch.spark import BookArrays, rank_batch
from recsys_platform.recommender.data.training_data import latest_dataset
from recsys_platform.recommender.lists.list_rules import load_list_rules
from recsys_platform.recommender.lists.rules import Rules, apply_rules
from recsys_platform.recommender.models.factors import FactorModel
from recsys_platform.recommender.models.fallback import without_fallback
from recsys_platform.recommender.ranking.top_k import NONE, Factors, top_k
from recsys_platform.recommender.training.candidates import load_model

K = 10
Lists = set[tuple[str, int, str]]


def lists_in(folder: Path) -> Lists:
    """What the Spark job makes of exported tables, here in one process."""
    books = BookArrays.of(pq.read_table(folder / "books"))
    batches = pq.read_table(folder / "users").combine_chunks().to_batches()
    lists = pa.Table.from_batches([rank_batch(batch, books, K) for batch in batches])
    return set(zip(*(lists[name].to_pylist() for name in ("user_id", "rank", "book_id")), strict=True))


def expected_lists(settings: Settings, version: str, rules: Rules) -> Lists:
    """The lists that this machine ranks from the same version under the same rules, of users with history."""
    trained, data = load_model(version, registry_of(settings)), latest_dataset(hub_of(settings))
    model: Any = without_fallback(trained.model)
    assert isinstance(model, FactorModel)
    users = np.flatnonzero(trained.model.personal(np.arange(data.shape[0], dtype=np.int32))).astype(np.int32)
    factors = Factors(model.user_vectors, model.book_vectors, model.book_bias)
    ranked = top_k(factors, users, k=K, allowed=apply_rules(rules, data))
    return {
        (data.user_ids[user], rank + 1, data.book_ids[book])
        for user, books in zip(users, ranked.books, strict=True)
        for rank, book in enumerate(books)
        if book != NONE
    }


def test_an_exported_version_is_ranked_as_on_this_machine(trained_world: Path, run_recsys, tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(trained_world)})
    version = registry_of(settings).newest("lightfm")
    assert version
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "part-00001.parquet").write_text("of an earlier export")
    code, said = run_recsys("spark", "export", version, str(tmp_path))
    users = len(pq.read_table(tmp_path / "users"))
    assert (code, f"{users:,} users and 30 books in {tmp_path}; 3 users without history" in said) == (0, True)
    assert lists_in(tmp_path) == expected_lists(settings, version, load_list_rules().rules)


def test_rules_for_groups_of_readers_become_exclusions_of_each(trained_world: Path, run_recsys, tmp_path: Path) -> None:
    settings = load_settings({"RECSYS_HOME": str(trained_world)})
    version = registry_of(settings).newest("als")
    assert version
    rules = replace(load_list_rules(), rules=Rules(language="own"))
    trained, hub = load_model(version, registry_of(settings)), hub_of(settings)
    export_tables(trained, latest_dataset(hub), rules, hub)
    assert lists_in(trained_world / "hub") == expected_lists(settings, version, rules.rules)


def test_a_version_without_vectors_is_refused_in_one_sentence(trained_world: Path, run_recsys, tmp_path: Path) -> None:
    version = registry_of(load_settings({"RECSYS_HOME": str(trained_world)})).newest("ease")
    assert version
    code, said = run_recsys("spark", "export", version, str(tmp_path))
    assert (code, "ease is not a model of vectors" in said, list(tmp_path.iterdir())) == (1, True, [trained_world])
