"""Pack a model version as the `model.tar.gz` that SageMaker unpacks into `/opt/ml/model`, and upload it to S3.

The files of the version are at the root of the archive. The same version gives the same bytes: sorted names, zero times and owners.
"""

import gzip
import io
import tarfile
from pathlib import Path

from recsys_platform.hub.s3 import S3Hub
from recsys_platform.recommender.registry.files import MANIFEST
from recsys_platform.recommender.registry.versions import Registry
from recsys_platform.serving.errors import DeployError

ARCHIVE = "model.tar.gz"


def upload(registry: Registry, version: str, to: S3Hub) -> str:
    """Upload the archive of a version to `{variant}-v{version}-{hash}/model.tar.gz`, unless it is there; returns its S3 URI."""
    listed = registry.info(version)
    key = f"{listed.label}-{listed.content[:12]}/{ARCHIVE}"  # other registries count their versions from 1 as well
    if not to.exists(key):
        to.put(key, pack(registry, version))
    return to.where(key)


def pack(registry: Registry, version: str) -> bytes:
    """The archive of a version. Raises `RegistryError` if a file is damaged, `DeployError` if one was not logged."""
    listed = registry.load(version).manifest["files"]
    files = _logged_files(registry.folder(version), {MANIFEST, *listed})
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in files:
            content = path.read_bytes()
            archive.addfile(_tar_entry(path.name, len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _logged_files(folder: Path, listed: set[str]) -> list[Path]:
    """The files of a version, sorted by name; links are refused, since they could lead to any file of this machine."""
    found = sorted(folder.iterdir())
    stray = [path for path in (folder, *found) if path.is_symlink()] or [p for p in found if p.name not in listed]
    if stray:
        raise DeployError(f"{stray[0]} is a link or was not logged: remove it, or train the model again.")
    return found


def _tar_entry(name: str, size: int) -> tarfile.TarInfo:
    """Metadata that does not depend on the machine: no owner, mode 644, time 0."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry
