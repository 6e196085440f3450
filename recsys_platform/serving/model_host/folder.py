"""The folder of a model host: an item-side artifact with the item catalog and the list rules beside it.

Belongs here: writing such a folder from a world, and loading it. Does not: the artifact itself (serving/artifact.py), packing it
(sagemaker/archive.py).

A host has no snapshot, which holds readers. Of a snapshot it gets two files, `items.parquet` and `list_rules.json`, and
`catalog.json` with their hashes and that of the item catalog, which must be the model's.
"""

import json
import logging
import shutil
from pathlib import Path

import msgspec

from recsys_platform.common.errors import RecsysError
from recsys_platform.recommender.lists.live import LiveRecommender
from recsys_platform.recommender.registry.files import MANIFEST, file_sha256
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.serving.artifact import artifact_name, load_artifact, write_artifact
from recsys_platform.serving.errors import ArtifactError, SnapshotError
from recsys_platform.serving.folders import draft_folder, mark_used, put_in_place, remove_unused
from recsys_platform.serving.following import ARTIFACTS, SNAPSHOTS, ServedModel
from recsys_platform.serving.snapshot import ITEMS, RULES, current_version, items_in, read_manifest, rules_in

_LOG = logging.getLogger(__name__)
CATALOG, HOSTS = "catalog.json", "hosts"


class _Catalog(msgspec.Struct, frozen=True):
    catalogue_hash: str
    files: dict[str, str]


def write_host_folder(home: Path, registry: Registry, version: str) -> Path:
    """Write the host folder of a version with the item catalog and rules that are published, unless it is there; return it.

    `home`: the folder `serving` of a world. Raises SnapshotError without a snapshot, ArtifactError if it is about other books.
    """
    published = current_version(home / SNAPSHOTS)
    if published is None:
        raise SnapshotError(f"There is no serving snapshot in {home / SNAPSHOTS} yet: run `recsys run`.")
    snapshot, info = home / SNAPSHOTS / published, registry.info(version)
    manifest = read_manifest(snapshot)
    if manifest["catalogue_hash"] != info.catalogue_hash:
        raise ArtifactError(
            f"{info.label} and the serving snapshot {published} are about other item catalogs: run `recsys run`."
        )
    artifact = home / ARTIFACTS / artifact_name(info.label, info.content)
    mark_used(artifact)  # before it is read, so that nobody removes it meanwhile
    if not artifact.exists():
        write_artifact(registry.load(version), home / ARTIFACTS)
    catalog = _Catalog(info.catalogue_hash, {name: manifest["files"][name] for name in (ITEMS, RULES)})
    digests = "".join(digest[:6] for digest in catalog.files.values())
    written = _written(home / HOSTS / f"{artifact.name}-{digests}", artifact, snapshot, catalog)
    mark_used(written)
    remove_unused(written.parent, {written.name})
    return written


def _written(folder: Path, artifact: Path, snapshot: Path, catalog: _Catalog) -> Path:
    if folder.exists():
        return folder
    with draft_folder(folder.parent) as draft:
        for path in (*artifact.iterdir(), *(snapshot / name for name in catalog.files)):
            shutil.copyfile(path, draft / path.name)
        (draft / CATALOG).write_text(json.dumps(msgspec.to_builtins(catalog), sort_keys=True), encoding="utf-8")
        if not folder.exists():  # another process may have been faster
            put_in_place(draft, folder)
    return folder


def load_host_folder(folder: Path) -> ServedModel:
    """Load and check a host folder: hashes, golden answers, one item catalog. Raises ArtifactError if anything is not as written."""
    artifact, catalog = load_artifact(folder), _read_catalog(folder)
    if catalog.catalogue_hash != artifact.catalogue_hash:
        raise ArtifactError(
            f"The model and the item catalog in {folder} are about other books: write the folder again."
        )
    live = LiveRecommender(artifact.model, items_in(folder), rules_in(folder))
    return ServedModel(artifact, live, {book: at for at, book in enumerate(artifact.book_ids)})


def _read_catalog(folder: Path) -> _Catalog:
    path = folder / CATALOG
    try:
        catalog = msgspec.json.decode(path.read_bytes(), type=_Catalog)
        damaged = [name for name in (ITEMS, RULES) if file_sha256(folder / name) != catalog.files[name]]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise ArtifactError(f"{path} cannot be used ({error}): write the folder again from the registry.") from error
    if damaged:
        raise ArtifactError(f"{folder / damaged[0]} was changed: write the folder again from the registry.")
    return catalog


class FolderModel:
    """The model of a host folder; a folder that is replaced is loaded, checked and swapped in, and the old one answers until then."""

    def __init__(self, folder: Path) -> None:
        """`folder`: such as `/opt/ml/model`."""
        self.folder = folder
        self.model: ServedModel | None = None
        self.error: str | None = None
        self._stamp: tuple[float, ...] = ()

    def refresh(self) -> None:
        """Load the folder if it is another one; what cannot be used is logged once, and the old one goes on serving."""
        try:
            self.load()
            self.error = None
        except Exception as error:  # noqa: BLE001  # whatever cannot be loaded, the old one goes on
            if str(error) != self.error:
                is_known = isinstance(error, RecsysError)
                _LOG.error("The model that is served stays as it is: %s", error, exc_info=not is_known)
            self.error = str(error)

    def load(self) -> None:
        """Load the folder if its manifest is another one. Raises ArtifactError if it cannot be used."""
        stamp = _stamp_of(self.folder)
        if stamp != self._stamp:
            self.model = load_host_folder(self.folder)
            self._stamp = stamp


def _stamp_of(folder: Path) -> tuple[float, ...]:
    try:
        found = [(folder / name).stat() for name in (MANIFEST, CATALOG)]
    except OSError as error:
        raise ArtifactError(f"{folder} holds no model: write one with `recsys sagemaker pack`.") from error
    return tuple(value for each in found for value in (each.st_ino, each.st_mtime_ns, each.st_size))
