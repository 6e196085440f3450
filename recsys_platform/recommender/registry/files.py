"""Files of a model version: named arrays and a manifest with the SHA-256 of each file.

Belongs here: writing, reading and verifying these files. Does not: where versions are stored and how they are named
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
    """What determines a model. Training is deterministic, so equal identities mean equal models."""

    data_hash: str
    recipe_hash: str
    code_version: str


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from: data, code, parameters. `created_at`, `data_from` and `data_to` are UTC without offset.

    `params`: the recipe of the variant. `metrics`: its evaluation metrics, from training on the past only.
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
        """SHA-256 of the recipe."""
        return recipe_hash(self.params)

    @property
    def identity(self) -> Identity:
        """What determines the model; equal for equal models."""
        return Identity(self.data_hash, self.recipe_hash, self.code_version)


def recipe_hash(recipe: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a variant's recipe, serialised as JSON."""
    return hashlib.sha256(json.dumps(recipe, default=to_json_value, sort_keys=True).encode()).hexdigest()


def write_model(folder: Path, variant: str, arrays: Mapping[str, AnyArray], provenance: Provenance) -> str:
    """Write arrays and manifest into an empty folder and return the SHA-256 of the manifest."""
    validate_name(variant)
    files = write_arrays(folder, arrays)
    manifest = asdict(provenance) | {"variant": variant, "recipe_hash": provenance.recipe_hash, "files": files}
    (folder / MANIFEST).write_text(
        json.dumps(manifest, default=to_json_value, indent=2, sort_keys=True), encoding="utf-8"
    )
    return file_sha256(folder / MANIFEST)


def write_arrays(folder: Path, arrays: Mapping[str, AnyArray]) -> dict[str, str]:
    """Write arrays into a folder, a file each; return the SHA-256 of all files in it."""
    for name, array in sorted(arrays.items()):
        if array.dtype == object:
            pq.write_table(pa.table({name: pa.array(array, pa.string())}), folder / f"{name}.parquet")
        else:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    return {path.name: file_sha256(path) for path in sorted(folder.iterdir())}


def read_manifest(folder: Path, digest: str) -> dict[str, Any]:
    """Read the manifest. RegistryError if it is missing or its hash is not the one that `write_model` returned."""
    path = folder / MANIFEST
    if not path.is_file() or file_sha256(path) != digest:
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def read_arrays(folder: Path, manifest: Mapping[str, Any]) -> dict[str, AnyArray]:
    """Read every array that the manifest names. RegistryError if a file is missing or was changed."""
    return {array_name(file): read_array(folder / file, digest) for file, digest in manifest["files"].items()}


def validate_name(name: str) -> str:
    """Return the name if it is valid for a model or an alias, else raise RegistryError."""
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"{name!r} cannot name a model or an alias: use lower-case letters, digits and underscores."
        )
    return name


def to_json_value(value: Any) -> Any:
    """Convert values that `json` cannot serialise: datetimes and NumPy scalars."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written to a manifest")


def array_name(file: str) -> str:
    """Return the name of the array in a file."""
    return file.rpartition(".")[0]


def read_array(path: Path, digest: str) -> AnyArray:
    """Read the array of a file. RegistryError if the file is missing or its hash is another."""
    if not path.is_file() or file_sha256(path) != digest:
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    if path.suffix == ".npy":
        array: AnyArray = np.load(path, allow_pickle=False)
        return array
    return np.asarray(pq.read_table(path)[array_name(path.name)], dtype=object)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
