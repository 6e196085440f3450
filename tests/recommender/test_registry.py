"""Versions that cannot change and tell when they were changed, and who put which of them into use."""

import datetime as dt
import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry import versions as module
from recsys_platform.recommender.registry.files import Provenance
from recsys_platform.recommender.registry.stored import ModelInFile, ModelOnServer
from recsys_platform.recommender.registry.versions import CHALLENGER, DATABASE, MODEL, PRODUCTION, Registry

ARRAYS = {"vectors": np.arange(6, dtype=np.float32).reshape(2, 3), "book_ids": np.array(["b1", "ü"], dtype=object)}
FACTS = Provenance(
    created_at=dt.datetime(2026, 11, 22, 12, 30),
    data_hash="abc",
    catalogue_hash="books",
    code_version="0.1",
    data_to=dt.datetime(2026, 11, 21),
    params={"epochs": 3, "rate": np.float32(0.5)},
    metrics={"ndcg": 0.25, "ndcg@5": 0.5},
)
_numbers = iter(range(1, 10_000))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """One store for all tests, since making one takes a second: each test logs contents of its own."""
    return Registry(tmp_path_factory.mktemp("registry") / "models")


def another(registry: Registry, variant: str = "lightfm", **facts: object) -> str:
    """A version unlike all others."""
    return registry.log(variant, ARRAYS | {"number": np.array([next(_numbers)])}, replace(FACTS, **facts))  # type: ignore[arg-type]


def test_what_was_logged_is_loaded(registry: Registry) -> None:
    found = registry.load(registry.log("lightfm", ARRAYS, FACTS))
    assert found.arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()
    assert found.arrays["vectors"].dtype == np.float32
    assert found.arrays["book_ids"].tolist() == ["b1", "ü"]
    assert found.manifest["params"] == {"epochs": 3, "rate": 0.5}
    assert found.manifest["data_to"] == "2026-11-21T00:00:00"
    assert (found.info.variant, found.info.metrics, found.info.catalogue_hash) == (
        "lightfm",
        FACTS.metrics,
        "books",
    )


def test_the_same_content_is_the_same_version_and_other_content_another(registry: Registry) -> None:
    once, again = registry.log("als", ARRAYS, FACTS), registry.log("als", ARRAYS, FACTS)
    assert once == again
    assert registry.log("als", ARRAYS | {"vectors": np.zeros(1)}, FACTS) != once
    assert registry.log("ease", ARRAYS, FACTS) != once


def test_versions_are_listed_newest_first_with_what_they_are_called(registry: Registry) -> None:
    first, second = another(registry), another(registry, "ease")
    newest, before = registry.versions()[:2]
    assert (newest.version, before.version) == (second, first)
    assert newest.label == f"ease-v{second}"
    assert registry.newest("ease") == second
    assert registry.newest("no_such") is None


def test_what_came_from_the_same_data_recipe_and_code_is_found(registry: Registry) -> None:
    facts = replace(FACTS, data_hash="found by data")
    version = another(registry, data_hash="found by data")
    assert registry.find("lightfm", facts.identity) == version
    for other in (
        replace(facts, params={"epochs": 4}),
        replace(facts, data_hash="other"),
        replace(facts, code_version="0.2"),
    ):
        assert registry.find("lightfm", other.identity) is None


def test_every_change_of_an_alias_is_written_down(registry: Registry) -> None:
    first, second = another(registry), another(registry)
    for version, who in ((first, "gate"), (second, "anna"), (second, "nobody"), (None, "anna")):
        registry.set_alias(CHALLENGER, version, why="to see", who=who)
        assert registry.version_of(CHALLENGER) == version
    told = [(each.who, each.before, each.after, each.why) for each in registry.history() if each.alias == CHALLENGER]
    assert told[:3] == [
        ("anna", second, None, "to see"),
        ("anna", first, second, "to see"),
        ("gate", None, first, "to see"),
    ]


def test_an_alias_shows_at_its_version(registry: Registry) -> None:
    version = another(registry)
    registry.set_alias(PRODUCTION, version, why="")
    assert registry.info(version).aliases == (PRODUCTION,)


@pytest.mark.parametrize("file", ["vectors.npy", "book_ids.parquet", "manifest.json"])
@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_file_that_was_changed_or_removed_is_named(registry: Registry, file: str, harm: str) -> None:
    version = another(registry)
    path = registry.folder(version) / file
    path.write_bytes(path.read_bytes().replace(b"0", b"1") + b" ") if harm == "changed" else path.unlink()
    with pytest.raises(RegistryError, match=f"{file} is missing or was changed"):
        registry.load(version)


def test_a_manifest_rewritten_to_fit_other_arrays_is_noticed(registry: Registry) -> None:
    version, other = another(registry), another(registry)
    forged = json.loads((registry.folder(other) / "manifest.json").read_text())
    (registry.folder(version) / "manifest.json").write_text(json.dumps(forged))
    with pytest.raises(RegistryError, match=r"manifest\.json is missing or was changed"):
        registry.load(version)


def test_a_log_that_is_killed_half_way_leaves_no_version(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    before = registry.versions()

    def killed(*_: object) -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_version_tags", killed)
    with pytest.raises(KeyboardInterrupt):
        another(registry)
    assert registry.versions() == before


def test_a_log_that_fails_leaves_no_version(registry: Registry) -> None:
    before = registry.versions()
    with pytest.raises(TypeError):
        another(registry, params={"a": {1}})
    assert registry.versions() == before


@pytest.mark.parametrize("name", ["../escape", "Light FM", ".hidden", ""])
def test_a_name_is_no_path(registry: Registry, name: str) -> None:
    with pytest.raises(RegistryError, match="cannot name"):
        registry.log(name, ARRAYS, FACTS)


def test_a_version_that_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="There is no model version 2026: `recsys models`"):
        registry.load("2026")
    with pytest.raises(RegistryError, match="cannot become production"):
        registry.set_alias(PRODUCTION, "2026", why="")


def test_two_who_open_a_new_registry_at_once_share_it(tmp_path: Path) -> None:
    both = [Registry(tmp_path / "models") for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        versions = list(pool.map(lambda each: another(each), both))
    assert sorted(versions) == ["1", "2"]
    assert [each.version for each in both[0].versions()] == ["2", "1"]


@pytest.mark.slow
def test_versions_of_a_server_are_copied_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = Registry(tmp_path / "here", f"sqlite:///{tmp_path / 'there.db'}")
    monkeypatch.chdir(tmp_path)  # MLflow puts artifacts of an address without a place below the working folder
    version = another(remote)
    assert remote.load(version).arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()


def test_a_world_that_was_moved_reads_its_own_files(tmp_path: Path) -> None:
    before = Registry(tmp_path / "before" / "models")
    version = another(before)
    (tmp_path / "before").rename(tmp_path / "after")
    moved = Registry(tmp_path / "after" / "models")
    assert moved.load(version).arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()
    assert moved.folder(version).is_relative_to(tmp_path / "after")
    assert moved.load(another(moved)).arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()
    assert not (tmp_path / "before").exists()


def test_the_file_of_a_world_is_read_as_mlflow_reads_it(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    first, second, removed = (another(registry, "ease", data_hash="shown") for _ in range(3))
    registry.set_alias(PRODUCTION, first, why="a test")
    registry.set_alias(CHALLENGER, second, why="a test")
    registry.choose("recipe", why="a test", data_to="2026-11-21")
    registry.remove(removed)
    ours, theirs = ModelInFile(registry.root / DATABASE, MODEL), ModelOnServer(registry._client, MODEL)
    assert ours.aliases() == theirs.aliases() == {PRODUCTION: first, CHALLENGER: second}
    assert ours.tags() == theirs.tags() != {}
    for tags in ({}, {"variant": "ease"}, {"variant": "ease", "data_hash": "shown"}, {"variant": "als"}):
        assert sorted(ours.versions(**tags), key=repr) == sorted(theirs.versions(**tags), key=repr)
    for version in (first, second, removed, "77", "no number"):
        assert ours.version(version) == theirs.version(version)


def test_a_registry_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("a letter, and long enough to be no database: " * 100)
    with pytest.raises(RegistryError, match=r"Cannot read the model registry .*mlflow\.db: file is not a database"):
        Registry(tmp_path).versions()


def test_a_registry_is_read_without_mlflow(registry: Registry) -> None:
    another(registry)
    code = f"""import sys; from pathlib import Path
from recsys_platform.recommender.registry.versions import Registry
registry = Registry(Path({str(registry.root)!r}))
registry.choice(), registry.version_of("production"), registry.load(registry.versions()[0].version)
print(sorted({{"mlflow", "sqlalchemy"}} & sys.modules.keys()))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_new_registry_is_what_mlflow_would_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("first", "second"):
        assert Registry(tmp_path / name).history() == []
    [template] = (tmp_path / "cache" / "recsys_platform").iterdir()
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")  # no folder: MLflow makes it itself
    assert Registry(tmp_path / "third").history() == []
    assert template.name.startswith("mlflow-")
    first, second, third = (database_content(tmp_path / name / DATABASE) for name in ("first", "second", "third"))
    assert first == second == third


def database_content(path: Path) -> list[object]:
    """Tables, indexes, and every row but times and places.

    The migrations write a table's constraints in the order of a set, which differs between two databases that MLflow itself makes:
    the clauses of a statement are compared without their order.
    """
    with sqlite3.connect(path) as con:
        found = con.execute("select type, name, sql from sqlite_master order by 1, 2").fetchall()
        schema = [(kind, name, clauses_of(sql)) for kind, name, sql in found]
        tables = [name for kind, name, _ in found if kind == "table"]
        counts = [(name, con.execute(f"select count(*) from {name}").fetchone()) for name in tables]
        return [schema, counts, con.execute("select * from alembic_version").fetchall()]


def clauses_of(statement: str | None) -> list[str]:
    return sorted(line.strip().rstrip(",") for line in (statement or "").splitlines())


def test_clauses_are_compared_without_their_order_but_whole() -> None:
    made = "create table t (\n\ta int, \n\tcheck (a > 0), \n\tcheck (a < 9)\n)"
    assert clauses_of(made) == clauses_of(made.replace("> 0", "?").replace("< 9", "> 0").replace("?", "< 9"))
    assert clauses_of(made) != clauses_of(made.replace("< 9", "< 8"))
