"""The model registry: immutable model versions in MLflow, and the aliases that point at them.

Belongs here: all calls to MLflow. Does not: the files of a version (files.py), whether a version may go live (gate.py).
MLflow is imported inside functions: the import takes seconds and most commands do not need it.

All variants are versions of one registered model; tags describe each version. The aliases PRODUCTION and CHALLENGER point at
versions; each alias change is recorded as a run in a separate experiment.
"""

import datetime as dt
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from recsys_platform.common.clock import naive_utc_now, utc_now
from recsys_platform.common.processes import current_user, is_process_since
from recsys_platform.recommender.arrays import AnyArray
from recsys_platform.recommender.errors import RegistryError
from recsys_platform.recommender.registry.files import (
    Identity,
    Provenance,
    read_arrays,
    read_manifest,
    to_json_value,
    validate_name,
    write_model,
)
from recsys_platform.recommender.registry.stored import ModelInFile, ModelOnServer, StoredModel, StoredVersion
from recsys_platform.recommender.registry.template import copy_empty_database

if TYPE_CHECKING:
    from mlflow.entities import Run, RunInfo
    from mlflow.tracking import MlflowClient

PRODUCTION, CHALLENGER = "production", "challenger"
ALIASES = (PRODUCTION, CHALLENGER)
MODEL = "recommender"
CHANGES, TUNING = "recommender-aliases", "recommender-tuning"
DATABASE = "mlflow.db"
_ARTIFACTS = "model"
_CHOICE = "production_choice"
_ROLLED_BACK, _PINNED, _PROCESS = "rolled_back", "pinned", "recsys.process"
MAX_STORE_TIME = dt.timedelta(hours=1)
"""Storing a version takes seconds: an MLflow run that is still open after this time is orphaned."""


@dataclass(frozen=True)
class VersionInfo:
    """A version without its arrays.

    `metrics`: evaluation metrics of its recipe, from training on the past only. `rolled_back`: a person took it out of production.
    `pinned`: excluded from retention. `content`: SHA-256 of its manifest, which holds the hash of each file.
    """

    version: str
    variant: str
    created_at: dt.datetime
    content: str
    data_hash: str
    recipe_hash: str
    catalogue_hash: str
    data_from: str
    data_to: str
    metrics: Mapping[str, float]
    aliases: tuple[str, ...]
    rolled_back: bool
    pinned: bool

    @property
    def label(self) -> str:
        """Its name in tables and reports: `blend-v12`."""
        return f"{self.variant}-v{self.version}"


@dataclass(frozen=True)
class ModelVersion:
    """A version with its arrays; `manifest` holds the provenance as JSON values and the SHA-256 of each file."""

    info: VersionInfo
    manifest: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]


@dataclass(frozen=True)
class Change:
    """One alias change: time (UTC), author, version before and after (None for none), and the reason."""

    at: dt.datetime
    who: str
    alias: str
    before: str | None
    after: str | None
    why: str


@dataclass(frozen=True)
class Choice:
    """A recipe that a person put into production: time (UTC), author, reason, and the newest time in the data then (ISO text)."""

    recipe_hash: str
    at: dt.datetime
    who: str
    why: str
    data_to: str

    @property
    def sentence(self) -> str:
        """As text: `chosen by ann on 2026-11-28 11:02: a trial`."""
        return f"chosen by {self.who} on {self.at:%Y-%m-%d %H:%M}: {self.why}"


@dataclass(frozen=True)
class Registry:
    """The registry of one world: MLflow at `uri`, or in a SQLite file under `root`. Copies of remote versions are cached in `root`."""

    root: Path
    uri: str | None = None

    def log(self, variant: str, arrays: Mapping[str, AnyArray], provenance: Provenance) -> str:
        """Store a version atomically and return its number; equal content returns the existing version."""
        with tempfile.TemporaryDirectory() as draft, _as_registry_error(f"Cannot store a version of {variant}"):
            digest = write_model(Path(draft), variant, arrays, provenance)
            known = self._search_versions(content=digest)
            return known[0].version if known else self._store_version(Path(draft), variant, provenance, digest)

    def load(self, version: str) -> ModelVersion:
        """Read a version and verify its files. RegistryError if it does not exist or was changed."""
        info, folder = self._info_and_folder(version)
        manifest = read_manifest(folder, info.content)
        return ModelVersion(info, manifest, read_arrays(folder, manifest))

    def info(self, version: str) -> VersionInfo:
        """Return the description of a version. RegistryError if it does not exist."""
        return self._stored_version(version)[0]

    def manifest(self, version: str) -> Mapping[str, Any]:
        """Return the manifest of a version."""
        info, folder = self._info_and_folder(version)
        return read_manifest(folder, info.content)

    def folder(self, version: str) -> Path:
        """Return the local folder with the files of a version."""
        return self._info_and_folder(version)[1]

    def versions(self) -> list[VersionInfo]:
        """Return all versions, newest first."""
        return self._search_versions()

    def find(self, variant: str, identity: Identity) -> str | None:
        """Return the newest version of a variant with this data, recipe and code; None if there is none."""
        same = self._search_versions(variant=variant, **asdict(identity))
        return same[0].version if same else None

    def newest(self, variant: str) -> str | None:
        """Return the newest version of a variant; None if there is none."""
        found = self._search_versions(variant=variant)
        return found[0].version if found else None

    def version_of(self, alias: str) -> str | None:
        """Return the version that an alias points at; None if it is not set."""
        return self._read_aliases().get(validate_name(alias))

    def set_alias(self, alias: str, version: str | None, *, why: str, who: str | None = None) -> None:
        """Point an alias at a version, or remove it (None), and record the change. No change, no record."""
        before = self.version_of(alias)
        if before == version:
            return
        if version is not None and version not in {each.version for each in self.versions()}:
            raise RegistryError(
                f"Version {version} cannot become {alias}: it does not exist. `recsys models` lists the versions."
            )
        with _as_registry_error(f"Cannot change {alias}"):
            self._record_change(Change(naive_utc_now(), who or current_user(), alias, before, version, why))
            if version is None:
                self._client.delete_registered_model_alias(MODEL, alias)
            else:
                self._client.set_registered_model_alias(MODEL, alias, version)

    def stamp(self) -> tuple[int, ...] | None:
        """A value that changes with the registry, for who follows it; None if only a look at the registry tells."""
        return ModelInFile(self.root / DATABASE, MODEL).stamp() if self.uri is None else None

    def choice(self) -> Choice | None:
        """Return the recipe that a person put into production; None if the gate decides."""
        with self._open_stored_model("Cannot read who chose the production model") as stored:
            text = stored.tags().get(_CHOICE)
        if not text:
            return None
        stored = json.loads(text)
        return Choice(**{**stored, "at": dt.datetime.fromisoformat(stored["at"])})

    def choose(self, recipe_hash: str, *, why: str, data_to: str) -> None:
        """Record that the current user put this recipe into production, and the newest time in the data then."""
        created = Choice(recipe_hash, naive_utc_now(), current_user(), why, data_to)
        with _as_registry_error("Cannot record who chose the production model"):
            self._client.set_registered_model_tag(MODEL, _CHOICE, json.dumps(asdict(created), default=to_json_value))

    def clear_choice(self) -> None:
        """Delete a person's choice, so that the gate decides again."""
        if self.choice():
            with _as_registry_error("Cannot delete the choice of the production model"):
                self._client.delete_registered_model_tag(MODEL, _CHOICE)

    def set_metrics(self, version: str, metrics: Mapping[str, float]) -> None:
        """Set the metrics of a version whose recipe was evaluated after it was trained."""
        with _as_registry_error(f"Cannot set the metrics of version {version}"):
            self._client.set_model_version_tag(MODEL, version, "metrics", json.dumps(metrics, default=to_json_value))

    def mark_rolled_back(self, version: str, *, rolled_back: bool) -> None:
        """Set or clear the mark that a person took a version out of production."""
        with _as_registry_error(f"Cannot mark version {version}"):
            self._client.set_model_version_tag(MODEL, version, _ROLLED_BACK, "yes" if rolled_back else "no")

    def pin(self, version: str, *, pinned: bool = True) -> VersionInfo:
        """Exclude a version from retention, or include it again. RegistryError if it does not exist."""
        found = self.info(version)
        with _as_registry_error(f"Cannot pin version {version}"):
            self._client.set_model_version_tag(MODEL, version, _PINNED, "yes" if pinned else "no")
        return found

    def remove(self, version: str) -> None:
        """Delete a version, its run and its local files. `mlflow gc` frees the storage of a remote server."""
        info, theirs = self._stored_version(version)
        folder = self._folder_of(theirs)
        if info.aliases:
            raise RegistryError(
                f"{info.label} is {info.aliases[0]} and cannot be removed: promote another version first."
            )
        with _as_registry_error(f"Cannot remove version {version}"):
            run = str(self._client.get_model_version(MODEL, version).run_id)
            self._client.delete_model_version(MODEL, version)
            self._delete_run(run)
            if folder.is_relative_to(self.root):
                shutil.rmtree(folder if self.uri else folder.parents[1], ignore_errors=True)

    def size_of(self, version: str) -> int:
        """Return the size in bytes of a version's local files; 0 if they are on a server."""
        folder = self._folder_of(self._stored_version(version)[1])
        if self.uri and not self._is_copy(folder):
            return 0
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def fail_orphaned_runs(self) -> int:
        """End the MLflow runs of killed processes and return how many there were."""
        client = self._client
        with _as_registry_error("Cannot end the runs of killed processes"):
            experiments = [self._experiment_id(name) for name in (MODEL, CHANGES, TUNING)]
            running = client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'")
            orphans = [run for run in running if _is_orphaned(run)]
            for run in orphans:
                client.set_terminated(run.info.run_id, status="KILLED")
                if self.uri is None:  # no version uses its files: a version is created after its run ended
                    shutil.rmtree(self.root / "artifacts" / run.info.run_id, ignore_errors=True)
        return len(orphans)

    def log_tuning(self, name: str, parameters: Mapping[str, Any], figures: Mapping[str, float]) -> None:
        """Record the result of a hyperparameter search as a run of the tuning experiment."""
        with _as_registry_error(f"Cannot record the tuning of {name}"):
            run = self._start_run(TUNING, name, {"variant": name}).run_id
            for key, value in parameters.items():
                self._client.log_param(run, key, value)
            for key, figure in figures.items():
                self._client.log_metric(run, key, figure)
            self._client.set_terminated(run)

    def history(self) -> list[Change]:
        """Return all alias changes, newest first."""
        with _as_registry_error("Cannot read the history of the aliases"):
            runs = self._client.search_runs([self._experiment_id(CHANGES)], order_by=["attributes.start_time DESC"])
        return sorted((_parse_change(run.data.tags) for run in runs), key=lambda change: change.at, reverse=True)

    @cached_property
    def _client(self) -> "MlflowClient":
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        with _as_registry_error("Cannot open the model registry"):
            if self.uri is None:
                self.root.mkdir(parents=True, exist_ok=True)
                copy_empty_database(self.root / DATABASE)
            address = self.uri or f"sqlite:///{self.root / DATABASE}"
            client = MlflowClient(tracking_uri=address, registry_uri=address)
            _ignore_existing(lambda: client.create_registered_model(MODEL))
            return client

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiment_ids:
            self._experiment_ids[name] = self._find_or_create_experiment(name)
        return self._experiment_ids[name]

    @cached_property
    def _experiment_ids(self) -> dict[str, str]:
        """Ids by name, looked up once: storing a version asks for them eight times."""
        return {}

    def _find_or_create_experiment(self, name: str) -> str:
        is_of_a_server = self.uri is not None and not self.uri.startswith("sqlite:")
        place = None if is_of_a_server else (self.root / "artifacts").as_uri()
        if self._client.get_experiment_by_name(name) is None:
            _ignore_existing(lambda: self._client.create_experiment(name, artifact_location=place))
        found = self._client.get_experiment_by_name(name)
        if found is None:
            raise RegistryError(
                f"The experiment {name} was deleted from the model registry: restore it with `mlflow experiments restore`."
            )
        return str(found.experiment_id)

    def _store_version(self, draft: Path, variant: str, provenance: Provenance, digest: str) -> str:
        """Create the run first, then the version: if the process is killed in between, no incomplete version exists."""
        client = self._client
        run = self._start_run(MODEL, variant, {"variant": variant})
        self._log_facts(run.run_id, provenance)
        source = self._store_files(draft, run)
        client.set_terminated(run.run_id)
        created = client.create_model_version(
            MODEL, source=source, run_id=run.run_id, tags=_version_tags(variant, provenance, digest)
        )
        return str(created.version)

    def _log_facts(self, run: str, provenance: Provenance) -> None:
        """Parameters and figures of a run, in one transaction."""
        from mlflow.entities import Metric, Param

        params = [Param(name, json.dumps(value, default=to_json_value)) for name, value in provenance.params.items()]
        now = int(naive_utc_now().replace(tzinfo=dt.UTC).timestamp() * 1000)
        # MLflow does not allow @ in names
        metrics = [Metric(name.replace("@", "/"), value, now, 0) for name, value in provenance.metrics.items()]
        self._client.log_batch(run, metrics=metrics, params=params)

    def _store_files(self, draft: Path, run: "RunInfo") -> str:
        """Store the files and return their URI. Without a server copy them: MLflow would use a moved world's old path."""
        if self.uri:
            self._client.log_artifacts(run.run_id, str(draft), _ARTIFACTS)
            return f"{run.artifact_uri}/{_ARTIFACTS}"
        place: Path = self.root / "artifacts" / run.run_id / "artifacts" / _ARTIFACTS
        shutil.copytree(draft, place)
        place.chmod(0o755)  # temporary folders are readable by their owner only
        return place.as_uri()

    @contextmanager
    def _open_stored_model(self, what: str) -> Iterator[StoredModel]:
        """What is stored; the file of a local world is read without MLflow, whose import takes seconds."""
        if self.uri is None:
            yield ModelInFile(self.root / DATABASE, MODEL)
            return
        with _as_registry_error(what):
            yield ModelOnServer(self._client, MODEL)

    def _search_versions(self, **tags: str) -> list[VersionInfo]:
        with self._open_stored_model("Cannot list the model versions") as stored:
            found, aliases = stored.versions(**tags), stored.aliases()
        return sorted((_to_version_info(each, aliases) for each in found), key=lambda each: -int(each.version))

    def _read_aliases(self) -> dict[str, str]:
        with self._open_stored_model("Cannot read the aliases") as stored:
            return stored.aliases()

    def _stored_version(self, version: str) -> tuple[VersionInfo, StoredVersion]:
        with self._open_stored_model(f"Cannot read model version {version}") as stored:
            theirs, aliases = stored.version(version), stored.aliases()
        if theirs is None:
            raise RegistryError(f"There is no model version {version}: `recsys models` lists the versions.")
        return _to_version_info(theirs, aliases), theirs

    def _info_and_folder(self, version: str) -> tuple[VersionInfo, Path]:
        """A version and the folder of its files, which are fetched from a server if they are not here yet."""
        info, theirs = self._stored_version(version)
        folder = self._folder_of(theirs)
        if self._is_copy(folder) and not folder.exists():
            with _as_registry_error(f"Cannot fetch model version {version}"):
                self._download(theirs.source, folder)
        return info, folder

    def _folder_of(self, theirs: StoredVersion) -> Path:
        there = urlsplit(theirs.source)
        if self.uri is None:  # relative to the root, because the world may have been moved
            return self.root / "artifacts" / Path(*PurePosixPath(there.path).parts[-3:])
        if there.scheme in ("", "file"):
            return Path(url2pathname(there.path))
        return self.root / "copies" / theirs.tags["content"]

    def _is_copy(self, folder: Path) -> bool:
        return folder.parent == self.root / "copies"

    def _download(self, source: str, copy: Path) -> None:
        """Download files to a folder, which is there as a whole or not at all. `source`: their URI, which only the server resolves."""
        from mlflow.artifacts import download_artifacts

        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=".draft-", ignore_cleanup_errors=True) as draft:
            fetched = download_artifacts(
                artifact_uri=source, dst_path=draft, tracking_uri=self.uri, registry_uri=self.uri
            )
            try:
                Path(fetched).rename(copy)
            except OSError:
                if not copy.exists():  # else another process has fetched the same meanwhile
                    raise

    def _record_change(self, change: Change) -> None:
        tags = {key: json.dumps(value, default=to_json_value) for key, value in vars(change).items()}
        self._client.set_terminated(self._start_run(CHANGES, change.alias, tags).run_id)

    def _start_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> "RunInfo":
        """Start a run tagged with this process, after ending the runs of killed processes."""
        self.fail_orphaned_runs()
        tags = {**tags, _PROCESS: f"{socket.gethostname()}:{os.getpid()}"}
        return self._client.create_run(self._experiment_id(experiment), run_name=name, tags=tags).info

    def _delete_run(self, run: str) -> None:
        """Delete a run. `delete_run` only marks it; in a local SQLite file nothing else would ever remove the row."""
        self._client.delete_run(run)
        if self.uri is None:
            self._client._tracking_client.store._hard_delete_run(run)


def _version_tags(variant: str, provenance: Provenance, digest: str) -> dict[str, str]:
    return {
        "variant": variant,
        "content": digest,
        "created_at": provenance.created_at.isoformat(),
        "data_hash": provenance.data_hash,
        "recipe_hash": provenance.recipe_hash,
        "catalogue_hash": provenance.catalogue_hash,
        "code_version": provenance.code_version,
        "data_from": provenance.data_from.isoformat() if provenance.data_from else "",
        "data_to": provenance.data_to.isoformat() if provenance.data_to else "",
        "metrics": json.dumps(provenance.metrics, default=to_json_value),
    }


def _to_version_info(theirs: StoredVersion, aliases: Mapping[str, str]) -> VersionInfo:
    tags = theirs.tags
    return VersionInfo(
        version=theirs.version,
        variant=tags["variant"],
        created_at=dt.datetime.fromisoformat(tags["created_at"]),
        metrics=json.loads(tags["metrics"]),
        aliases=tuple(alias for alias, version in sorted(aliases.items()) if version == theirs.version),
        rolled_back=tags.get(_ROLLED_BACK) == "yes",
        pinned=tags.get(_PINNED) == "yes",
        **{key: tags[key] for key in ("content", "data_hash", "recipe_hash", "catalogue_hash", "data_from", "data_to")},
    )


def _is_orphaned(run: "Run") -> bool:
    """Whether its process has ended, or it has been open longer than MAX_STORE_TIME."""
    host, _, process = run.data.tags.get(_PROCESS, "").rpartition(":")
    started = int(run.info.start_time) / 1000
    if host == socket.gethostname():
        return not is_process_since(int(process), started)
    return started < (utc_now() - MAX_STORE_TIME).timestamp()


def _parse_change(tags: Mapping[str, str]) -> Change:
    values = {key: json.loads(tags[key]) for key in ("at", "who", "alias", "before", "after", "why")}
    return Change(**{**values, "at": dt.datetime.fromisoformat(values["at"])})


def _ignore_existing(make: Any) -> None:
    """Call `make`; do nothing if another process created the same thing first."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _as_registry_error(what: str) -> Iterator[None]:
    """Re-raise errors of MLflow and of the file system as a RegistryError of one sentence."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        text = " ".join(str(error).split())[:300]
        raise RegistryError(f"{what}: {text}") from error
