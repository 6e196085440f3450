"""One publication: lists by any file of rules keep what that file promises, and are published once."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recsys_platform.recommender.data.training_data import dataset_from_marts
from recsys_platform.recommender.lists.list_rules import ListRules, parse_list_rules
from recsys_platform.recommender.lists.publication import Publication, publish
from recsys_platform.recommender.registry.promotion import promote, promote_after_canary
from recsys_platform.recommender.registry.versions import CHALLENGER, PRODUCTION, Registry
from recsys_platform.recommender.training.candidates import train
from recsys_platform.recommender.training.variants import load_variants, variant_of
from tests.support.list_world import IDS, marts_of_world

NOW = dt.datetime(2026, 11, 22)
READERS = 14


VARIANTS = load_variants()
MARTS = marts_of_world()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    made, data = Registry(tmp_path_factory.mktemp("registry")), dataset_from_marts(MARTS)
    train("popularity", data, made, variants=VARIANTS, now=NOW)
    version = train("item_knn", data, made, variants=VARIANTS, now=NOW).version
    made.set_alias(PRODUCTION, version, why="a test")
    return made


def published(registry: Registry, warehouse: Any, rules: ListRules, minutes: int = 0) -> Publication:
    now = NOW + dt.timedelta(minutes=minutes)
    return publish(MARTS, registry, warehouse, list_length=8, now=now, variants=VARIANTS, rules=rules)


PROMOTED = [{"book_id": IDS[3], "rank": 2}, {"book_id": IDS[9], "rank": 7}, {"book_id": "gone", "rank": 1}]
FILES: dict[str, dict[str, Any]] = {
    "nothing is said": {},
    "finished books may come again": {"rules": {"finished": False}},
    "rejected books may come again": {"rules": {"rejected": False}},
    "unavailable books are shown": {"rules": {"unavailable": False}},
    "premium books are shown to all": {"rules": {"premium": False}},
    "own language": {"rules": {"language": "own"}},
    "own language, nothing else": {
        "rules": {"finished": False, "rejected": False, "unavailable": False, "premium": False, "language": "own"}
    },
    "most are excluded": {"exclude": [*IDS[4:], "gone"], "rules": {"language": "own"}},
    "promoted": {"reranking": {"promoted": PROMOTED}},
    "capped": {"reranking": {"most_of_a_category": 2, "pool": 5}},
    "all": {
        "rules": {"language": "own", "unavailable": False},
        "exclude": IDS[10:15],
        "reranking": {"diversity": 0.5, "most_of_a_category": 3, "promoted": PROMOTED, "pool": 5},
    },
}


@pytest.mark.parametrize("said", FILES)
def test_lists_by_any_file_of_rules_keep_what_it_promises(said: str, registry: Registry, warehouse: Any) -> None:
    done = published(registry, warehouse, parse_list_rules(FILES[said]))
    assert done.rows["user_recommendations"] > READERS
    assert set(done.model_versions) == {"popularity", "item_knn"}


def test_the_table_of_roles_says_which_model_is_live_and_follows_what_changes_places(
    new_registry: Any, tmp_path: Path, warehouse: Any
) -> None:
    data, registry = dataset_from_marts(MARTS), new_registry(tmp_path / "models")
    popular, alike, ease = (
        train(name, data, registry, variants=VARIANTS, now=NOW).version for name in ("popularity", "item_knn", "ease")
    )

    def roles(minutes: int) -> dict[str, tuple[str, bool, str, str]]:
        published(registry, warehouse, parse_list_rules({}), minutes)
        rows = warehouse.frame("from published.model_roles").to_pylist()
        return {row["model"]: (row["role"], row["is_live"], row["chosen_by"], row["why"]) for row in rows}

    assert roles(0)["popularity"][:2] == ("baseline", True)
    registry.set_alias(PRODUCTION, alike, why="better", who="gate")
    registry.set_alias(CHALLENGER, ease, why="next", who="gate")
    first = roles(1)
    assert first["item_knn"] == ("production", True, "gate", "better")
    assert first["ease"] == ("challenger", False, "gate", "next")
    assert first["popularity"][:2] == ("baseline", False)
    registry.set_alias(CHALLENGER, alike, why="was live", who="gate")
    promote(registry, ease, alias=PRODUCTION, why="a trial", catalogue_hash=data.catalogue_hash)
    changed = roles(2)  # the same lists of the same versions
    assert changed["ease"] == ("production", True, "person", "a trial")
    assert changed["item_knn"] == ("challenger", False, "gate", "was live")
    promote(registry, popular, alias=PRODUCTION, why="calm", catalogue_hash=data.catalogue_hash)
    assert roles(3)["popularity"] == ("production", True, "person", "calm")
    promote_after_canary(registry, ease, why="its canary is complete")
    assert roles(4)["ease"] == ("production", True, "canary", "its canary is complete")


def test_books_are_alike_by_the_newest_version_that_knows_the_catalogue_and_none_of_them_is_excluded(
    tmp_path: Path, warehouse: Any
) -> None:
    data, registry = dataset_from_marts(MARTS), Registry(tmp_path)
    train("popularity", data, registry, variants=VARIANTS, now=NOW)
    yesterday = data.with_interactions(np.arange(len(data.interactions)) > 0)
    hurried = {**VARIANTS, "lightfm": variant_of("lightfm", {"epochs": 1})}
    train("lightfm", yesterday, registry, variants=hurried, now=NOW)
    assert published(registry, warehouse, parse_list_rules({"exclude": [IDS[0]]})).rows["similar_books"]
    assert warehouse.frame("select * from published.similar_books where similar_book_id = ?", [IDS[0]]).num_rows == 0


def test_a_changed_file_is_published_anew_and_the_same_one_only_once(registry: Registry, warehouse: Any) -> None:
    first = published(registry, warehouse, ListRules())
    assert first.rows
    assert not published(registry, warehouse, ListRules(), 1).rows
    assert not published(
        registry, warehouse, parse_list_rules({"exploration": {"slots": [3]}}), 2
    ).rows  # live answers alone
    assert published(registry, warehouse, parse_list_rules({"reranking": {"diversity": 0.3}}), 3).rows
    assert published(registry, warehouse, ListRules(), 4).rows
    assert not published(registry, warehouse, replace(ListRules()), 5).rows


def test_what_the_file_asks_for_in_vain_is_told_also_where_nothing_is_new(registry: Registry, warehouse: Any) -> None:
    rules = parse_list_rules({"exclude": ["gone"]})
    for minutes in (0, 1):
        done = published(registry, warehouse, rules, minutes)
        assert done.ineffective_rules == ["Excluded, but not in the item catalog: gone."]
    assert not done.rows


def test_a_promoted_book_stands_at_its_rank_of_every_list_that_is_long_enough(
    registry: Registry, warehouse: Any
) -> None:
    published(registry, warehouse, parse_list_rules(FILES["promoted"]))
    found = warehouse.frame(
        "select book_id, min(rank) as first, max(rank) as last, count(score) as scores"
        " from published.user_recommendations where reason = 'promoted' group by book_id order by book_id"
    ).to_pylist()
    assert found == [
        {"book_id": IDS[3], "first": 2, "last": 2, "scores": 0},
        {"book_id": IDS[9], "first": 7, "last": 7, "scores": 0},
    ]


def test_in_a_world_of_views_who_dismissed_all_other_books_is_offered_the_opened_one(
    tmp_path: Path, warehouse: Any
) -> None:
    """A reader without a list would keep everything from being published."""
    opened = [(f"u{number}", f"b{1 + number % 3}", "Book Viewed") for number in range(6)]
    rows = pd.DataFrame(
        [*opened, ("u0", "b2", "Recommendation Dismissed"), ("u0", "b3", "Recommendation Dismissed")],
        columns=["user_id", "book_id", "last_action"],
    )
    rows["weight"] = np.where(rows["last_action"] == "Book Viewed", 0.5, -1.0)
    rows = rows.assign(is_positive=False, is_finished=False, last_at=pd.Timestamp("2026-11-20"))
    rows = rows.assign(strongest_action=rows["last_action"], strongest_weight=rows["weight"])
    readers = pd.DataFrame({"user_id": rows["user_id"].unique(), "tier": "premium", "language": "en"})
    books = pd.DataFrame({"book_id": ["b1", "b2", "b3"], "language": "en", "is_available": True, "is_premium": False})
    tables = {"dim_users": readers, "dim_books": books.assign(categories=[["art"]] * 3), "fct_interactions": rows}
    marts = {name: pa.Table.from_pandas(table) for name, table in tables.items()}
    registry, data = Registry(tmp_path), dataset_from_marts(marts)
    assert data.signal.verb == "opened"
    version = train("popularity", data, registry, variants=VARIANTS, now=NOW).version
    registry.set_alias(PRODUCTION, version, why="a test")
    publish(marts, registry, warehouse, list_length=8, now=NOW, variants=VARIANTS, rules=ListRules())
    lists = warehouse.frame("select user_id, book_id from published.user_recommendations").to_pylist()
    assert [row["book_id"] for row in lists if row["user_id"] == "u0"] == ["b1"]
    assert sorted(row["book_id"] for row in lists if row["user_id"] == "u1") == ["b1", "b3"]  # without the opened one
