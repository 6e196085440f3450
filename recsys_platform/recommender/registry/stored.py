"""What a registry holds: read from MLflow's SQLite file of a local world, or asked of an MLflow server.

Belongs here: reading versions, aliases and tags. Does not: writing (versions.py). The file is read without MLflow, whose import takes
seconds and whose queries take ten times as long.
"""

import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recsys_platform.recommender.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

_BUSY_SECONDS = 30
_SETTLED_SECONDS = 2.0
"""A file that was changed less long ago may be changed again within one tick of the file system's clock."""
_DELETED = "Deleted_Internal"


@dataclass(frozen=True)
class StoredVersion:
    """A version as MLflow keeps it: its number, where its files were written, the run that wrote them."""

    version: str
    source: str
    run_id: str
    tags: Mapping[str, str]


class StoredModel(Protocol):
    """One registered model."""

    def aliases(self) -> dict[str, str]:
        """Alias → version."""

    def tags(self) -> dict[str, str]:
        """The tags of the model itself."""

    def versions(self, **tags: str) -> list[StoredVersion]:
        """The versions with these tags, in any order."""

    def version(self, version: str) -> StoredVersion | None:
        """One version, None if there is none or it was removed."""


@dataclass(frozen=True)
class ModelInFile:
    """A registered model in a SQLite file, which holds nothing before MLflow has made it."""

    path: Path
    name: str

    def aliases(self) -> dict[str, str]:
        """Alias → version."""
        rows = self._query_rows("select alias, version from registered_model_aliases where name = ?")
        return {alias: str(version) for alias, version in rows}

    def tags(self) -> dict[str, str]:
        """The tags of the model itself."""
        return dict(self._query_rows("select key, value from registered_model_tags where name = ?"))

    def versions(self, **tags: str) -> list[StoredVersion]:
        """The versions with these tags."""
        found = self._query_rows(f"{_VERSIONS} and current_stage <> ?", _DELETED)
        return [each for each in self._with_tags(found) if tags.items() <= each.tags.items()]

    def version(self, version: str) -> StoredVersion | None:
        """One version."""
        found = self._query_rows(f"{_VERSIONS} and current_stage <> ? and cast(version as text) = ?", _DELETED, version)
        return next(self._with_tags(found), None)

    def stamp(self) -> tuple[int, ...] | None:
        """A value that changes with the file; None if it is missing or was changed just now."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        settled = time.time() - found.st_mtime > _SETTLED_SECONDS
        return (found.st_ino, found.st_mtime_ns, found.st_size) if settled else None

    def _with_tags(self, versions: list[Any]) -> Iterator[StoredVersion]:
        tags: dict[int, dict[str, str]] = defaultdict(dict)
        for version, key, value in self._query_rows(
            "select version, key, value from model_version_tags where name = ?"
        ):
            tags[version][key] = value
        return (StoredVersion(str(number), source, run, tags[number]) for number, source, run in versions)

    def _query_rows(self, sql: str, *values: str) -> list[Any]:
        if not self.path.exists():
            return []
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as con:
                is_made = con.execute("select 1 from sqlite_master where name = 'model_version_tags'").fetchone()
                return con.execute(sql, (self.name, *values)).fetchall() if is_made else []
        except sqlite3.Error as error:
            raise RegistryError(f"Cannot read the model registry {self.path}: {error}") from error


_VERSIONS = "select version, source, run_id from model_versions where name = ?"


@dataclass(frozen=True)
class ModelOnServer:
    """A registered model of an MLflow server."""

    client: "MlflowClient"
    name: str

    def aliases(self) -> dict[str, str]:
        """Alias → version."""
        found = self.client.get_registered_model(self.name).aliases
        return {str(alias): str(version) for alias, version in found.items()}

    def tags(self) -> dict[str, str]:
        """The tags of the model itself."""
        return dict(self.client.get_registered_model(self.name).tags)

    def versions(self, **tags: str) -> list[StoredVersion]:
        """The versions with these tags."""
        wanted = " and ".join([f"name = '{self.name}'", *(f"tags.{key} = '{value}'" for key, value in tags.items())])
        return [_stored_version(each) for each in self._all_pages(wanted)]

    def version(self, version: str) -> StoredVersion | None:
        """One version."""
        from mlflow.exceptions import MlflowException

        try:
            return _stored_version(self.client.get_model_version(self.name, version))
        except MlflowException:
            return None

    def _all_pages(self, wanted: str) -> Iterator["ModelVersion"]:
        token = None
        while True:
            page = self.client.search_model_versions(wanted, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _stored_version(version: "ModelVersion") -> StoredVersion:
    return StoredVersion(str(version.version), str(version.source), str(version.run_id), dict(version.tags))
