"""Immutable model versions in a folder.

Belongs here: storing and loading named arrays with their manifest, and which version is in use. Does not: what the
arrays mean (models/), whether a version deserves to be used.

Layout: `{root}/{name}/{version}/` holds `manifest.json` and a file an array; `{root}/{name}/{alias}` holds a version.
"""

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_platform.recommender.arrays import AnyArray
from recsys_platform.recommender.errors import RegistryError

PRODUCTION = "production"
MANIFEST = "manifest.json"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Facts:
    """Where a model comes from. `created_at`, `data_from` and `data_to` are UTC without offset."""

    created_at: dt.datetime
    data_hash: str
    code_version: str
    data_from: dt.datetime | None = None
    data_to: dt.datetime | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelVersion:
    """A version as it was logged; `manifest` holds the facts as JSON values and the SHA-256 of each file."""

    name: str
    version: str
    manifest: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]


@dataclass(frozen=True)
class Registry:
    """A model registry in a local folder."""

    root: Path

    def log(self, name: str, arrays: Mapping[str, AnyArray], facts: Facts) -> str:
        """Store a version, whole or not at all, and return its name: its time and a hash of all that is in it.

        Logging the same twice gives the same version and changes nothing.
        """
        home = self._home(name)
        try:
            home.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(dir=home, prefix=".draft-"))
            try:
                return _publish(draft, home, _write(draft, arrays, facts), facts)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise RegistryError(f"Cannot store a version of {name} in {home}: {error.strerror}.") from error

    def load(self, name: str, version: str) -> ModelVersion:
        """Read a version; RegistryError if it is not there or not what was logged."""
        folder = self._home(name) / version
        if version not in self.versions(name):
            raise RegistryError(f"There is no version {version} of {name} in {self.root}. Train the model first.")
        manifest = _read_manifest(folder, version)
        arrays = {Path(file).stem: _read(folder / file, digest) for file, digest in manifest["files"].items()}
        return ModelVersion(name, version, manifest, arrays)

    def versions(self, name: str) -> list[str]:
        """All versions, oldest first."""
        home = self._home(name)
        found = [path.name for path in home.iterdir() if path.is_dir()] if home.is_dir() else []
        return sorted(version for version in found if not version.startswith("."))

    def set_alias(self, name: str, version: str, alias: str = PRODUCTION) -> None:
        """Let an alias mean this version from now on; RegistryError if there is no such version."""
        if version not in self.versions(name):
            raise RegistryError(f"There is no version {version} of {name}, so it cannot become {alias}.")
        _write_atomically(self._home(name) / _checked(alias), version)

    def version_of(self, name: str, alias: str = PRODUCTION) -> str | None:
        """The version that an alias means, None if it was never set."""
        path = self._home(name) / _checked(alias)
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None

    def _home(self, name: str) -> Path:
        return self.root / _checked(name)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise RegistryError(
            f"{name!r} cannot name a model or an alias: use lower-case letters, digits and underscores."
        )
    return name


def _write(folder: Path, arrays: Mapping[str, AnyArray], facts: Facts) -> str:
    """Write a version's files and return the hash of all of them."""
    for name, array in sorted(arrays.items()):
        if array.dtype == object:
            pq.write_table(pa.table({name: pa.array(array, pa.string())}), folder / f"{name}.parquet")
        else:
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    manifest = json.dumps(asdict(facts) | {"files": files}, default=_plain, indent=2, sort_keys=True)
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")
    return _sha256(folder / MANIFEST)


def _publish(draft: Path, home: Path, digest: str, facts: Facts) -> str:
    version = f"{facts.created_at:%Y%m%dT%H%M%S}-{digest[:12]}"
    if not (home / version).exists():
        draft.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        os.rename(draft, home / version)
    return version


def _read_manifest(folder: Path, version: str) -> dict[str, Any]:
    """The manifest, whose own hash is part of the version's name."""
    path = folder / MANIFEST
    if not path.is_file() or not _sha256(path).startswith(version.rpartition("-")[2]):
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return manifest


def _read(path: Path, digest: str) -> AnyArray:
    if not path.is_file() or _sha256(path) != digest:
        raise RegistryError(f"{path} is missing or was changed after it was logged. {_REMEDY}")
    if path.suffix == ".npy":
        array: AnyArray = np.load(path, allow_pickle=False)
        return array
    return np.asarray(pq.read_table(path)[path.stem], dtype=object)


_REMEDY = "Use another version or train the model again."


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """What `json` cannot write by itself: times and numpy's numbers."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot stand in a manifest")


def _write_atomically(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)
