"""The model registry: immutable versions in MLflow, and which of them are in use.

Belongs here: the only place that talks to MLflow. Does not: what is in a version (files.py), whether a version
deserves to be used (gate.py). MLflow is imported where it is used: that takes seconds, and most commands do without.

All variants are versions of one registered model; a version's tags say what it is. The aliases PRODUCTION and CHALLENGER point at
versions; each change of one is a run in an experiment of its own, which nothing overwrites.
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
    Facts,
    Identity,
    checked_name,
    plain,
    read_arrays,
    read_manifest,
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
STORING = dt.timedelta(hours=1)
"""Storing a version takes seconds: a run of MLflow that is still open after this time has no process any more."""


@dataclass(frozen=True)
class Listed:
    """A version without its arrays.

    `metrics`: of its recipe, trained on the past alone. `rolled_back`: a person took it out of production. `pinned`: a person wants it
    kept. `content`: the hash of all that is in it.
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
        """What it is called in tables and reports: `blend-v12`."""
        return f"{self.variant}-v{self.version}"


@dataclass(frozen=True)
class ModelVersion:
    """A version as it was logged; `manifest` holds the facts as JSON values and the SHA-256 of each file."""

    listed: Listed
    manifest: Mapping[str, Any]
    arrays: Mapping[str, AnyArray]


@dataclass(frozen=True)
class Change:
    """One change of an alias: when (UTC), who, from which version to which (None for none), and why."""

    at: dt.datetime
    who: str
    alias: str
    before: str | None
    after: str | None
    why: str


@dataclass(frozen=True)
class Choice:
    """A recipe that a person put into production: when (UTC), who, why, and the newest time in the data of that moment (ISO text)."""

    recipe_hash: str
    at: dt.datetime
    who: str
    why: str
    data_to: str

    @property
    def sentence(self) -> str:
        """For people: `chosen by ann on 2026-11-28 11:02: a trial`."""
        return f"chosen by {self.who} on {self.at:%Y-%m-%d %H:%M}: {self.why}"


@dataclass(frozen=True)
class Registry:
    """The registry of one world: MLflow at `uri`, or in a SQLite file in `root`, where copies of remote versions are kept as well."""

    root: Path
    uri: str | None = None

    def log(self, variant: str, arrays: Mapping[str, AnyArray], facts: Facts) -> str:
        """Store a version, whole or not at all, and return its number; the same content gives the same version."""
        with tempfile.TemporaryDirectory() as draft, _told(f"Cannot store a version of {variant}"):
            digest = write_model(Path(draft), variant, arrays, facts)
            known = self._search(content=digest)
            return known[0].version if known else self._store(Path(draft), variant, facts, digest)

    def load(self, version: str) -> ModelVersion:
        """Read a version; RegistryError if it is not there or not what was logged."""
        listed, folder = self._found(version)
        manifest = read_manifest(folder, listed.content)
        return ModelVersion(listed, manifest, read_arrays(folder, manifest))

    def listed(self, version: str) -> Listed:
        """One version; RegistryError if it is not there."""
        return self._found(version)[0]

    def manifest(self, version: str) -> Mapping[str, Any]:
        """What is written of a version, without its arrays."""
        listed, folder = self._found(version)
        return read_manifest(folder, listed.content)

    def folder(self, version: str) -> Path:
        """Where the files of a version can be read."""
        return self._found(version)[1]

    def versions(self) -> list[Listed]:
        """All versions, newest first."""
        return self._search()

    def find(self, variant: str, identity: Identity) -> str | None:
        """The newest version of a variant that came from the same data, recipe and code, None if there is none."""
        same = self._search(variant=variant, **asdict(identity))
        return same[0].version if same else None

    def newest(self, variant: str) -> str | None:
        """The newest version of a variant, None if there is none."""
        found = self._search(variant=variant)
        return found[0].version if found else None

    def version_of(self, alias: str) -> str | None:
        """The version that an alias means, None if it was never set."""
        return self._aliases().get(checked_name(alias))

    def set_alias(self, alias: str, version: str | None, *, why: str, who: str | None = None) -> None:
        """Let an alias mean a version, or none any more; a change is written down, setting it to what it is does nothing."""
        before = self.version_of(alias)
        if before == version:
            return
        if version is not None and version not in {each.version for each in self.versions()}:
            raise RegistryError(
                f"Version {version} cannot become {alias}: there is none. `recsys models` lists those there are."
            )
        with _told(f"Cannot change {alias}"):
            self._write_down(Change(naive_utc_now(), who or current_user(), alias, before, version, why))
            if version is None:
                self._client.delete_registered_model_alias(MODEL, alias)
            else:
                self._client.set_registered_model_alias(MODEL, alias, version)

    def choice(self) -> Choice | None:
        """What a person put into production, None if the gate or nobody did."""
        with self._read("Cannot read who chose the production model") as stored:
            text = stored.tags().get(_CHOICE)
        if not text:
            return None
        stored = json.loads(text)
        return Choice(**{**stored, "at": dt.datetime.fromisoformat(stored["at"])})

    def choose(self, recipe_hash: str, *, why: str, data_to: str) -> None:
        """Remember that the present user put this recipe into production, on data up to that time."""
        made = Choice(recipe_hash, naive_utc_now(), current_user(), why, data_to)
        with _told("Cannot write down who chose the production model"):
            self._client.set_registered_model_tag(MODEL, _CHOICE, json.dumps(asdict(made), default=plain))

    def forget_choice(self) -> None:
        """Leave production to the gate."""
        if self.choice():
            with _told("Cannot leave the production model to the gate"):
                self._client.delete_registered_model_tag(MODEL, _CHOICE)

    def set_metrics(self, version: str, metrics: Mapping[str, float]) -> None:
        """Note what the recipe of a version reached, where that was measured after the version was trained."""
        with _told(f"Cannot note the figures of version {version}"):
            self._client.set_model_version_tag(MODEL, version, "metrics", json.dumps(metrics, default=plain))

    def mark_rolled_back(self, version: str, *, rolled_back: bool) -> None:
        """Remember that a person took a version out of production, or forget it."""
        with _told(f"Cannot mark version {version}"):
            self._client.set_model_version_tag(MODEL, version, _ROLLED_BACK, "yes" if rolled_back else "no")

    def pin(self, version: str, *, pinned: bool = True) -> Listed:
        """Keep a version whatever the retention says, or leave it to the retention again; RegistryError if it is not there."""
        found = self.listed(version)
        with _told(f"Cannot pin version {version}"):
            self._client.set_model_version_tag(MODEL, version, _PINNED, "yes" if pinned else "no")
        return found

    def remove(self, version: str) -> None:
        """Forget a version and its run, and delete its files; a server's own storage is freed by its `mlflow gc`."""
        listed, folder = self._found(version)
        if listed.aliases:
            raise RegistryError(f"{listed.label} is {listed.aliases[0]} and cannot be removed: promote another first.")
        with _told(f"Cannot remove version {version}"):
            run = str(self._client.get_model_version(MODEL, version).run_id)
            self._client.delete_model_version(MODEL, version)
            self._forget_run(run)
            if folder.is_relative_to(self.root):
                shutil.rmtree(folder if self.uri else folder.parents[1], ignore_errors=True)

    def size_of(self, version: str) -> int:
        """The bytes that the files of a version take on this disk, 0 where a server keeps them."""
        folder = self._found(version)[1] if self.uri is None else self.root / "copies" / self.listed(version).content
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def fail_orphaned_runs(self) -> int:
        """End the runs of MLflow whose process was killed, which nobody else would end; how many there were."""
        client = self._client
        with _told("Cannot end the runs of killed processes"):
            experiments = [self._experiment(name) for name in (MODEL, CHANGES, TUNING)]
            running = client.search_runs(experiments, filter_string="attributes.status = 'RUNNING'")
            orphans = [run for run in running if _is_orphaned(run)]
            for run in orphans:
                client.set_terminated(run.info.run_id, status="KILLED")
                if self.uri is None:  # it has no version: that is made of runs that ended
                    shutil.rmtree(self.root / "artifacts" / run.info.run_id, ignore_errors=True)
        return len(orphans)

    def note_tuning(self, name: str, parameters: Mapping[str, Any], figures: Mapping[str, float]) -> None:
        """Keep what a search found as a run of an experiment of its own."""
        with _told(f"Cannot keep what tuning {name} found"):
            run = self._start_run(TUNING, name, {"variant": name}).run_id
            for key, value in parameters.items():
                self._client.log_param(run, key, value)
            for key, figure in figures.items():
                self._client.log_metric(run, key, figure)
            self._client.set_terminated(run)

    def history(self) -> list[Change]:
        """Every change of an alias, newest first."""
        with _told("Cannot read the history of the aliases"):
            runs = self._client.search_runs([self._experiment(CHANGES)], order_by=["attributes.start_time DESC"])
        return sorted((_change(run.data.tags) for run in runs), key=lambda change: change.at, reverse=True)

    @cached_property
    def _client(self) -> "MlflowClient":
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        for talkative in ("mlflow", "alembic"):
            logging.getLogger(talkative).setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        with _told("Cannot open the model registry"):
            if self.uri is None:
                self.root.mkdir(parents=True, exist_ok=True)
                copy_empty_database(self.root / DATABASE)
            address = self.uri or f"sqlite:///{self.root / DATABASE}"
            client = MlflowClient(tracking_uri=address, registry_uri=address)
            _unless_there(lambda: client.create_registered_model(MODEL))
            return client

    def _experiment(self, name: str) -> str:
        is_of_a_server = self.uri is not None and not self.uri.startswith("sqlite:")
        place = None if is_of_a_server else (self.root / "artifacts").as_uri()
        if self._client.get_experiment_by_name(name) is None:
            _unless_there(lambda: self._client.create_experiment(name, artifact_location=place))
        found = self._client.get_experiment_by_name(name)
        if found is None:
            raise RegistryError(f"The experiment {name} was deleted from the model registry: restore it.")
        return str(found.experiment_id)

    def _store(self, draft: Path, variant: str, facts: Facts, digest: str) -> str:
        """The run first, then the version: what is killed in between leaves a run that nobody takes for a version."""
        client = self._client
        run = self._start_run(MODEL, variant, {"variant": variant})
        self._log_facts(run.run_id, facts)
        source = self._put(draft, run)
        client.set_terminated(run.run_id)
        made = client.create_model_version(MODEL, source=source, run_id=run.run_id, tags=_tags(variant, facts, digest))
        return str(made.version)

    def _log_facts(self, run: str, facts: Facts) -> None:
        """Parameters and figures of a run, in one transaction."""
        from mlflow.entities import Metric, Param

        params = [Param(name, json.dumps(value, default=plain)) for name, value in facts.params.items()]
        now = int(naive_utc_now().replace(tzinfo=dt.UTC).timestamp() * 1000)
        # MLflow takes no @ in names
        metrics = [Metric(name.replace("@", "/"), value, now, 0) for name, value in facts.metrics.items()]
        self._client.log_batch(run, metrics=metrics, params=params)

    def _put(self, draft: Path, run: "RunInfo") -> str:
        """The files of a run, in the world itself where there is no server: MLflow would go on writing to where a moved world was."""
        if self.uri:
            self._client.log_artifacts(run.run_id, str(draft), _ARTIFACTS)
            return f"{run.artifact_uri}/{_ARTIFACTS}"
        place: Path = self.root / "artifacts" / run.run_id / "artifacts" / _ARTIFACTS
        shutil.copytree(draft, place)
        place.chmod(0o755)  # temporary folders can be read by their owner alone
        return place.as_uri()

    @contextmanager
    def _read(self, what: str) -> Iterator[StoredModel]:
        """What is stored; the file of a local world is read without MLflow, whose import takes seconds."""
        if self.uri is None:
            yield ModelInFile(self.root / DATABASE, MODEL)
            return
        with _told(what):
            yield ModelOnServer(self._client, MODEL)

    def _search(self, **tags: str) -> list[Listed]:
        with self._read("Cannot list the model versions") as stored:
            found, aliases = stored.versions(**tags), stored.aliases()
        return sorted((_listed(each, aliases) for each in found), key=lambda each: -int(each.version))

    def _aliases(self) -> dict[str, str]:
        with self._read("Cannot read the aliases") as stored:
            return stored.aliases()

    def _found(self, version: str) -> tuple[Listed, Path]:
        with self._read(f"Cannot read model version {version}") as stored:
            theirs, aliases = stored.version(version), stored.aliases()
        if theirs is None:
            raise RegistryError(f"There is no model version {version}: `recsys models` lists those there are.")
        return _listed(theirs, aliases), self._local(theirs)

    def _local(self, theirs: StoredVersion) -> Path:
        there = urlsplit(theirs.source)
        if self.uri is None:  # by its place in the world, which may have been moved since
            return self.root / "artifacts" / Path(*PurePosixPath(there.path).parts[-3:])
        if there.scheme in ("", "file"):
            return Path(url2pathname(there.path))
        copy = self.root / "copies" / theirs.tags["content"]
        if not copy.exists():
            from mlflow.artifacts import download_artifacts

            with _told(f"Cannot fetch model version {theirs.version}"):
                copy.parent.mkdir(parents=True, exist_ok=True)
                draft = tempfile.mkdtemp(dir=copy.parent, prefix=".draft-")
                fetched = download_artifacts(artifact_uri=theirs.source, dst_path=draft)
                Path(fetched).rename(copy)
        return copy

    def _write_down(self, change: Change) -> None:
        tags = {key: json.dumps(value, default=plain) for key, value in vars(change).items()}
        self._client.set_terminated(self._start_run(CHANGES, change.alias, tags).run_id)

    def _start_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> "RunInfo":
        """A new run that tells its process, after those of killed processes were ended."""
        self.fail_orphaned_runs()
        tags = {**tags, _PROCESS: f"{socket.gethostname()}:{os.getpid()}"}
        return self._client.create_run(self._experiment(experiment), run_name=name, tags=tags).info

    def _forget_run(self, run: str) -> None:
        """A server only marks a run as deleted; in the file of a world nobody else would ever remove it."""
        self._client.delete_run(run)
        if self.uri is None:
            self._client._tracking_client.store._hard_delete_run(run)


def _tags(variant: str, facts: Facts, digest: str) -> dict[str, str]:
    return {
        "variant": variant,
        "content": digest,
        "created_at": facts.created_at.isoformat(),
        "data_hash": facts.data_hash,
        "recipe_hash": facts.recipe_hash,
        "catalogue_hash": facts.catalogue_hash,
        "code_version": facts.code_version,
        "data_from": facts.data_from.isoformat() if facts.data_from else "",
        "data_to": facts.data_to.isoformat() if facts.data_to else "",
        "metrics": json.dumps(facts.metrics, default=plain),
    }


def _listed(theirs: StoredVersion, aliases: Mapping[str, str]) -> Listed:
    tags = theirs.tags
    return Listed(
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
    """Its process is known to have ended, or it has been open for longer than any storing takes."""
    host, _, process = run.data.tags.get(_PROCESS, "").rpartition(":")
    started = int(run.info.start_time) / 1000
    if host == socket.gethostname():
        return not is_process_since(int(process), started)
    return started < (utc_now() - STORING).timestamp()


def _change(tags: Mapping[str, str]) -> Change:
    told = {key: json.loads(tags[key]) for key in ("at", "who", "alias", "before", "after", "why")}
    return Change(**{**told, "at": dt.datetime.fromisoformat(told["at"])})


def _unless_there(make: Any) -> None:
    """Make something that another process may make at the same moment."""
    from mlflow.exceptions import MlflowException

    try:
        make()
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


@contextmanager
def _told(what: str) -> Iterator[None]:
    """MLflow's errors and the file system's as one sentence."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        words = " ".join(str(error).split())[:300]
        raise RegistryError(f"{what}: {words}") from error
