"""A model version as files: named arrays and a manifest that holds the SHA-256 of each of them.

Belongs here: writing and reading them, and noticing every change. Does not: where versions are kept and what they are called
(versions.py), what the arrays mean (models/).
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.recommender.arrays import AnyArray
from recsys_platform.recommender.errors import RegistryError

MANIFEST = "manifest.json"
NAME = re.compile(r"[a-z][a-z0-9_]*")
_REMEDY = "Use another version or train the model again."


@dataclass(frozen=True)
class Identity:
    """What a model follows from, training being deterministic."""

    data_hash: str
    recipe_hash: str
    code_version: str


@dataclass(frozen=True)
class Facts:
    """Where a model comes from. `created_at`, `data_from` and `data_to` are UTC without offset.

    `params`: the recipe of the variant. `metrics`: what it reached when it was trained on the past alone.
    """

    created_at: dt.datetime
    data_hash: str
    code_version: str
    data_from: dt.datetime | None = None
    data_to: dt.datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    catalogue_hash: str = ""

    @property
    def recipe_hash(self) -> str:
        """Equal for equal recipes."""
        return recipe_hash(self.params)

    @property
    def identity(self) -> Identity:
        """Equal for models that are the same."""
        return Identity(self.data_hash, self.recipe_hash, self.code_version)


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """A SHA-256 of a variant's recipe, written as JSON."""
    return hashlib.sha256(json.dumps(recipe, default=plain, sort_keys=True).encode()).hexdigest()


def write_model(folder: Path, variant: str, arrays: Mapping[str, AnyArray], facts: Facts) -> str:
    """Write arrays and manifest into an empty folder and return the hash of all of it."""
    checked_name(variant)
    for name, array in sorted(arrays.items()):
        if array.dtype == object:
            pq.write_table(pa.table({name: pa.array(array, pa.string())}), folder / f"{name}.parquet")
        else:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    manifest = asdict(facts) | {"variant": variant, "recipe_hash": facts.recipe_hash, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, default=plain, indent=2, sort_keys=True), encoding="utf-8")
    return _sha256(folder / MANIFEST)


def read_manifest(folder: Path, digest: str) -> dict[str, Any]:
    """The manifest, if it is the one whose hash `write_model` gave; RegistryError if not."""
    path = folder / MANIFEST
    if not path.is_file() or _sha256(path) != digest:
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def read_arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, AnyArray]:
    """Every array that the manifest names; RegistryError if one is missing or was changed."""
    return {_stem(file): _read(folder / file, digest) for file, digest in manifest["files"].items()}


def checked_name(name: str) -> str:
    """The name, if it can name a model or an alias."""
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"{name!r} cannot name a model or an alias: use lower-case letters, digits and underscores."
        )
    return name


def plain(value: Any) -> Any:
    """What `json` cannot write by itself: times and numpy's numbers."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot stand in a manifest")


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


def _read(path: Path, digest: str) -> AnyArray:
    if not path.is_file() or _sha256(path) != digest:
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    if path.suffix == ".npy":
        array: AnyArray = np.load(path, allow_pickle=False)
        return array
    return np.asarray(pq.read_table(path)[_stem(path.name)], dtype=object)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
