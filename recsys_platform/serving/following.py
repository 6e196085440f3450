"""What is served now: the newest snapshot and the model versions in use, swapped as one reference.

Belongs here: noticing a new snapshot, a promotion or a rollback; loading and checking before the swap. Does not: answers
(recommending.py).
"""

import datetime as dt
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from recsys_platform.common.errors import RecsysError
from recsys_platform.recommender.lists.live import LiveRecommender
from recsys_platform.recommender.registry.versions import ALIASES, PRODUCTION, Registry, VersionInfo
from recsys_platform.serving.artifact import Artifact, artifact_name, load_artifact, write_artifact
from recsys_platform.serving.errors import ArtifactError, SnapshotError
from recsys_platform.serving.folders import mark_used, remove_unused
from recsys_platform.serving.routing import Routing
from recsys_platform.serving.snapshot import Snapshot, current_version, files_stamp, newest_usable, open_snapshot

_LOG = logging.getLogger(__name__)
ARTIFACTS, SNAPSHOTS = "artifacts", "snapshots"
POLL_SECONDS = 1.0


_Sources = tuple[tuple[int, ...], str | None, tuple[str, ...]]


@dataclass(frozen=True)
class ServedModel:
    """A model version with the item catalog and the rules of a snapshot."""

    artifact: Artifact
    live: LiveRecommender
    index_of: Mapping[str, int]
    trained_at: dt.datetime | None = None
    """UTC, without time zone; None where only the artifact is known."""


@dataclass(frozen=True)
class Served:
    """One consistent state: a snapshot and the models of the aliases, empty before the first load."""

    snapshot: Snapshot | None = None
    models: Mapping[str, ServedModel] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """A text that changes with the snapshot or a model."""
        labels = [f"{alias}={model.artifact.content[:12]}" for alias, model in sorted(self.models.items())]
        return "|".join([self.snapshot.version if self.snapshot else "", *labels])

    def ages(self, now: dt.datetime) -> dict[str, float]:
        """Seconds since the snapshot was written and since the model in production was trained, of what is loaded. `now`: UTC."""
        made = {"snapshot": self.snapshot.written_at} if self.snapshot else {}
        model = self.models.get(PRODUCTION)
        made |= {"model": model.trained_at} if model and model.trained_at else {}
        return {what: (now - at).total_seconds() for what, at in made.items()}


class Follower:
    """Follows a folder of snapshots and a registry; `served` is replaced as a whole, so a request sees one state."""

    def __init__(
        self, home: Path, registry: Registry, routing: Routing | None = None, *, loads_models: bool = True
    ) -> None:
        """`home`: the folder `serving` of a world. `routing`: says which models may answer; production alone by default.

        `loads_models`: false where model hosts have the models.
        """
        self._loads_models = loads_models
        self.home, self._registry, self.routing = home, registry, routing or Routing()
        self.served = Served()
        self._loaded: _Sources | None = None
        self.error: str | None = None
        self._refused: tuple[tuple[int, ...], str] = (), ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Load what is there, then look again each second in a thread."""
        self.refresh()
        self._thread = threading.Thread(target=self._poll, name="follow-registry", daemon=True)
        self._thread.start()

    def reopen(self) -> None:
        """Open what is served again in a process that parted from another one; if it is gone meanwhile, `start` loads what is new."""
        try:
            if self.served.snapshot:
                self.served.snapshot.reopen()
        except SnapshotError:
            self.served = Served()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=10)

    def refresh(self) -> None:
        """Load what is new. What cannot be used is logged once, and the old one goes on serving."""
        problems: list[str] = []
        try:
            self.routing.refresh()
            self._load_changes(problems)
        except Exception as error:  # noqa: BLE001  # whatever cannot be loaded, what is served goes on
            problems.insert(0, self._reason_of(error))
        self._report(" ".join([*problems, *filter(None, [self.routing.error])]) or None)

    def _reason_of(self, error: Exception) -> str:
        """What an error says; one that is not ours is logged once with where it was raised."""
        reason = str(error) or type(error).__name__
        if not isinstance(error, RecsysError) and reason not in (self.error or ""):
            _LOG.error("What is served cannot be renewed", exc_info=error)
        return reason

    def _report(self, error: str | None) -> None:
        if error and error != self.error:
            _LOG.error("What is served stays as it is: %s", error)
        self.error = error

    def _poll(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.refresh()

    def _load_changes(self, problems: list[str]) -> None:
        """Load what is to be served, unless that was done from the same sources without a problem."""
        sources = self._sources()
        if sources is None or sources != self._loaded:
            self._loaded = None
            self.served = self._load(self.served, problems)
            self._loaded = None if problems else sources

    def _sources(self) -> _Sources | None:
        """What decides about what is served; None if only a load can tell."""
        stamp = self._registry.stamp()
        return (stamp, current_version(self.home / SNAPSHOTS), self.routing.models()) if stamp else None

    def _load(self, before: Served, problems: list[str]) -> Served:
        """What is to be served now. A model of an experiment that cannot be loaded is a problem, and stops no other."""
        snapshot = self._usable_snapshot(before.snapshot, problems)
        if snapshot is None:
            return before
        found: dict[str, ServedModel] = {}
        for name in self.routing.models() if self._loads_models else ():
            try:
                model = self._load_model(name, snapshot, before)
            except Exception as error:  # the lists are served without it
                if name == PRODUCTION and before.snapshot:  # snapshot and model stay together as they are
                    raise
                problems.append(self._reason_of(error))
                model = before.models.get(name) if snapshot is before.snapshot else None
            found |= {name: model} if model else {}
        if snapshot is before.snapshot and found == dict(before.models):
            return before
        remove_unused(self.home / ARTIFACTS, {_folder_name(model.artifact) for model in found.values()})
        return Served(snapshot, found)

    def _usable_snapshot(self, before: Snapshot | None, problems: list[str]) -> Snapshot | None:
        """The snapshot in use. If that is damaged: the one of before, with which a promotion is served, or the newest whole one."""
        folder = self.home / SNAPSHOTS
        try:
            version = current_version(folder)
            if version is not None and not (before and before.version == version):
                return self._open_snapshot(folder / version)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it
            problems.append(self._reason_of(error))
        return before or newest_usable(folder)

    def _open_snapshot(self, folder: Path) -> Snapshot:
        """Open a snapshot; one that was refused is hashed again only when its files changed."""
        stamp = files_stamp(folder)
        if stamp and stamp == self._refused[0]:
            raise SnapshotError(self._refused[1])
        try:
            return open_snapshot(folder)
        except SnapshotError as error:
            self._refused = stamp, str(error)
            raise

    def _load_model(self, name: str, snapshot: Snapshot, before: Served) -> ServedModel | None:
        version = self._registry.version_of(name) if name in ALIASES else name
        if version is None:
            self._check_not_emptied(name, before)
            return None
        info = self._registry.info(version)
        old = before.models.get(name)
        if old and old.artifact.content == info.content and snapshot is before.snapshot:
            return old
        if info.catalogue_hash != snapshot.manifest["catalogue_hash"]:
            raise ArtifactError(
                f"{info.label} and the serving snapshot {snapshot.version} are about other item catalogs: run `recsys run`."
            )
        artifact = old.artifact if old and old.artifact.content == info.content else self._load_artifact(version, info)
        return ServedModel(
            artifact,
            LiveRecommender(artifact.model, snapshot.items, snapshot.rules),
            {book: at for at, book in enumerate(artifact.book_ids)},
            info.created_at,
        )

    def _check_not_emptied(self, name: str, before: Served) -> None:
        """Raise if a registry that had this model has no version at all: its files are away, nobody took the model out."""
        if name in before.models and not self._registry.versions():
            raise ArtifactError(
                "The registry of models is empty: is its folder there? The models that are served stay."
            )

    def _load_artifact(self, version: str, info: VersionInfo) -> Artifact:
        """The artifact of a version; one that is missing or damaged is written again from the registry, if that is here."""
        folder = self.home / ARTIFACTS / artifact_name(info.label, info.content)
        mark_used(folder)  # before it is loaded, so that nobody removes it meanwhile
        try:
            return load_artifact(folder)
        except ArtifactError as error:
            if folder.exists():
                _LOG.warning("It is written again: %s", error)
            return load_artifact(write_artifact(self._registry.load(version), self.home / ARTIFACTS, again=True))


def _folder_name(artifact: Artifact) -> str:
    return artifact_name(artifact.label, artifact.content)
