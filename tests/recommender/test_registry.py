"""Versions that cannot change and tell when they were changed."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry import Facts, Registry

ARRAYS = {"vectors": np.arange(6, dtype=np.float32).reshape(2, 3), "book_ids": np.array(["b1", "ü"], dtype=object)}
FACTS = Facts(
    created_at=dt.datetime(2026, 11, 22, 12, 30),
    data_hash="abc",
    code_version="0.1",
    data_to=dt.datetime(2026, 11, 21),
    params={"epochs": 3, "rate": np.float32(0.5)},
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def test_what_was_logged_is_loaded(registry: Registry) -> None:
    found = registry.load("lightfm", registry.log("lightfm", ARRAYS, FACTS))
    assert found.arrays["vectors"].tolist() == ARRAYS["vectors"].tolist()
    assert found.arrays["vectors"].dtype == np.float32
    assert found.arrays["book_ids"].tolist() == ["b1", "ü"]
    assert found.manifest["params"] == {"epochs": 3, "rate": 0.5}
    assert found.manifest["data_to"] == "2026-11-21T00:00:00"


def test_a_version_is_named_by_its_time_and_content(registry: Registry) -> None:
    once, again = registry.log("lightfm", ARRAYS, FACTS), registry.log("lightfm", ARRAYS, FACTS)
    other = registry.log("lightfm", ARRAYS | {"vectors": np.zeros(1)}, FACTS)
    assert once == again
    assert once.startswith("20261122T123000-")
    assert registry.versions("lightfm") == sorted([once, other])


def test_an_alias_moves_from_version_to_version(registry: Registry) -> None:
    first, second = (registry.log("lightfm", {"a": np.array([n])}, FACTS) for n in (1, 2))
    assert registry.version_of("lightfm") is None
    for version in (first, second, first):
        registry.set_alias("lightfm", version)
        assert registry.version_of("lightfm") == version
    assert registry.versions("lightfm") == sorted([first, second])


@pytest.mark.parametrize("file", ["vectors.npy", "book_ids.parquet", "manifest.json"])
@pytest.mark.parametrize("harm", ["changed", "removed"])
def test_a_file_that_was_changed_or_removed_is_named(registry: Registry, file: str, harm: str) -> None:
    version = registry.log("lightfm", ARRAYS, FACTS)
    path = registry.root / "lightfm" / version / file
    path.write_bytes(path.read_bytes().replace(b"0", b"1") + b" ") if harm == "changed" else path.unlink()
    with pytest.raises(RegistryError, match=f"{file} is missing or was changed"):
        registry.load("lightfm", version)


def test_a_manifest_rewritten_to_fit_other_arrays_is_noticed(registry: Registry) -> None:
    version, other = registry.log("lightfm", ARRAYS, FACTS), registry.log("lightfm", {"vectors": np.ones(2)}, FACTS)
    folder = registry.root / "lightfm"
    forged = json.loads((folder / other / "manifest.json").read_text())
    (folder / version / "manifest.json").write_text(json.dumps(forged))
    with pytest.raises(RegistryError, match=r"manifest\.json is missing or was changed"):
        registry.load("lightfm", version)


def test_a_log_that_fails_leaves_nothing_behind(registry: Registry) -> None:
    with pytest.raises(TypeError):
        registry.log(
            "lightfm",
            ARRAYS,
            Facts(created_at=dt.datetime(2026, 1, 1), data_hash="", code_version="", params={"a": {1}}),
        )
    assert registry.versions("lightfm") == []
    assert list((registry.root / "lightfm").iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "Light FM", ".hidden", ""])
def test_a_name_cannot_leave_the_folder(registry: Registry, name: str) -> None:
    with pytest.raises(RegistryError, match="cannot name"):
        registry.log(name, ARRAYS, FACTS)


def test_a_version_that_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="no version 2026 of lightfm"):
        registry.load("lightfm", "2026")
    with pytest.raises(RegistryError, match="cannot become production"):
        registry.set_alias("lightfm", "2026")
